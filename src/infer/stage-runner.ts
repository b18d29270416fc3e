/** Opens one stage of the cascade and runs it on batches of videos; weights are in memory from `open` to `close` only. */
import path from 'node:path';
import type { Precision, Tensor } from '../engine/index.js';
import { InputError } from '../errors.js';
import { UNet2DConditionModel } from '../models/unet2d/index.js';
import { sizeMultiple } from '../models/unet3d/check-inputs.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { AutoencoderKL } from '../models/vae/index.js';
import { BaseSampler } from './base.js';
import { type StageDelta, withDelta } from './deltas.js';
import type { SamplingOptions, StepSize } from './denoise.js';
import { FirstFrameSampler } from './first-frame.js';
import { InterpSampler } from './interp.js';
import type { ModelFolder } from './model-folder.js';
import { checkParts, openNoisingSchedule, openScheduler } from './pipeline-parts.js';
import { Sr1Sampler } from './sr1.js';
import { Sr2Sampler } from './sr2.js';
import type { StageName } from './stage-names.js';
import { FIRST_FRAME, type StageSettings, type VideoShape } from './stage-settings.js';
import { stepSize } from './step-size.js';

type Passed = 'text' | 'unconditional' | 'seeds' | 'onStep' | 'checkpoint' | 'noise' | 'observe';

/** What is asked of a stage for one batch. */
export interface StageCall extends Pick<SamplingOptions, Passed> {
  /** The stage before's video, [B, F, H, W, 3] in [-1, 1]; none for base. */
  input?: Tensor;
  /** sr1: the clean first frame, [B, 1, H, W, 3]; without one, the bicubic enlargement of the input's. */
  firstFrame?: Tensor;
  /** interp: windows denoised together. */
  batchWindows?: number;
}

export interface StageOptions {
  settings: StageSettings;
  precision?: Precision;
  compile?: boolean;
  delta?: StageDelta;
}

const CHANNELS: Record<StageName, number> = { base: 3, interp: 7, sr1: 6, sr2: 4 };

/** Text embedding width of a UNet. */
export function textWidth({ config }: UNet3DConditionModel | UNet2DConditionModel): number {
  return config.encoderHidDim ?? [config.crossAttentionDim].flat()[0]!;
}

/**
 * Checks all that a stage will load and do: parts, configs, names and shapes of every weight, sizes, steps. Nothing is read
 * or allocated.
 * @returns the width of the text embeddings that its UNet takes
 * @throws InputError for the first thing that is missing or does not fit
 */
export async function inspectStage(
  stage: StageName,
  folder: ModelFolder,
  settings: StageSettings,
  input?: VideoShape,
): Promise<number> {
  checkParts(stage, folder);
  await checkSteps(folder.root, settings);
  if (stage === 'sr1') await openNoisingSchedule(folder.root);
  const unet = UNet3DConditionModel.inspect(folder.unet);
  if (unet.config.inChannels !== CHANNELS[stage]) {
    throw new InputError(
      `${folder.unet} takes ${unet.config.inChannels} channels, but stage ${stage} has ${CHANNELS[stage]}: is it the UNet of another stage?`,
      { code: 'infer.channels', stage, channels: unet.config.inChannels },
    );
  }
  const vae = stage === 'sr2' ? AutoencoderKL.inspect(path.join(folder.root, 'vae')) : undefined;
  checkGeometry(stage, settings, input, vae?.downsampleFactor ?? sizeMultiple(unet.config));
  return textWidth(unet);
}

/** Opens the scheduler that the stage will use and sets its steps. @throws InputError where they do not fit */
async function checkSteps(root: string, { sampler, steps }: Pick<StageSettings, 'sampler' | 'steps'>): Promise<void> {
  (await openScheduler(root, sampler)).setTimesteps(steps);
}

/** Sizes and numbers that the stage cannot work on, named by the options that set them. */
function checkGeometry(
  stage: StageName,
  { width, height, steps, strength = 1 }: StageSettings,
  input: VideoShape | undefined,
  multiple: number,
): void {
  const options = { base: '--width and --height', sr2: '--final-width and --final-height' }[stage as 'base' | 'sr2'];
  if (width % multiple || height % multiple) {
    throw new InputError(
      `stage ${stage} would make frames of ${width}×${height}; its network needs multiples of ${multiple}: change ${options ?? "the size of base's video (--width and --height)"}`,
      { code: 'infer.size', stage, width, height, multiple },
    );
  }
  if (stage === 'interp' && input && input.frames < 2) {
    throw new InputError(
      `stage interp fills the time between keyframes, but gets ${input.frames}; two are the least: change --frames`,
      { code: 'infer.interp-frames', frames: input.frames },
    );
  }
  if (stage === 'sr2' && Math.floor(steps * strength) < 1) {
    throw new InputError(
      `stage sr2 takes the last ${strength} of ${steps} steps, which is none: raise --steps (sr2=…) or --strength`,
      { code: 'infer.strength', steps, strength },
    );
  }
}

