/**
 * UNet2DConditionModel of diffusers 0.19.3: the image network that Show-1's video UNets grew from. Here it makes the clean
 * first frame of the first super-resolution stage (DeepFloyd IF-II); it is `UNetModel` without temporal layers.
 */
import { parseUNetConfig } from '../unet3d/config.js';
import { UNetModel } from '../unet3d/network.js';
import type { JsonObject } from '../weights/pretrained.js';

/**
 * `forward(sample, timestep, text, { classLabels })` takes images [N, H, W, inChannels] with text [N, L, D], or the videos
 * [B, F, H, W, inChannels] of the samplers with text [B, L, D]: frames are then images that share a timestep, labels and
 * text, and nothing else.
 */
export class UNet2DConditionModel extends UNetModel {
  /**
   * @param json a diffusers config (`config.json`), blocks of pixel (IF) or latent (Stable Diffusion) models
   * @throws InputError for options that are unknown, unsupported or do not fit together
   */
  constructor(json: JsonObject, { source = "the UNet's config" }: { source?: string } = {}) {
    super(parseUNetConfig(json, 'image', source));
  }
}
