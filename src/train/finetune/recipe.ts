/** The training config of a fine-tuning: the mode's own file in configs/finetune, what the base was trained with, what the user asked for. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Config, ConfigInput } from '../../config/index.js';
import { loadConfig } from '../../config/index.js';
import { probe } from '../../data/ffmpeg.js';
import { InputError } from '../../errors.js';
import { findCascade } from '../../infer/cascade-folder.js';
import type { ModelFolder } from '../../infer/model-folder.js';
import type { StageName } from '../../infer/stage-names.js';
import type { CaptionedClip, FinetuneRequest, Mode } from './request.js';

/** A run's own learning rate is for a network that knows nothing; a network that is only adapted moves less. */
const RATE_SHARE = 0.5;
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
  /** What trains: clips, pictures and prior videos. */
  train: string;
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
  const prompts = tries.length > 0 ? [...tries] : [...new Set(clips.map(clip => clip.caption))];
  const overrides: ConfigInput = {
    stage,
    output: out,
    note: `${mode}: ${clips[0]?.caption ?? request.images}`,
    model: {
      pretrained: request.base === folder.root || !trained ? folder.root : request.base,
      maxTextLength: folder.recipe?.maxTextLength,
      textEncoder: externalText(trained),
    },
    data: {
      source: sources.train,
      ...(await clipShape(folder, plain.data, clips, print)),
      heldOut: { source: sources.heldOut },
    },
    conditioning: trained?.conditioning,
    diffusion: trained ? { timesteps: trained.diffusion.timesteps } : {},
    precision: trained?.precision,
    train: {
      steps,
      learningRate: request.learningRate ?? (trained ? RATE_SHARE * trained.train.learningRate : undefined),
      batchSize: trained?.train.batchSize,
      trainable: preset ? { preset } : undefined,
    },
    validate: {
      everySteps: every(SAMPLE_TIMES),
      prompts,
      sampler: folder.recipe?.sampler,
      heldOutEverySteps: every(HELD_OUT_TIMES),
      heldOutTimesteps: trained?.validate.heldOutTimesteps,
    },
  };
  return loadConfig(file, { overrides, set }).config;
}

/** An encoder that lies outside the base's folder must be named again; a run's own is found in the folder. */
function externalText(trained: Config | undefined) {
  const { path, tokenizer } = trained?.model.textEncoder ?? {};
  return path ? { path, tokenizer } : undefined;
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
  if (clips.length === 0 || Math.round(shortest * fps) >= frames) return { ...shape, fps };
  const faster = Math.ceil((1000 * frames) / shortest) / 1000;
  print(
    `the base's videos are ${frames} frames at ${fps} a second; a clip lasts ${shortest.toFixed(2)} s, so frames are taken at ${faster} a second`,
  );
  return { ...shape, fps: faster };
}
