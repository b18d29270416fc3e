/** What an autoencoder does to frames: how well it gives them back, and how wide its latents spread. */
import { compile, randomNormal, rngKey, type Tensor, tf } from '../engine/index.js';
import { type AutoencoderKL, sampleLatents } from '../models/vae/index.js';

export interface VaeQuality {
  /** Peak signal-to-noise ratio in dB of the mean squared error over all held-out frames, values clamped to [-1, 1]. */
  psnr: number;
  /** Of the worst frame. */
  worstPsnr: number;
  /** Held-out frames measured. */
  frames: number;
  /** Standard deviation of all numbers of sampled latents; its inverse is the scaling factor. */
  latentDeviation: number;
}

export interface MeasureOptions {
  /** Frames [N, H, W, 3] for the latents' deviation; freed here. */
  frames: (index: number) => Promise<Tensor>;
  /** Frames for the reconstruction; freed here. */
  heldOut: (index: number) => Promise<Tensor>;
  batches: number;
  seed: number;
  compile?: boolean;
}

/** Between the brightest and the darkest value of a frame in [-1, 1]. */
const PEAK = 2;
const decibel = (squaredError: number) => 10 * Math.log10(PEAK ** 2 / squaredError);

export async function measureVae(vae: AutoencoderKL, options: MeasureOptions): Promise<VaeQuality> {
  const { batches, seed, compile: enabled } = options;
  const errors = compile(
    x => [vae.forward(x!).clipByValue(-1, 1).sub(x!).square().mean([1, 2, 3])], // [N]
    { name: 'vae_errors', enabled },
  );
  const moments = compile(
    (x, key) => {
      const latents = vae.encode(x!);
      const sample = sampleLatents(latents, randomNormal(latents.mean.shape, key!));
      return [sample.mean(), sample.square().mean()];
    },
    { name: 'vae_moments', enabled },
  );
  try {
    const squared: number[] = [];
    let [count, first, second] = [0, 0, 0];
    for (let index = 0; index < batches; index++) {
      const heldOut = await options.heldOut(index);
      squared.push(...tf.tidy(() => errors(heldOut)[0]!.dataSync()));
      heldOut.dispose();
      const frames = await options.frames(index);
      const weight = frames.size;
      const [mean, square] = tf.tidy(() =>
        moments(frames, rngKey(seed, index, 'latent deviation')).map(t => t.dataSync()[0]!),
      ) as unknown as [number, number];
      count += weight;
      first += weight * mean;
      second += weight * square;
      frames.dispose();
    }
    return {
      psnr: decibel(squared.reduce((a, b) => a + b, 0) / squared.length),
      worstPsnr: decibel(Math.max(...squared)),
      frames: squared.length,
      latentDeviation: Math.sqrt(second / count - (first / count) ** 2),
    };
  } finally {
    errors.dispose();
    moments.dispose();
  }
}
