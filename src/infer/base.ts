/** Keyframe sampling, Show-1's base stage: text alone to a few small frames (Show-1 `pipeline_t2v_base_pixel.py`). */
import type { Tensor } from '../engine/index.js';
import { checkRequest, Denoiser, type DenoiserOptions, type SamplingOptions, type StepSize } from './denoise.js';
import { seededNoise } from './noise.js';

export type BaseSamplerOptions = DenoiserOptions;

export interface SampleOptions extends SamplingOptions {
  frames: number;
  height: number;
  width: number;
}

/** Base-stage sampler bound to a UNet and a scheduler. Compiled steps are kept between calls. */
export class BaseSampler {
  private readonly denoiser: Denoiser;

  constructor(options: BaseSamplerOptions) {
    this.denoiser = new Denoiser(options);
  }

  /** @returns [B, F, H, W, C] in about [-1, 1]; belongs to the caller. */
  async sample(request: SampleOptions): Promise<Tensor> {
    const { text, frames, height, width, steps, seeds, noise = seededNoise(seeds) } = request;
    const B = text.shape[0] as number;
    checkRequest('base', B, request);
    this.denoiser.scheduler.setTimesteps(steps);
    const shape = [B, frames, height, width, this.denoiser.sampleChannels(0)];
    return this.denoiser.run({ ...request, start: noise('initial noise', shape), noise });
  }

  /** Bytes that one step needs beside the weights, before it runs. */
  stepBytes(size: StepSize): number {
    return this.denoiser.estimate(size).activationBytes;
  }

  /** Frees the compiled steps; the UNet stays the caller's. */
  dispose(): void {
    this.denoiser.dispose();
  }
}
