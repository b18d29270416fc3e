/**
 * Trains a small AutoencoderKL, where no released one is at hand: squared error of the reconstruction and a slight pull of
 * the latents towards the standard normal (Rombach et al. 2022, without their perceptual and adversarial terms). For
 * pictures as simple as the shapes dataset's that is enough.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type CompiledFunction,
  compile,
  type Precision,
  randomNormal,
  rngKey,
  type Tensor,
  tf,
  type Variable,
  valueAndGrads,
} from '../engine/index.js';
import { InputError, InterruptedError, WorkError } from '../errors.js';
import { formatDuration } from '../format.js';
import { AutoencoderKL, latentKl, sampleLatents } from '../models/vae/index.js';
import { AdamW } from './optimizer.js';
import { learningRateAt } from './schedule.js';
import { measureVae, type VaeQuality } from './vae-quality.js';

export interface VaeTrainingOptions {
  /** Training frames [N, H, W, 3] in [-1, 1] of a step; equal steps give equal frames. The trainer frees them. */
  frames: (step: number) => Promise<Tensor>;
  /** Frames to measure the result on (default: those of the steps that follow the last one). */
  heldOut?: (index: number) => Promise<Tensor>;
  /** Batches measured, and how many of `frames` the scaling factor is measured on (default 8). */
  measuredBatches?: number;
  steps: number;
  /** Seed of the weights and of the noise in the latents (default 0). */
  seed?: number;
  /** Channels a level; each level but the first halves the frames (default [16, 32, 32]: factor 4). */
  blockOutChannels?: readonly number[];
  /** Default 4. */
  latentChannels?: number;
  /** Peak, after a warm-up; it falls to a twentieth along a cosine (default 3e-3). */
  learningRate?: number;
  /** Weight of the KL divergence in nats a latent number (default 1e-6). */
  klWeight?: number;
  precision?: Precision;
  compile?: boolean;
  /** Receives a line now and then. */
  print?: (line: string) => void;
  onProgress?: (done: number, total: number, loss: number) => void;
  /** Aborting stops at the next step; nothing is written. */
  signal?: AbortSignal;
}

export interface VaeTrainingResult extends VaeQuality {
  /** The model folder, `dir/vae`. */
  folder: string;
  /** Squared error and its weighted divergence, first and last step. */
  firstLoss: number;
  lastLoss: number;
  seconds: number;
}

const CLIP_NORM = Number(process.env.CLIP ?? 1);
const PRINT_EVERY_MS = 20000;

/** A config of one residual block a level (two in the decoder). */
export function smallVaeConfig(blockOutChannels: readonly number[], latentChannels: number): Record<string, unknown> {
  const types = (name: string) => blockOutChannels.map(() => name);
  return {
    _class_name: 'AutoencoderKL',
    block_out_channels: [...blockOutChannels],
    down_block_types: types('DownEncoderBlock2D'),
    up_block_types: types('UpDecoderBlock2D'),
    latent_channels: latentChannels,
    layers_per_block: 1,
    norm_num_groups: Number(process.env.G ?? 8),
  };
}

/**
 * Trains, measures, and writes `dir/vae/` (diffusers' layout, and `quality.json`), complete or not at all. On one device
 * the same frames and options give the same weights.
 * @throws InputError when `dir/vae` exists; WorkError when the loss is no number; InterruptedError when aborted
 */
