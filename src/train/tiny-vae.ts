/**
 * A small autoencoder for the tiny sr2 run, trained on the run's own clips: squared error of the reconstruction and a
 * slight pull of the latents towards the standard normal (Rombach et al. 2022, without their perceptual and adversarial terms).
 */
import { rename, rm } from 'node:fs/promises';
import type { Config } from '../config/schema.js';
import { createLoader, type LoaderOptions } from '../data/index.js';
import { compile, randomNormal, rngKey, type Tensor, tf, valueAndGrads } from '../engine/index.js';
import { WorkError } from '../errors.js';
import { formatDuration } from '../format.js';
import { AutoencoderKL, latentKl, sampleLatents } from '../models/vae/index.js';
import { AdamW } from './optimizer.js';
import { randomCrop } from './random-crop.js';
import { learningRateAt } from './schedule.js';
import { initializeTinyVae } from './tiny-vae-init.js';

export type TinyVaeOptions = NonNullable<NonNullable<Config['model']['vae']>['tiny']>;

export interface TinyVaeRequest {
  options: TinyVaeOptions;
  /** The clips; frames are drawn from anywhere in them. */
  data: Omit<LoaderOptions, 'batchSize' | 'onSkip'>;
  /** Side of a random square of each frame that is trained on; 0: whole frames. */
  crop: number;
  precision: Config['precision'];
  compile: boolean;
  print: (line: string) => void;
}

/** Weight of the KL divergence, averaged over a latent's numbers: enough to keep their variances from vanishing. */
const KL_WEIGHT = 1e-6;
const CLIP_NORM = 1;
/** Batches whose latents the scaling factor is measured on. */
const SCALING_BATCHES = 8;
const REPORT_EVERY = 50;

/** @returns a diffusers config of one resnet a level */
function configOf({ blockOutChannels, latentChannels }: TinyVaeOptions): Record<string, unknown> {
  const levels = (type: string) => blockOutChannels.map(() => type);
  return {
    down_block_types: levels('DownEncoderBlock2D'),
    up_block_types: levels('UpDecoderBlock2D'),
    block_out_channels: blockOutChannels,
    latent_channels: latentChannels,
    layers_per_block: 1,
    norm_num_groups: 1, // of several, each forgets the brightness of flat images
  };
}

/**
 * Trains and writes `dir` (config.json, safetensors; complete or absent). The same request gives the same weights.
 * @returns PSNR of the last batch's reconstruction in dB
 * @throws WorkError `train.vae-not-finite` when the loss is no number
 */
export async function trainTinyVae(dir: string, request: TinyVaeRequest): Promise<number> {
  const { options, data, precision, print } = request;
  const { steps, batchSize, learningRate, seed } = options;
  const vae = new AutoencoderKL(configOf(options));
  initializeTinyVae(vae, seed);
  const loader = createLoader({ ...data, frames: 1, strides: [1], seed, batchSize });
  const trainable = [...vae.parameters().values()].map(p => ({ name: p.path, variable: p.value() }));
  const variables = trainable.map(p => p.variable);
  const optimizer = new AdamW(trainable, {
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 0,
    ema: false,
    compile: request.compile,
  });
  const gradients = compile(
    (frames, key) => {
      const { value, grads, aux } = valueAndGrads(() => objective(vae, frames!, key!), variables);
      return [value, ...aux, ...grads];
    },
    { name: 'tiny_vae', precision, enabled: request.compile },
  );
  const encode = compile(frames => [vae.encode(frames!).mean], {
    name: 'tiny_vae_encode',
    precision,
    enabled: request.compile,
  });
  const read = async (step: number) => {
    const { videos, shape } = await loader.batch(step);
    return tf.tidy(() => {
      const frames = tf.tensor(videos, shape); // [N, 1, H, W, 3]
      const { crop } = request;
      const squares = crop === 0 ? frames : randomCrop(frames, crop, 1, rngKey(seed, step, 'tiny vae crop'));
      return squares.squeeze([1]); // [N, H, W, 3]
    });
  };
  const rates = {
    learningRate,
    warmupSteps: Math.min(20, steps - 1),
    steps,
    schedule: 'cosine',
    minLearningRateRatio: 0.05,
  };
  let quality = Number.NaN;
  const began = performance.now();
  try {
    for (let step = 0; step < steps; step++) {
      const frames = await read(step);
      const [loss, squared, ...grads] = tf.tidy(() => gradients(frames, rngKey(seed, step, 'tiny vae'))) as [
        Tensor,
        Tensor,
        ...Tensor[],
      ];
      const value = loss.dataSync()[0]!;
      quality = psnr(squared.dataSync()[0]!);
      const norm = optimizer.gradientNorm(grads);
      if (!Number.isFinite(value) || !Number.isFinite(norm)) {
        tf.dispose([frames, loss, squared, grads]);
        throw new WorkError(
          `tiny autoencoder, step ${step + 1}: the loss is ${value}; lower model.vae.tiny.learningRate`,
          { code: 'train.vae-not-finite', step },
        );
      }
      optimizer.step(grads, {
        learningRate: learningRateAt(step, rates as Config['train']),
        step,
        gradientScale: Math.min(1, CLIP_NORM / (norm + 1e-6)),
      });
      tf.dispose([frames, loss, squared, grads]);
      if ((step + 1) % REPORT_EVERY === 0 || step + 1 === steps) {
        const left = ((performance.now() - began) / 1e3 / (step + 1)) * (steps - step - 1);
        print(
          `tiny autoencoder: step ${step + 1}/${steps}, PSNR ${quality.toFixed(1)} dB, ETA ${formatDuration(left)}`,
        );
      }
    }
    const parts: Tensor[] = [];
    for (let i = 0; i < SCALING_BATCHES; i++) {
      const frames = await read(i);
      parts.push(encode(frames)[0]!);
      frames.dispose();
    }
    vae.config.scalingFactor = tf.tidy(() => 1 / Math.sqrt(tf.moments(tf.concat(parts, 0)).variance.dataSync()[0]!));
    tf.dispose(parts);
    const partial = `${dir}.partial`;
    await rm(partial, { recursive: true, force: true });
    await vae.savePretrained(partial);
    await rename(partial, dir);
    return quality;
  } finally {
    await loader.close();
    gradients.dispose();
    encode.dispose();
    optimizer.dispose();
    vae.dispose();
  }
}

/** The loss, and the mean squared error in it. frames [N, H, W, 3] */
function objective(vae: AutoencoderKL, frames: Tensor, key: Tensor): [Tensor, Tensor] {
  const latents = vae.encode(frames);
  const noise = randomNormal(latents.mean.shape, key);
  const squared = vae.decode(sampleLatents(latents, noise)).sub(frames).square().mean() as Tensor;
  const kl = latentKl(latents).sum().div(latents.mean.size); // nats a number of the latents
  return [squared.add(kl.mul(KL_WEIGHT)), squared];
}

/** Peak signal-to-noise ratio of a mean squared error in [-1, 1] units, in dB. */
const psnr = (squaredError: number): number => 10 * Math.log10(4 / squaredError);
