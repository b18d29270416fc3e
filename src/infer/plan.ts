/**
 * What sampling will need, before it starts: parameters and peak memory of every stage, from configs alone. Steps are
 * traced, not run (engine `estimate`), so that models of any size are planned in seconds and without their memory.
 */
import path from 'node:path';
import type { AnyScheduler } from '../diffusion/index.js';
import type { Precision } from '../engine/index.js';
import { readMemory } from '../engine/machine.js';
import type { Block } from '../models/layers/index.js';
import { CLIPTextModel, T5EncoderModel, textFolders } from '../models/text/index.js';
import { STREAM_ABOVE_BYTES, textFamily } from '../models/text/open-encoder.js';
import { UNet2DConditionModel } from '../models/unet2d/index.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { AutoencoderKL, VideoCodec } from '../models/vae/index.js';
import { type JsonObject, readModelConfig } from '../models/weights/pretrained.js';
import { findCascade } from './cascade-folder.js';
import { Denoiser, type StepSize } from './denoise.js';
import { pretrainedRoots } from './model-folder.js';
import { openScheduler } from './pipeline-parts.js';
import { STAGES, type StageName } from './stage-names.js';
import { textWidth } from './stage-runner.js';
import { type StageOverrides, stageSettings, type VideoShape } from './stage-settings.js';
import { stepSize } from './step-size.js';

/** A network and the shapes that it works on. */
export interface PlannedStage {
  name: StageName | 'firstFrame';
  /** The network; it needs no memory. */
  unet: UNet3DConditionModel | UNet2DConditionModel;
  scheduler: AnyScheduler;
  size: StepSize;
  /** The autoencoder of a latent stage and the frames on its pixel side. */
  codec?: { vae: AutoencoderKL; frames: number; height: number; width: number };
}

export interface SamplingPlanOptions {
  stages: readonly PlannedStage[];
  /** transformers configs of the text encoders; each is in memory by itself, before any stage. */
  texts?: readonly JsonObject[];
  precision?: Precision;
}

export interface StageMemory {
  name: PlannedStage['name'];
  /** [B, F, H, W, C] of one step. */
  sample: number[];
  /** Of the network, and of the autoencoder where there is one. */
  parameters: number;
  weightBytes: number;
  /** Most that a denoising step, or the autoencoder, holds beside the weights. */
  activationBytes: number;
  /** The three passes of which `activationBytes` is the largest; encode and decode include the videos around them. */
  passes: { step: number; encode?: number; decode?: number };
  /** Program, weights and activations, with what allocating them loses; see `predictPeak`. */
  peakBytes: number;
}

export interface TextMemory {
  family: 't5' | 'clip';
  parameters: number;
  /** Layers pass through memory one after the other. */
  streamed: boolean;
  peakBytes: number;
}

export interface SamplingPlan {
  precision: Precision;
  /** Node and TensorFlow themselves. */
  programBytes: number;
  texts: TextMemory[];
  stages: StageMemory[];
  /** The largest of all: stages and text encoders are in memory one after the other. */
  peakBytes: number;
  /** Memory that is free here, for comparison. */
  availableBytes: number;
  fits: boolean;
}

/**
 * Of what is alive in a step, what TensorFlow's allocator takes for it: it hands out pieces of its pool that may be up to
 * 128 MB larger than asked for. Fitted to the full-size stages of experiments/memory (1.3 to 1.4).
 */
const POOL_FACTOR = 1.4;

/** Copies of the largest weight that are alive while it is read or drawn, and laid out (measured there, too). */
const LOADING_COPIES = 4;

/**
 * The peak of a process that loads models and runs their largest pass.
 * @param programBytes what the process takes before
 * @param activationBytes what is alive beside the weights (engine `estimate`)
 */
export function predictPeak(programBytes: number, models: readonly Block[], activationBytes: number): number {
  const sizes = models.flatMap(model => [...model.parameters().values()].map(({ size }) => 4 * size));
  const weights = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 0);
  return Math.round(programBytes + weights + LOADING_COPIES * largest + POOL_FACTOR * activationBytes);
}

/** What streaming a T5 holds beside its layers: the states of many prompts. */
const STREAM_STATE_BYTES = 256 * 2 ** 20;

/** Plans stages that load one after the other. Nothing is read, computed or allocated. */
export function planSampling({ stages, texts = [], precision = 'fp32' }: SamplingPlanOptions): SamplingPlan {
  const programBytes = process.memoryUsage().rss;
  const planned = stages.map(stage => stageMemory(stage, precision, programBytes));
  const encoders = texts.map(json => textMemory(json, programBytes));
  const peakBytes = Math.max(programBytes, ...[...planned, ...encoders].map(part => part.peakBytes));
  const availableBytes = readMemory().available + programBytes; // this program's own is free for itself
  return {
    precision,
    programBytes,
    texts: encoders,
    stages: planned,
    peakBytes,
    availableBytes,
    fits: peakBytes <= availableBytes,
  };
}

