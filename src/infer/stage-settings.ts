/** How each stage samples: the released pipeline's constants, a run's own config, its delta, and what the user asks for, in this order. */
import { InputError } from '../errors.js';
import type { ModelFolder } from './model-folder.js';
import type { Recipe } from './recipe.js';
import type { SamplerName } from './scheduler.js';
import { STAGES, type StageName } from './stage-names.js';

/** Size of a video. */
export interface VideoShape {
  frames: number;
  height: number;
  width: number;
  fps: number;
}

export interface StageSettings extends VideoShape {
  steps: number;
  guidance: number;
  /** Negative prompt. */
  negative: string;
  /** Sampler to use instead of the folder's own. */
  sampler?: SamplerName;
  /** interp, sr1: frames of a window. */
  windowFrames?: number;
  /** sr1: enlargement, noise level of the condition. */
  scale?: number;
  noiseLevel?: number;
  /** sr2: share of the timesteps that are walked. */
  strength?: number;
}

/** One value for all stages, or one for each that is named. */
export type PerStage<V> = V | Partial<Record<StageName, V>>;

export interface StageOverrides {
  steps?: PerStage<number>;
  guidance?: PerStage<number>;
  sampler?: PerStage<SamplerName>;
  negative?: string;
  /** Size of the base stage's video. */
  frames?: number;
  width?: number;
  height?: number;
  fps?: number;
  /** Size of the last stage's video. */
  finalWidth?: number;
  finalHeight?: number;
  strength?: number;
}

/** Show-1's `run_inference.py`. */
const RELEASED: Record<StageName, { steps: number; guidance: number; negative: string }> = {
  base: { steps: 75, guidance: 9, negative: '' },
  interp: { steps: 75, guidance: 4, negative: '' },
  sr1: { steps: 125, guidance: 7, negative: '' },
  sr2: { steps: 50, guidance: 15, negative: 'low resolution, blur' },
};
/** The first frame's image model, there. */
export const FIRST_FRAME = { steps: 70, guidance: 4, noiseLevel: 150 } as const;

const BASE_SHAPE: VideoShape = { frames: 8, height: 40, width: 64, fps: 2 };
const FINAL_SIZE = { height: 320, width: 576 };

/** The value of one stage. */
export function forStage<V>(value: PerStage<V> | undefined, stage: StageName): V | undefined {
  if (typeof value !== 'object' || value === null) return value as V | undefined;
  return (value as Partial<Record<StageName, V>>)[stage];
}

/**
 * @param input what the stage before (or the user's video) gives; none for base
 * @param deltaGuidance guidance scale of the fine-tuning whose delta is put over the model
 * @throws InputError for values out of range, naming the option
 */
export function stageSettings(
  stage: StageName,
  { recipe }: Pick<ModelFolder, 'recipe'>,
  input: VideoShape | undefined,
  overrides: StageOverrides,
  deltaGuidance?: number,
): StageSettings {
  const released = RELEASED[stage];
  const sampler = recipe?.sampler;
  const common = {
    steps: forStage(overrides.steps, stage) ?? sampler?.steps ?? released.steps,
    guidance: forStage(overrides.guidance, stage) ?? deltaGuidance ?? sampler?.guidanceScale ?? released.guidance,
    negative: overrides.negative ?? (recipe ? '' : released.negative),
    sampler: forStage(overrides.sampler, stage) ?? sampler?.scheduler,
  };
  const settings = { ...common, ...shapeOf(stage, recipe, input, overrides) };
  check(stage, settings);
  return settings;
}