export async function trainVae(dir: string, options: VaeTrainingOptions): Promise<VaeTrainingResult> {
  const { frames, steps, seed = 0, blockOutChannels = [16, 32, 32], latentChannels = 4 } = options;
  const { learningRate = 3e-3, klWeight = 1e-6, precision, compile: enabled, print = () => {} } = options;
  const { onProgress, signal, measuredBatches = 8 } = options;
  const folder = path.join(dir, 'vae');
  if (existsSync(folder)) {
    throw new InputError(`${folder} exists: remove it, or choose another folder for the new autoencoder.`, {
      code: 'train.vae-exists',
      folder,
    });
  }
  const start = performance.now();
  const vae = new AutoencoderKL(smallVaeConfig(blockOutChannels, latentChannels), { source: 'the small autoencoder' });
  vae.initialize(seed);
  for (const [name, p] of vae.parameters()) {
    if (process.env.ZI && /(conv2|to_out\.0)\.(weight|bias)$/.test(name)) tf.tidy(() => p.assign(tf.zeros(p.shape)));
    if (process.env.UG && !/norm|conv2|to_out|samplers/.test(name))
      tf.tidy(() => p.assign(name.endsWith('bias') ? tf.zeros(p.shape) : p.value().mul(Math.sqrt(3))));
    if (process.env.DI && /samplers\.0\.conv\.(weight|bias)$/.test(name))
      tf.tidy(() => {
        if (name.endsWith('bias')) return p.assign(tf.zeros(p.shape));
        const [, , a, b] = p.shape as number[];
        const eye = tf.eye(a!, b!).reshape([1, 1, a!, b!]);
        const taps = name.includes('down')
          ? [1, 1, 0, 1, 1, 0, 0, 0, 0].map(v => v / 4)
          : [1, 2, 1, 2, 4, 2, 1, 2, 1].map(v => v / 16);
        p.assign(tf.tensor(taps, [3, 3, 1, 1]).mul(eye));
      });
  }
  const qb = vae.parameters().get('quant_conv.bias')!;
  tf.tidy(() =>
    qb.assign(
      tf.concat([qb.value().slice([0], [latentChannels]), tf.fill([latentChannels], Number(process.env.LV ?? -8))]),
    ),
  );
  const trainable = [...vae.parameters().values()].map(p => ({ name: p.path, variable: p.value() }));
  const optimizer = new AdamW(trainable, {
    ...{ betas: [0.9, Number(process.env.B2 ?? 0.99)], epsilon: 1e-8, weightDecay: 0, ema: false },
    compile: enabled,
  });
  const gradients = compiledGradients(
    vae,
    trainable.map(p => p.variable),
    klWeight,
    { precision, enabled },
  );
  const rates = { learningRate, steps, warmupSteps: Math.min(20, steps - 1), minLearningRateRatio: 0.05 };
  print(`small autoencoder: ${vae.countParams().toLocaleString('en')} parameters, ${steps} steps`);
  let printed = start;
  let [firstLoss, lastLoss] = [Number.NaN, Number.NaN];
  try {
    for (let step = 0; step < steps; step++) {
      if (signal?.aborted) {
        throw new InterruptedError(`small autoencoder: interrupted at step ${step} of ${steps}; nothing was written.`, {
          code: 'train.interrupted',
          step,
        });
      }
      const batch = await frames(step);
      const [loss, ...grads] = tf.tidy(() => gradients(batch, rngKey(seed, step, 'autoencoder noise')));
      lastLoss = loss!.dataSync()[0]!;
      const norm = optimizer.gradientNorm(grads);
      tf.dispose([batch, loss!]);
      if (!Number.isFinite(lastLoss) || !Number.isFinite(norm)) {
        tf.dispose(grads);
        throw new WorkError(
          `small autoencoder, step ${step + 1}: the loss is ${lastLoss}, the gradient's norm ${norm}. Lower the learning rate (${learningRate}).`,
          { code: 'train.not-finite', step, loss: lastLoss, norm },
        );
      }
      if (step === 0) firstLoss = lastLoss;
      optimizer.step(grads, {
        learningRate: learningRateAt(step, { ...rates, schedule: 'cosine' }),
        step,
        gradientScale: Math.min(1, CLIP_NORM / (norm + 1e-6)),
      });
      tf.dispose(grads);
      const done = step + 1;
      onProgress?.(done, steps, lastLoss);
      const now = performance.now();
      if (now - printed > PRINT_EVERY_MS || done === steps) {
        const left = formatDuration(((now - start) / 1e3 / done) * (steps - done));
        print(`small autoencoder: step ${done}/${steps}, loss ${lastLoss.toExponential(2)}, ${left} left`);
        printed = now;
      }
    }
    const quality = await measureVae(vae, {
      ...{ frames, heldOut: options.heldOut ?? (index => frames(steps + index)) },
      ...{ batches: measuredBatches, seed, compile: enabled },
    });
    vae.config.scalingFactor = 1 / quality.latentDeviation;
    await write(folder, vae, { ...quality, steps, seed, learningRate, klWeight, loss: lastLoss });
    print(
      `small autoencoder: ${quality.psnr.toFixed(1)} dB on ${quality.frames} frames it was not trained on; ${folder}`,
    );
    return { ...quality, folder, firstLoss, lastLoss, seconds: (performance.now() - start) / 1e3 };
  } finally {
    gradients.dispose();
    optimizer.dispose();
    vae.dispose();
  }
}

/** (frames [N, H, W, 3], noise key [2]) -> loss, gradients in the order of `variables` */
function compiledGradients(
  vae: AutoencoderKL,
  variables: Variable[],
  klWeight: number,
  options: { precision?: Precision; enabled?: boolean },
): CompiledFunction {
  const objective = (frames: Tensor, key: Tensor): Tensor => {
    const latents = vae.encode(frames);
    const noise = randomNormal(latents.mean.shape, key);
    const diff = vae.decode(sampleLatents(latents, noise)).sub(frames);
    const error = (process.env.L1 ? diff.abs() : diff.square()).mean();
    const divergence = latentKl(latents).sum().div(latents.mean.size); // nats a latent number
    return error.add(divergence.mul(klWeight));
  };
  return compile(
    (frames, key) => {
      const { value, grads } = valueAndGrads(() => objective(frames!, key!), variables);
      return [value, ...grads];
    },
    { name: 'train_vae', ...options },
  );
}

/** Writes beside the folder and renames, so that a kill leaves no half autoencoder. */
async function write(folder: string, vae: AutoencoderKL, quality: Record<string, unknown>): Promise<void> {
  const partial = path.join(path.dirname(folder), `.writing-vae-${process.pid}`);
  await mkdir(path.dirname(folder), { recursive: true });
  try {
    await vae.savePretrained(partial);
    await writeFile(path.join(partial, 'quality.json'), `${JSON.stringify(quality, null, 2)}\n`);
    await rename(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