/** The same for the first frame's image model. */
export async function inspectFirstFrame(folder: ModelFolder): Promise<number> {
  checkParts('firstFrame', folder);
  await checkSteps(folder.root, FIRST_FRAME);
  await openNoisingSchedule(folder.root);
  const unet = UNet2DConditionModel.inspect(folder.unet);
  if (unet.config.inChannels !== 6) {
    throw new InputError(
      `${folder.unet} takes ${unet.config.inChannels} channels; the first frame's model is an image super-resolution UNet with 6 (DeepFloyd IF-II)`,
      { code: 'infer.channels', channels: unet.config.inChannels },
    );
  }
  return textWidth(unet);
}

export interface StageRunner {
  /** Bytes that a step needs beside the weights for one video (interp: one window); `text` is an embedding's [L, D]. */
  stepBytes(text: [number, number]): number;
  /** @returns the stage's video, [B, F, H, W, 3] in about [-1, 1]; the caller's to dispose */
  run(call: StageCall): Promise<Tensor>;
  /** Frees weights and compiled functions. */
  close(): void;
}

/** Loads a stage. @throws InputError as `inspectStage` */
export async function openStage(stage: StageName, folder: ModelFolder, options: StageOptions): Promise<StageRunner> {
  const { settings, precision, compile } = options;
  const scheduler = await openScheduler(folder.root, settings.sampler);
  const owned: { dispose(): unknown }[] = [];
  const own = <T extends { dispose(): unknown }>(value: T): T => {
    owned.push(value);
    return value;
  };
  const close = () => {
    for (const one of owned.splice(0).reverse()) one.dispose();
  };
  try {
    const common = { scheduler, precision, compile };
    const load = async () => withDelta(await UNet3DConditionModel.fromPretrained(folder.unet), options.delta);
    const { steps, guidance: guidanceScale } = settings;
    const runner = (
      sampler: { stepBytes(size: StepSize): number },
      run: StageRunner['run'],
      latent?: { factor: number; channels: number },
    ): StageRunner => ({
      run,
      close,
      stepBytes: text => sampler.stepBytes(stepSize(stage, settings, text, latent)),
    });
    switch (stage) {
      case 'base': {
        const sampler = own(new BaseSampler({ ...common, unet: own(await load()) }));
        return runner(sampler, call => sampler.sample({ ...settings, ...call, guidanceScale }));
      }
      case 'interp': {
        const sampler = own(new InterpSampler({ ...common, unet: own(await load()) }));
        const { windowFrames } = settings;
        return runner(sampler, ({ input, ...call }) =>
          sampler.sample({ ...call, keyframes: input!, steps, guidanceScale, windowFrames }),
        );
      }
      case 'sr1': {
        const noisingSchedule = await openNoisingSchedule(folder.root);
        const sampler = own(new Sr1Sampler({ ...common, unet: own(await load()), noisingSchedule }));
        const { scale, windowFrames, noiseLevel } = settings;
        return runner(sampler, ({ input, firstFrame, ...call }) =>
          sampler.sample({ ...call, video: input!, firstFrame, steps, guidanceScale, scale, windowFrames, noiseLevel }),
        );
      }
      case 'sr2': {
        const vae = own(await AutoencoderKL.fromPretrained(path.join(folder.root, 'vae')));
        const sampler = own(new Sr2Sampler({ ...common, unet: own(await load()), vae }));
        const { height, width, strength } = settings;
        return runner(
          sampler,
          ({ input, ...call }) =>
            sampler.sample({ ...call, video: input!, height, width, strength, steps, guidanceScale }),
          { factor: vae.downsampleFactor, channels: vae.config.latentChannels },
        );
      }
    }
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Loads the image model of sr1's first frame. It is a step of its own before sr1, so that the two are never in memory
 * together. `settings` are sr1's; `run` gives [B, 1, H, W, 3].
 */
export async function openFirstFrame(
  folder: ModelFolder,
  { settings, precision, compile }: StageOptions,
): Promise<StageRunner> {
  const scheduler = await openScheduler(folder.root);
  const noisingSchedule = await openNoisingSchedule(folder.root);
  const unet = await UNet2DConditionModel.fromPretrained(folder.unet);
  const sampler = new FirstFrameSampler({ unet, scheduler, precision, compile, noisingSchedule });
  const { height, width } = settings;
  const { steps, guidance: guidanceScale, noiseLevel } = FIRST_FRAME;
  return {
    stepBytes: text => sampler.stepBytes(stepSize('firstFrame', settings, text)),
    run: async ({ input, ...call }) => {
      const image = input!.slice([0, 0], [-1, 1]); // [B, 1, h, w, 3]
      return sampler
        .sample({ ...call, image, height, width, steps, guidanceScale, noiseLevel })
        .finally(() => image.dispose());
    },
    close: () => {
      sampler.dispose();
      unet.dispose();
    },
  };
}