function stageMemory({ name, unet, scheduler, size, codec }: PlannedStage, precision: Precision, program: number) {
  const denoiser = new Denoiser({ unet, scheduler, precision });
  const passes: StageMemory['passes'] = { step: denoiser.estimate(size).activationBytes };
  if (codec) {
    const { vae, frames, height, width } = codec;
    const video = 4 * size.sample[0]! * frames * height * width * vae.config.inChannels;
    const passOf = (direction: 'encode' | 'decode') => {
      const videoCodec = new VideoCodec({ vae, precision });
      try {
        return videoCodec.estimate(direction, { height, width }).activationBytes;
      } finally {
        videoCodec.dispose();
      }
    };
    passes.encode = video + passOf('encode');
    passes.decode = 2 * video + passOf('decode'); // the frames, and the video that they are joined to
  }
  denoiser.dispose();
  const parameters = unet.countParams() + (codec?.vae.countParams() ?? 0);
  const activationBytes = Math.max(passes.step, passes.encode ?? 0, passes.decode ?? 0);
  const peakBytes = predictPeak(program, [unet, ...(codec ? [codec.vae] : [])], activationBytes);
  return { name, sample: size.sample, parameters, weightBytes: 4 * parameters, activationBytes, passes, peakBytes };
}

/** @throws InputError when the config is neither a T5's nor a CLIP's */
function textMemory(json: JsonObject, program: number): TextMemory {
  const family = textFamily(json);
  const model = family === 't5' ? new T5EncoderModel(json) : new CLIPTextModel(json);
  const parameters = model.countParams();
  const streamed = family === 't5' && 4 * parameters > STREAM_ABOVE_BYTES;
  const layers = new Map<string, number>();
  for (const [parameter, { size }] of model.parameters()) {
    const layer = /\d+/.exec(parameter)?.[0];
    if (layer !== undefined) layers.set(layer, (layers.get(layer) ?? 0) + size);
  }
  // One layer at work and the next one as it lies in the file, which is float32 at the most.
  const bytes = streamed ? 8 * Math.max(...layers.values()) + STREAM_STATE_BYTES : 4 * parameters;
  return { family, parameters, streamed, peakBytes: program + bytes };
}

export interface FolderPlanOptions extends StageOverrides {
  /** Folders as `findCascade` takes them. */
  models: readonly string[];
  /** Default: every stage that is there. */
  stages?: readonly StageName[];
  weights?: 'ema' | 'raw';
  precision?: Precision;
  /** Videos denoised together (default 1; interp: its windows). */
  batch?: number;
}

/** What a stage gets where the one before it is not planned: the released pipeline's sizes. */
const RELEASED_INPUT: Record<Exclude<StageName, 'base'>, VideoShape> = {
  interp: { frames: 8, height: 40, width: 64, fps: 2 },
  sr1: { frames: 29, height: 40, width: 64, fps: 8 },
  sr2: { frames: 29, height: 160, width: 256, fps: 8 },
};

/**
 * Plans the stages of model folders from their configs; weights are compared by name and shape only.
 * @throws InputError for a stage that is missing or does not fit together
 */
export async function planFolders({ models, batch = 1, ...options }: FolderPlanOptions): Promise<SamplingPlan> {
  const wanted = options.stages ?? (await stagesOf(models, options.weights));
  const folder = await findCascade(models, wanted, options.weights);
  const stages: PlannedStage[] = [];
  const encoders = new Map<string, JsonObject>();
  const roots = [...folder.stages.values()].map(({ root }) => root);
  let input: VideoShape | undefined;
  const rows = ({ sample, condition, classLabels, ...rest }: StepSize): StepSize => ({
    ...rest,
    sample: [batch, ...sample.slice(1)],
    condition: condition && [batch, ...condition.slice(1)],
    classLabels: classLabels && [batch],
  });
  for (const [name, model] of folder.stages) {
    const settings = stageSettings(name, model, input ?? (name === 'base' ? undefined : RELEASED_INPUT[name]), options);
    const { frames, height, width } = settings;
    input = settings;
    const { config, root } = model;
    const text = textFolders([root, ...pretrainedRoots(config?.model.pretrained), ...roots], config?.model.textEncoder);
    const json = readModelConfig(text.encoder);
    encoders.set(JSON.stringify(json), json);
    const tokens = config?.model.maxTextLength ?? 77;
    const add = (
      part: PlannedStage['name'],
      unet: PlannedStage['unet'],
      scheduler: AnyScheduler,
      vae?: AutoencoderKL,
    ) => {
      const latent = vae && { factor: vae.downsampleFactor, channels: vae.config.latentChannels };
      const size = rows(stepSize(part, settings, [tokens, textWidth(unet)], latent));
      stages.push({ name: part, unet, scheduler, size, codec: vae && { vae, frames, height, width } });
    };
    if (name === 'sr1' && folder.firstFrame) {
      const { unet, root: imageRoot } = folder.firstFrame;
      add('firstFrame', UNet2DConditionModel.inspect(unet), await openScheduler(imageRoot));
    }
    const vae = name === 'sr2' ? AutoencoderKL.inspect(path.join(root, 'vae')) : undefined;
    add(name, UNet3DConditionModel.inspect(model.unet), await openScheduler(root, settings.sampler), vae);
  }
  return planSampling({ stages, texts: [...encoders.values()], precision: options.precision });
}

/** Every stage that the folders hold. @throws InputError when there is none */
async function stagesOf(models: readonly string[], weights?: 'ema' | 'raw'): Promise<StageName[]> {
  const found: StageName[] = [];
  let first: unknown;
  for (const stage of STAGES) {
    try {
      await findCascade(models, [stage], weights);
      found.push(stage);
    } catch (error) {
      first ??= error;
    }
  }
  if (found.length === 0) throw first;
  return found;
}
