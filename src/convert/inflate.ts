/** An image UNet's folder to a video UNet's, tensor by tensor: what `UNet3DConditionModel.fromPretrained2d` gives, saved. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inflateConfig, inflatedEntries, isTemporal, UNet3DConditionModel } from '../models/unet3d/index.js';
import { openPretrained, savePretrainedFolder } from '../models/weights/pretrained.js';
import type { ConvertFolderOptions } from './dtype.js';
import { checkOutput, writeFolder } from './output-folder.js';
import { type FloatDtype, stopIfAborted } from './tensors.js';
import { requireVariant, weightSet } from './weight-files.js';

export interface InflateFolderOptions extends Omit<ConvertFolderOptions, 'dtype' | 'variant'> {
  /** Seed of the temporal layers' first values (default 0). */
  seed?: number;
  /** Temporal transformers start as the identity (default false). */
  zeroInitTemporal?: boolean;
  /** Default F32. */
  dtype?: FloatDtype;
}

export interface InflateResult {
  out: string;
  /** Numbers of weights. */
  parameters: { spatial: number; temporal: number };
  bytes: number;
}

/**
 * @param dir a folder of a 2D UNet, or a pipeline with one in `unet/`
 * @throws InputError when the folder is incomplete, its blocks have no 3D twin, or `out` must not be written
 */
export async function inflateFolder(
  dir: string,
  out: string,
  { dtype = 'F32', ...options }: InflateFolderOptions = {},
): Promise<InflateResult> {
  checkOutput(out, dir, options);
  const folder = existsSync(join(dir, 'unet', 'config.json')) ? join(dir, 'unet') : dir;
  requireVariant(folder, weightSet(folder, options.fromVariant).files, options.fromVariant);
  const { config, weights } = openPretrained(folder, { variant: options.fromVariant });
  try {
    const model = new UNet3DConditionModel(inflateConfig(config), {
      family: 'show1',
      source: join(folder, 'config.json'),
    });
    const parameters = { spatial: 0, temporal: 0 };
    for (const [name, { size }] of model.parameters()) parameters[isTemporal(name) ? 'temporal' : 'spatial'] += size;
    const width = dtype === 'F32' ? 4 : 2;
    const bytes = width * (parameters.spatial + parameters.temporal);
    let done = 0;
    const entries = inflatedEntries(model, weights, options).map(entry => ({
      ...entry,
      data: async () => {
        stopIfAborted(options.signal);
        const values = await entry.data();
        done += width * values.length;
        options.onProgress?.(done, bytes, entry.name);
        return values;
      },
    }));
    await writeFolder(out, bytes, options, temporary =>
      savePretrainedFolder(temporary, 'diffusion_pytorch_model', model.configJson(), entries, {
        dtype,
        maxShardBytes: options.maxShardBytes,
      }),
    );
    return { out, parameters, bytes };
  } finally {
    weights.close();
  }
}
