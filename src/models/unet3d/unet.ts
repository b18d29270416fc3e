/** UNet3DConditionModel: Show-1's class (pixel and latent) and diffusers' own, by config; `network.ts` is what it does. */
import { type JsonObject, openPretrained } from '../weights/pretrained.js';
import { type ParseOptions, parseUNet3DConfig } from './config.js';
import { type InflateOptions, inflateConfig, loadImageWeights } from './inflate.js';
import { UNetModel } from './network.js';

export class UNet3DConditionModel extends UNetModel {
  /**
   * @param json a diffusers config (`config.json`)
   * @throws InputError for options that are unknown, unsupported or do not fit together
   */
  constructor(json: JsonObject, options: ParseOptions = {}) {
    super(parseUNet3DConfig(json, options));
  }

  /**
   * Builds a video model from a folder of a 2D UNet (diffusers' `UNet2DConditionModel`); see `inflate.ts`.
   * @throws InputError when the folder is incomplete or its blocks have no 3D twin
   */
  static async fromPretrained2d(dir: string, options: InflateOptions = {}): Promise<UNet3DConditionModel> {
    const { config, weights } = openPretrained(dir, { variant: options.variant });
    try {
      const model = new UNet3DConditionModel(inflateConfig(config), { family: 'show1', source: `${dir}/config.json` });
      await loadImageWeights(model, weights, options);
      return model;
    } finally {
      weights.close();
    }
  }
}
