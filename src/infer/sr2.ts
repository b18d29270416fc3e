/**
 * The second super-resolution stage, expert translation in latent space: the enlarged video is encoded, noised to the
 * first kept timestep and denoised from there (SDEdit, Meng et al. 2022; diffusers 0.19.3 `VideoToVideoSDPipeline`).
 */
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { type CodecOptions, VideoCodec } from '../models/vae/index.js';
import { bicubicUpsample } from './bicubic.js';
import { checkRequest, Denoiser, type DenoiserOptions, type SamplingOptions, type StepSize } from './denoise.js';
import { seededNoise } from './noise.js';

export interface Sr2SamplerOptions extends DenoiserOptions, Pick<CodecOptions, 'vae' | 'slice' | 'tile'> {}

export interface TranslateOptions extends SamplingOptions {
  /** The video at its final size, [B, F, H, W, 3] in [-1, 1]. */
  video: Tensor;
  /** Share of the timesteps that are walked, (0, 1]; 1 keeps nothing but the video's faintest trace (default 0.8). */
  strength?: number;
}

export interface Sr2Options extends TranslateOptions {
  height: number;
  width: number;
}

export class Sr2Sampler {
  private readonly denoiser: Denoiser;
  private readonly codec: VideoCodec;

  constructor(private readonly options: Sr2SamplerOptions) {
    this.denoiser = new Denoiser(options);
    this.codec = new VideoCodec(options);
  }

  /**
   * Enlarges (bicubic, through 8-bit frames) and translates: video [B, F, h, w, 3] in [-1, 1].
   * @returns [B, F, height, width, 3] in about [-1, 1]; belongs to the caller
   */
  async sample({ video, height, width, ...rest }: Sr2Options): Promise<Tensor> {
    const enlarged = await bicubicUpsample(video, [height, width]);
    try {
      return await this.translate({ ...rest, video: enlarged });
    } finally {
      enlarged.dispose();
    }
  }

  /** Translates a video that has its final size. @returns [B, F, H, W, 3] in about [-1, 1]; belongs to the caller */
  async translate(request: TranslateOptions): Promise<Tensor> {
    const { video, strength = 0.8, steps, seeds, noise = seededNoise(seeds) } = request;
    const { vae } = this.options;
    const { scheduler } = this.denoiser;
    const [B, F, H, W] = video.shape as [number, number, number, number, number];
    checkRequest('sr2', B, request);
    if (!(strength > 0 && strength <= 1)) {
      throw new InputError(`sr2: strength ${strength} must be above 0 and at most 1`, { code: 'infer.strength' });
    }
    scheduler.setTimesteps(steps);
    const kept = Math.min(Math.floor(steps * strength), steps);
    const timesteps = scheduler.timesteps.slice(Math.max(steps - kept, 0));
    if (kept < 1) {
      throw new InputError(`sr2: strength ${strength} of ${steps} steps leaves none; raise one of them`, {
        code: 'infer.strength',
      });
    }
    const factor = vae.downsampleFactor;
    const shape = [B, F, Math.floor(H / factor), Math.floor(W / factor), vae.config.latentChannels];
    const vaeNoise = noise('vae noise', shape);
    const latents = await this.codec.encode(video, vaeNoise).finally(() => vaeNoise.dispose());
    const start = tf.tidy(() => scheduler.addNoise(latents, noise('latent noise', shape), timesteps[0]!));
    latents.dispose();
    const result = await this.denoiser.run({ ...request, start, timesteps, noise, purpose: 'sr2 ' });
    return this.codec.decode(result).finally(() => result.dispose());
  }

  /** Bytes that one step needs beside the weights, before it runs. */
  stepBytes(size: StepSize): number {
    return this.denoiser.estimate(size).activationBytes;
  }

  /** Frees the compiled functions; UNet and autoencoder stay the caller's. */
  dispose(): void {
    this.denoiser.dispose();
    this.codec.dispose();
  }
}
