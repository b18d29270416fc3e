/** The clean first frame of sr1: an image super-resolution UNet (DeepFloyd IF-II; diffusers `IFSuperResolutionPipeline`). */
import type { NoiseSchedule } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { checkRequest, Denoiser, type DenoiserOptions, type SamplingOptions, type StepSize } from './denoise.js';
import { seededNoise } from './noise.js';
import { noisyCondition } from './super-resolution.js';

export interface FirstFrameOptions extends SamplingOptions {
  /** Small images, [B, 1, h, w, 3] in [-1, 1]. */
  image: Tensor;
  height: number;
  width: number;
  /** Timestep of the condition's noise. */
  noiseLevel: number;
}

export class FirstFrameSampler {
  private readonly denoiser: Denoiser;

  constructor(private readonly options: DenoiserOptions & { noisingSchedule?: NoiseSchedule }) {
    this.denoiser = new Denoiser(options);
  }

  /** @returns [B, 1, height, width, 3] in about [-1, 1]; belongs to the caller */
  async sample(request: FirstFrameOptions): Promise<Tensor> {
    const { image, height, width, noiseLevel, steps, seeds, noise = seededNoise(seeds) } = request;
    const [B, F, , , C] = image.shape as [number, number, number, number, number];
    checkRequest('first frame', B, request);
    this.denoiser.scheduler.setTimesteps(steps);
    const start = noise('first frame initial noise', [B, F, height, width, C]);
    const condition = noisyCondition(image, [height, width], noiseLevel, noise, this.options.noisingSchedule);
    const classLabels = tf.fill([B], noiseLevel, 'int32');
    try {
      return await this.denoiser.run({ ...request, start, condition, classLabels, noise, purpose: 'first frame ' });
    } finally {
      tf.dispose([condition, classLabels]);
    }
  }

  /** Bytes that one step needs beside the weights, before it runs. */
  stepBytes(size: StepSize): number {
    return this.denoiser.estimate(size).activationBytes;
  }

  dispose(): void {
    this.denoiser.dispose();
  }
}
