/** The training config of a fine-tuning: the mode's own file in configs/finetune, what the base was trained with, what the user asked for. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config, ConfigInput } from '../../config/index.js';
import { loadConfig } from '../../config/index.js';
import { probe } from '../../data/ffmpeg.js';
import { InputError } from '../../errors.js';
import { findCascade } from '../../infer/cascade-folder.js';
import type { ModelFolder } from '../../infer/model-folder.js';
import type { StageName } from '../../infer/stage-names.js';
import type { CaptionedClip, FinetuneRequest, Mode } from './request.js';

/** Share of the steps that show single frames (pictures, or those of prior videos), and how many in place of a clip. */
const FRAME_SHARE = 0.4;
const FRAMES_PER_CLIP = 4;
/** The part of the base's guidance beyond 1 that remains for a motion: one divided by this. */
const MOTION_GUIDANCE = 4;
/** Held-out losses, and times that samples are drawn, in one run. */
const HELD_OUT_TIMES = 10;
const SAMPLE_TIMES = 3;

export interface Base {
  stage: StageName;
  folder: ModelFolder;
}

/** Finds the part of `request.base` that is fine-tuned. @throws InputError as `findCascade` */
export async function findBase({ base, stage }: Pick<FinetuneRequest, 'base' | 'stage'>): Promise<Base> {
  const tried: readonly StageName[] = stage ? [stage] : ['base', 'interp', 'sr1', 'sr2'];
  let failure: unknown;
  for (const name of tried) {
    try {
      const { stages } = await findCascade([base], [name]);
      return { stage: name, folder: stages.get(name)! };
    } catch (error) {
      failure ??= error;
      if (!(error instanceof InputError) || error.code !== 'infer.missing-stage') throw error;
    }
  }
  throw failure;
}

/** The mode's config, from the package (two levels deeper when run from dist/). */
export function modeConfig(mode: Mode): string {
  const near = new URL(`../../../configs/finetune/${mode}.yaml`, import.meta.url);
  const far = new URL(`../../../../configs/finetune/${mode}.yaml`, import.meta.url);
  return fileURLToPath(existsSync(near) ? near : far);
}

export interface Sources {
  /** The clips that train, or pictures alone. */
  train: string;
  /** Pictures, or videos of the base, whose single frames train beside the clips. */
  frames?: string;
  /** What the held-out loss is measured on. */
  heldOut: string;
}

/**
 * @param clips for a motion clip that is shorter than the base's videos, frames are taken faster so that it fills one
 * @throws InputError `config.*` for values that do not fit
 */
export async function finetuneConfig(
  request: FinetuneRequest,
  { stage, folder }: Base,
  clips: readonly CaptionedClip[],
  sources: Sources,
  print: (line: string) => void = () => {},
): Promise<Config> {
  const { mode, out, set, tries = [], preset } = request;
  const trained = folder.config;
  const file = modeConfig(mode);
  const plain = loadConfig(file).config;
  const steps = request.steps ?? plain.train.steps;
  const every = (times: number) => Math.max(1, Math.ceil(steps / times));
  const shown = tries.length > 0 ? [...tries] : [...new Set(clips.map(clip => clip.caption))];
  const prompts = stage === 'base' ? shown : []; // the other stages sample clips
  const overrides: ConfigInput = {
    stage,
    output: out,
    note: `${mode}: ${clips[0]?.caption ?? request.images}`,
    model: {
      pretrained: trained ? path.dirname(folder.unet) : folder.root, // of a run: the very checkpoint
      maxTextLength: folder.recipe?.maxTextLength,
      textEncoder: externalText(trained),
    },
    data: {
      source: sources.train,
      ...(await clipShape(folder, plain.data, clips, print)),
      heldOut: { source: sources.heldOut },
      images: sources.frames
        ? { source: sources.frames, share: FRAME_SHARE, batchSize: FRAMES_PER_CLIP * (trained?.train.batchSize ?? 1) }
        : undefined,
    },
    conditioning: trained?.conditioning,
    diffusion: { timesteps: timestepsOf(mode, trained) },
    precision: trained?.precision,
    train: {
      steps,
      warmupSteps: Math.min(plain.train.warmupSteps, steps - 1),
      learningRate: request.learningRate ?? trained?.train.learningRate,
      batchSize: trained?.train.batchSize,
      trainable: preset ? { preset } : undefined,
    },
    validate: {
      everySteps: stage === 'base' && prompts.length === 0 ? 0 : every(SAMPLE_TIMES),
      prompts,
      sampler: samplerOf(mode, folder),
      heldOutEverySteps: every(HELD_OUT_TIMES),
      heldOutTimesteps: trained?.validate.heldOutTimesteps,
    },
  };
  return loadConfig(file, { overrides, set }).config;
}

/** A motion is decided at high noise, where the mode's own file draws; a look is learned where the base learned its own. */
function timestepsOf(mode: Mode, trained: Config | undefined) {
  if (!trained) return undefined;
  const { min, max, ...sampling } = trained.diffusion.timesteps;
  return mode === 'motion' ? { min, max } : { min, max, ...sampling };
}

/**
 * What a few clips teach is in the prediction with the prompt and in the one without it, so the difference that guidance exaggerates is
 * mostly what the base made of the prompt: a full scale then draws the old motion beside the new one (experiments/motion).
 */
function samplerOf(mode: Mode, { recipe }: ModelFolder) {
  if (!recipe || mode !== 'motion') return recipe?.sampler;
  const { guidanceScale, ...sampler } = recipe.sampler;
  return { ...sampler, guidanceScale: guidanceScale <= 1 ? guidanceScale : 1 + (guidanceScale - 1) / MOTION_GUIDANCE };
}

/** An encoder that lies outside the base's folder must be named again; a run's own is found in the folder. */
function externalText(trained: Config | undefined) {
  const { path: dir, tokenizer } = trained?.model.textEncoder ?? {};
  return dir ? { path: dir, tokenizer } : undefined;
}

/** Frames, rate and size of the base's videos. */
async function clipShape(
  { config, recipe }: ModelFolder,
  plain: Config['data'],
  clips: readonly CaptionedClip[],
  print: (line: string) => void,
): Promise<ConfigInput['data']> {
  const { frames, fps, width, height } = recipe?.video ?? plain;
  const shape = { frames, width, height, fit: config?.data.fit ?? plain.fit };
  const lengths = await Promise.all(clips.map(async clip => (await probe(clip.path)).seconds));
  const shortest = Math.min(...lengths);
  if (clips.length === 0) return { ...shape, fps, frames: 1 }; // pictures
  if (Math.round(shortest * fps) >= frames) return { ...shape, fps };
  const faster = Math.ceil((1000 * frames) / shortest) / 1000;
  print(
    `the base's videos are ${frames} frames at ${fps} a second; a clip lasts ${shortest.toFixed(2)} s, so frames are taken at ${faster} a second`,
  );
  return { ...shape, fps: faster };
}