function shapeOf(
  stage: StageName,
  recipe: Recipe | undefined,
  input: VideoShape | undefined,
  overrides: StageOverrides,
): VideoShape & Partial<StageSettings> {
  const data = recipe?.video;
  if (stage === 'base') {
    const own = {
      ...BASE_SHAPE,
      ...(data && { frames: data.frames, height: data.height, width: data.width, fps: data.fps }),
    };
    const { frames = own.frames, height = own.height, width = own.width, fps = own.fps } = overrides;
    return { frames, height, width, fps };
  }
  if (!input) {
    throw new InputError(
      `stage ${stage} works on a video: put the stages before it into --stages, or give one with --video FILE`,
      { code: 'infer.stages', stage },
    );
  }
  const { frames, height, width, fps } = input; // nothing else: the stage before's settings are its own
  if (stage === 'interp') {
    const windowFrames = data?.frames ?? 5;
    const between = windowFrames - 1;
    return { height, width, frames: (frames - 1) * between + 1, fps: fps * between, windowFrames };
  }
  if (stage === 'sr1') {
    const scale = recipe?.conditioning.scale ?? 4;
    const windowFrames = data?.frames ?? 8;
    const noiseLevel = recipe?.conditioning.noiseLevel.sampling ?? 250;
    return { frames, fps, height: height * scale, width: width * scale, scale, windowFrames, noiseLevel };
  }
  return {
    frames,
    fps,
    height: overrides.finalHeight ?? data?.height ?? FINAL_SIZE.height,
    width: overrides.finalWidth ?? data?.width ?? FINAL_SIZE.width,
    strength: overrides.strength ?? recipe?.conditioning.strength ?? 0.8,
  };
}

function check(stage: StageName, settings: StageSettings): void {
  const fail = (key: string, value: unknown, allowed: string) =>
    new InputError(`stage ${stage}: ${key} is ${value}; it must be ${allowed}`, {
      code: 'infer.option',
      stage,
      key,
      value,
    });
  for (const key of ['steps', 'frames', 'height', 'width'] as const) {
    const value = settings[key];
    if (!Number.isInteger(value) || value < 1) throw fail(key, value, 'a whole number from 1');
  }
  if (!(settings.guidance >= 0 && Number.isFinite(settings.guidance))) {
    throw fail('guidance', settings.guidance, 'a number from 0');
  }
  if (!(settings.fps > 0 && Number.isFinite(settings.fps))) throw fail('fps', settings.fps, 'a number above 0');
  const { strength } = settings;
  if (strength !== undefined && !(strength > 0 && strength <= 1)) {
    throw fail('strength', strength, 'above 0 and at most 1');
  }
}

/** Options that one stage alone reads. */
const READ_BY: Partial<Record<keyof StageOverrides, StageName>> = {
  frames: 'base',
  width: 'base',
  height: 'base',
  finalWidth: 'sr2',
  finalHeight: 'sr2',
  strength: 'sr2',
};

/** What to tell a user whose options are meant for stages that do not run. */
export function unusedOptions(overrides: StageOverrides, stages: readonly StageName[]): string[] {
  const note = (option: string, stage: string) =>
    `--${option} is for stage ${stage}, which does not run (${stages.join(', ')} do): it is not used`;
  const single = Object.entries(READ_BY).flatMap(([key, stage]) => {
    const option = key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
    const given = overrides[key as keyof StageOverrides] !== undefined;
    return given && !stages.includes(stage) ? [note(option, stage)] : [];
  });
  const byStage = (['steps', 'guidance', 'sampler'] as const).flatMap(key => {
    const value = overrides[key];
    const named = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    return named.filter(stage => !stages.includes(stage as StageName)).map(stage => note(key, stage));
  });
  return [...single, ...byStage];
}

/** Reads `--stages`: names in the cascade's order, without a gap. @throws InputError otherwise */
export function readStages(names: readonly string[], hasVideo: boolean): StageName[] {
  const unknown = names.find(name => !STAGES.includes(name as StageName));
  const first = STAGES.indexOf(names[0] as StageName);
  const inOrder = names.every((name, i) => STAGES[first + i] === name);
  if (names.length > 0 && unknown === undefined && inOrder && (first === 0 || hasVideo)) return names as StageName[];
  throw new InputError(
    `--stages ${names.join(',')}: ${unknown === undefined ? '' : `"${unknown}" is no stage; `}give stages in the order ${STAGES.join(',')} without a gap, from base on` +
      `${hasVideo ? '' : ' (or from any other with --video FILE)'}`,
    { code: 'infer.stages', stages: names },
  );
}
