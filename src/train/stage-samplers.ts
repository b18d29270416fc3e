/**
 * What validation draws in each stage. Base samples prompts; the others sample clips that they did not train on (where any
 * are held out): what the stage was given, what it made of that, and what was filmed.
 */
import type { Config } from '../config/schema.js';
import { createLoader, type Loader } from '../data/index.js';
import { schedulerFromConfig } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { BaseSampler } from '../infer/base.js';
import type { SamplingOptions } from '../infer/denoise.js';
import { InterpSampler } from '../infer/interp.js';
import { samplerConfig } from '../infer/scheduler.js';
import { Sr1Sampler } from '../infer/sr1.js';
import { Sr2Sampler } from '../infer/sr2.js';
import type { TextSource } from '../models/text/index.js';
import type { Assembly } from './assemble.js';
import type { TrainingData } from './data.js';
import { areaDownsample, bicubicEnlarge } from './low-resolution.js';
import { windowCondition } from './stages/interp.js';

export interface StageSamplerContext extends Assembly {
  config: Config;
  data: TrainingData;
}

/** One example: videos [1, F, H, W, 3] that belong side by side, the sample among them; the caller's to dispose. */
export interface Example {
  caption: string;
  seed: number;
  /** Name of the clip, where there is one. */
  clip?: string;
  videos: { label: 'condition' | 'sample' | 'truth'; video: Tensor }[];
}

export interface StageSampler {
  /** Examples that a validation shows. */
  readonly count: number;
  /** @param checkpoint called before each denoising step; an error thrown in it stops the sampling */
  draw(index: number, checkpoint: () => void): Promise<Example>;
  dispose(): Promise<void>;
}

/** The sampler of `config.stage`, with the model's current weights and the settings of `config.validate.sampler`. */
export function createStageSampler(context: StageSamplerContext): StageSampler {
  return context.config.stage === 'base' ? promptSampler(context) : clipSampler(context);
}

/** What all samplers take. */
function common({ config, unet, scheduler }: StageSamplerContext) {
  const sampling = schedulerFromConfig(samplerConfig(scheduler.toConfig(), config.validate.sampler.scheduler));
  return { unet, scheduler: sampling, precision: config.precision, compile: config.compile };
}

/** Encodes a prompt for one request and frees it afterwards. */
async function withPrompt<T>(
  text: TextSource,
  { steps, guidanceScale }: { steps: number; guidanceScale: number },
  prompt: string,
  seed: number,
  run: (options: SamplingOptions) => Promise<T>,
): Promise<T> {
  const [context, empty] = [text.encode([prompt]), text.encode([''])];
  try {
    return await run({ text: context, unconditional: empty, steps, guidanceScale, seeds: [seed] });
  } finally {
    tf.dispose([context, empty]);
  }
}

function promptSampler(context: StageSamplerContext): StageSampler {
  const { config, text } = context;
  const { prompts, seed, sampler: settings } = config.validate;
  const { frames, height, width } = config.data;
  const sampler = new BaseSampler(common(context));
  return {
    count: prompts.length,
    async draw(index, checkpoint) {
      const caption = prompts[index]!;
      const video = await withPrompt(text, settings, caption, seed + index, options =>
        sampler.sample({ ...options, frames, height, width, checkpoint }),
      );
      return { caption, seed: seed + index, videos: [{ label: 'sample', video }] };
    },
    dispose: async () => sampler.dispose(),
  };
}

/** How a stage makes a sample from a clip's condition. */
interface ClipStage {
  /** What the stage is given, as it is shown: [1, F, H, W, 3]. */
  condition(truth: Tensor): Tensor;
  sample(truth: Tensor, options: SamplingOptions): Promise<Tensor>;
  dispose(): void;
}

