/**
 * A small autoencoder for the tiny sr2 run, trained on the run's own clips: absolute error of the reconstruction and a
 * slight pull of the latents towards the standard normal (Rombach et al. 2022, without their perceptual and adversarial terms).
 */
import { rename, rm } from 'node:fs/promises';
import type { Config } from '../config/schema.js';
import { createLoader, type LoaderOptions } from '../data/index.js';
import { compile, randomNormal, rngKey, type Tensor, tf, valueAndGrads } from '../engine/index.js';
import { WorkError } from '../errors.js';
import { AutoencoderKL, latentKl, sampleLatents } from '../models/vae/index.js';
import { AdamW } from './optimizer.js';
import { learningRateAt } from './schedule.js';

export type TinyVaeOptions = NonNullable<NonNullable<Config['model']['vae']>['tiny']>;

export interface TinyVaeRequest {
  options: TinyVaeOptions;
  /** The clips; frames are drawn from anywhere in them. */
  data: Omit<LoaderOptions, 'batchSize' | 'onSkip'>;
  precision: Config['precision'];
  compile: boolean;
  print: (line: string) => void;
}

/** Weight of the KL divergence, averaged over a latent's numbers: enough to keep their variances from vanishing. */
const KL_WEIGHT = 1e-4;
const CLIP_NORM = 1;
/** Batches whose latents the scaling factor is measured on. */
const SCALING_BATCHES = 8;
const REPORT_EVERY = 50;

/** @returns a diffusers config of one resnet a level */
function configOf({ blockOutChannels, latentChannels }: TinyVaeOptions): Record<string, unknown> {
  const levels = (type: string) => blockOutChannels.map(() => type);
  const groups = [8, 4, 2, 1].find(count => blockOutChannels.every(channels => channels % count === 0));
  return {
    down_block_types: levels('DownEncoderBlock2D'),
    up_block_types: levels('UpDecoderBlock2D'),
    block_out_channels: blockOutChannels,
    latent_channels: latentChannels,
    layers_per_block: 1,
    norm_num_groups: groups,
  };
}

/**
 * Trains and writes `dir` (config.json, safetensors; complete or absent). The same request gives the same weights.
 * @returns the mean absolute error of the last reports, in [-1, 1] units
 * @throws WorkError `train.vae-not-finite` when the loss is no number
 */
export async function trainTinyVae(dir: string, request: TinyVaeRequest): Promise<number> {
  const { options, data, precision, print } = request;
  const { steps, batchSize, learningRate, seed } = options;
  const vae = new AutoencoderKL(configOf(options));
  vae.initialize(seed);
  const loader = createLoader({ ...data, frames: 1, strides: [1], seed, batchSize });
  const trainable = [...vae.parameters().values()].map(p => ({ name: p.path, variable: p.value() }));
  const variables = trainable.map(p => p.variable);
  const optimizer = new AdamW(trainable, {
    betas: [0.9, 0.999],
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
    return tf.tensor(videos, [shape[0] * shape[1], ...shape.slice(2)]); // [N, H, W, 3]
  };
  const rates = {
    learningRate,
    warmupSteps: Math.min(20, steps - 1),
    steps,
    schedule: 'cosine',
    minLearningRateRatio: 0.05,
  };
  let error = Number.NaN;
  try {
    for (let step = 0; step < steps; step++) {
      const frames = await read(step);
      const [loss, absolute, ...grads] = tf.tidy(() => gradients(frames, rngKey(seed, step, 'tiny vae'))) as [
        Tensor,
        Tensor,
        ...Tensor[],
      ];
      const value = loss.dataSync()[0]!;
      error = absolute.dataSync()[0]!;
      const norm = optimizer.gradientNorm(grads);
      if (!Number.isFinite(value) || !Number.isFinite(norm)) {
        tf.dispose([frames, loss, absolute, grads]);
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
      tf.dispose([frames, loss, absolute, grads]);
      if ((step + 1) % REPORT_EVERY === 0 || step + 1 === steps) {
        print(`tiny autoencoder: step ${step + 1}/${steps}, mean absolute error ${error.toFixed(4)}`);
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
    return error;
  } finally {
    await loader.close();
    gradients.dispose();
    encode.dispose();
    optimizer.dispose();
    vae.dispose();
  }
}

/** The loss, and the mean absolute error in it. frames [N, H, W, 3] */
function objective(vae: AutoencoderKL, frames: Tensor, key: Tensor): [Tensor, Tensor] {
  const latents = vae.encode(frames);
  const noise = randomNormal(latents.mean.shape, key);
  const absolute = tf.mean(tf.abs(vae.decode(sampleLatents(latents, noise)).sub(frames)));
  const kl = tf.mean(latentKl(latents)).div(latents.mean.size / latents.mean.shape[0]!);
  return [absolute.add(kl.mul(KL_WEIGHT)), absolute as Tensor];
}