function clipSampler(context: StageSamplerContext): StageSampler {
  const { config, data, text } = context;
  const { clips, seed, sampler: settings } = config.validate;
  const stage = { interp: interpClips, sr1: sr1Clips, sr2: sr2Clips }[config.stage as 'interp' | 'sr1' | 'sr2'](
    context,
  );
  let loader: Loader | undefined;
  return {
    count: clips,
    async draw(index, checkpoint) {
      const entries = data.heldOut.length > 0 ? data.heldOut : data.train;
      const members = data.heldOut.length > 0 ? data.buckets?.heldOut : data.buckets?.train;
      const buckets = members?.map(bucket => ({ ...bucket, batchSize: 1 }));
      loader ??= createLoader({ ...data.loaderOptions, entries, buckets, batchSize: 1, prefetch: 0 });
      const batch = await loader.batch(index);
      const caption = batch.captions[0]!;
      const truth = tf.tensor(batch.videos, batch.shape); // [1, F, H, W, 3]
      const condition = stage.condition(truth);
      try {
        const video = await withPrompt(text, settings, caption, seed + index, options =>
          stage.sample(truth, { ...options, checkpoint }),
        );
        const videos: Example['videos'] = [
          { label: 'condition', video: condition },
          { label: 'sample', video },
          { label: 'truth', video: truth },
        ];
        return { caption, seed: seed + index, clip: batch.ids[0], videos };
      } catch (error) {
        tf.dispose([truth, condition]);
        throw error;
      }
    },
    async dispose() {
      stage.dispose();
      await loader?.close();
    },
  };
}

function interpClips(context: StageSamplerContext): ClipStage {
  const sampler = new InterpSampler(common(context));
  return {
    condition: truth => tf.tidy(() => windowCondition(truth).slice([0, 0, 0, 0, 0], [-1, -1, -1, -1, 3])),
    async sample(truth, options) {
      const windowFrames = truth.shape[1]!;
      const keyframes = tf.tidy(() =>
        tf.concat([truth.slice([0, 0], [-1, 1]), truth.slice([0, windowFrames - 1], [-1, 1])], 1),
      );
      return sampler.sample({ ...options, keyframes, windowFrames }).finally(() => keyframes.dispose());
    },
    dispose: () => sampler.dispose(),
  };
}

/** The clip made small and enlarged again, [B, F, H, W, 3]. */
const enlarged = (truth: Tensor, scale: number): Tensor =>
  tf.tidy(() => bicubicEnlarge(areaDownsample(truth, scale), truth.shape.slice(2, 4) as [number, number]));

function sr1Clips(context: StageSamplerContext): ClipStage {
  const sampler = new Sr1Sampler(common(context));
  const { scale, firstFrame, noiseLevel } = context.config.conditioning;
  return {
    condition: truth => enlarged(truth, scale),
    async sample(truth, options) {
      const [video, given] = tf.tidy(() => [areaDownsample(truth, scale), truth.slice([0, 0], [-1, 1])]) as [
        Tensor,
        Tensor,
      ];
      const request = { video, scale, windowFrames: truth.shape[1]!, noiseLevel: noiseLevel.sampling };
      // A model that may be without a given first frame is shown without: that is the harder case.
      const first = firstFrame === 1 ? given : null;
      return sampler.sample({ ...options, ...request, firstFrame: first }).finally(() => tf.dispose([video, given]));
    },
    dispose: () => sampler.dispose(),
  };
}

function sr2Clips(context: StageSamplerContext): ClipStage {
  const sampler = new Sr2Sampler({ ...common(context), vae: context.codec!.vae });
  const { scale, strength } = context.config.conditioning;
  return {
    condition: truth => enlarged(truth, scale),
    async sample(truth, options) {
      const [height, width] = truth.shape.slice(2, 4) as [number, number];
      const video = areaDownsample(truth, scale);
      const request = { video, height, width, strength };
      return sampler.sample({ ...options, ...request }).finally(() => video.dispose());
    },
    dispose: () => sampler.dispose(),
  };
}
