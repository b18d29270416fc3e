/** Each later stage of the tiny cascade on held-out clips, against what needs no network: blended keyframes, bicubic enlargement. */
import path from 'node:path';
import type { Frames } from '../../src/data/frames.js';
import { readPrompt } from '../../src/data/shapes-vocabulary.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { bicubicUpsample } from '../../src/infer/bicubic.js';
import { InterpSampler } from '../../src/infer/interp.js';
import { Sr1Sampler } from '../../src/infer/sr1.js';
import { Sr2Sampler } from '../../src/infer/sr2.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import { areaDownsample } from '../../src/train/low-resolution.js';
import { measureVideo } from '../prompt-following/check-video.js';
import { blendKeyframes, colourError, decibels, meanSquaredError, sharpness, stepsInDirection } from './measures.js';
import { type HeldOutClip, loadStage, readClips, type StageModel, toFrames, toTensor, withCaption } from './models.js';

export interface Score {
  /** Of the mean squared error over all clips, dB. */
  psnr: number;
  /** See `sharpness`: 1 is the truth's. */
  sharpness: number;
  /** Share of the clips whose dominant colour is the caption's. */
  colour: number;
  /** Distance to the truth's colours on the object, of 255. */
  colourError: number;
  /** interp: share of the steps between frames that move as the truth's do. */
  direction?: number;
}

export interface StageResult {
  stage: string;
  model: string;
  what: string;
  clips: number;
  frames: number;
  size: [width: number, height: number];
  sampler: { name: string; steps: number; guidance: number };
  ours: Score;
  baseline: Score & { name: string };
}

/** One clip as it is shown. */
export interface Shown {
  caption: string;
  baseline: Frames;
  sample: Frames;
  truth: Frames;
}

export interface StageRequest {
  /** A run of the stage. */
  model: string;
  /** Held-out clips: a folder of `show1 data shapes`. */
  data: string;
  clips: number;
  onProgress?: (done: number, total: number) => void;
}

const FPS = 32;
const KEYFRAME_STEP = 4;

class Scores {
  private mse = 0;
  private sharp = 0;
  private rightColour = 0;
  private distance = 0;
  private steps = 0;
  private rightSteps = 0;
  private clips = 0;

  constructor(private readonly withDirection: boolean) {}

  /** @param frames those that count for the PSNR */
  add(video: Frames, { truth, caption }: HeldOutClip, frames?: readonly number[]): void {
    this.clips++;
    this.mse += meanSquaredError(video, truth, frames);
    this.sharp += sharpness(video, truth);
    this.distance += colourError(video, truth);
    if (measureVideo(video).colour === readPrompt(caption).colour) this.rightColour++;
    if (!this.withDirection) return;
    const { right, steps } = stepsInDirection(video, truth);
    this.steps += steps;
    this.rightSteps += right;
  }

  result(): Score {
    const score = {
      psnr: decibels(this.mse / this.clips),
      sharpness: this.sharp / this.clips,
      colour: this.rightColour / this.clips,
      colourError: this.distance / this.clips,
    };
    return this.withDirection ? { ...score, direction: this.rightSteps / this.steps } : score;
  }
}

/** What differs between the measurements. */
interface Measurement {
  stage: 'interp' | 'sr1' | 'sr2' | 'interp+sr1';
  what: string;
  baseline: string;
  frames: number;
  fps: number;
  size: { width: number; height: number };
  /** Frames that count for the PSNR (default all). */
  counted?: number[];
  /** The sample and the baseline of a clip. */
  run(clip: HeldOutClip, seed: number): Promise<{ sample: Frames; baseline: Frames }>;
}

async function measure(
  model: StageModel,
  { data, clips: count, onProgress }: StageRequest,
  { stage, what, baseline: name, frames, fps, size, counted, run }: Measurement,
): Promise<{ result: StageResult; shown: Shown[] }> {
  const clips = await readClips(data, count, { frames, fps, ...size });
  const [ours, theirs] = [new Scores(stage.startsWith('interp')), new Scores(stage.startsWith('interp'))];
  const shown: Shown[] = [];
  for (const [i, clip] of clips.entries()) {
    const { sample, baseline } = await run(clip, 1000 + i);
    ours.add(sample, clip, counted);
    theirs.add(baseline, clip, counted);
    shown.push({ caption: clip.caption, baseline, sample, truth: clip.truth });
    onProgress?.(i + 1, clips.length);
  }
  const { steps, guidanceScale, scheduler } = model.config.validate.sampler;
  const result: StageResult = {
    stage,
    model: model.label,
    what,
    clips: clips.length,
    frames,
    size: [size.width, size.height],
    sampler: { name: scheduler, steps, guidance: guidanceScale },
    ours: ours.result(),
    baseline: { name, ...theirs.result() },
  };
  return { result, shown };
}

/** What all samplers take of a stage. */
function options({ unet, scheduler, config }: StageModel) {
  return { unet, scheduler, precision: config.precision, compile: config.compile };
}

/** A request without what differs between the stages. */
function common({ config }: StageModel, seed: number) {
  const { steps, guidanceScale } = config.validate.sampler;
  return { steps, guidanceScale, seeds: [seed] };
}

/**
 * interp against a straight line between the keyframes. The keyframes are the truth's; the frames between them count for the PSNR.
 * @param stride 1: keyframes as the base stage makes them (every 4th frame at 32 a second); 2: twice as far apart
 */
export async function measureInterp(request: StageRequest, stride: 1 | 2) {
  const model = await loadStage(request.model, 'interp');
  const sampler = new InterpSampler(options(model));
  const { width, height } = model.config.data;
  const frames = stride === 1 ? 29 : 13;
  try {
    return await measure(model, request, {
      stage: 'interp',
      what: `keyframes ${KEYFRAME_STEP * stride}/${FPS} s apart`,
      baseline: 'blending',
      frames,
      fps: FPS / stride,
      size: { width, height },
      counted: Array.from({ length: frames }, (_, f) => f).filter(f => f % KEYFRAME_STEP !== 0),
      async run({ truth, caption }, seed) {
        const video = toTensor(truth);
        const keyframes = tf.tidy(() => tf.gather(video, tf.range(0, frames, KEYFRAME_STEP, 'int32'), 1));
        const sample = await withCaption(model.text, caption, text =>
          sampler.sample({ ...common(model, seed), ...text, keyframes }),
        );
        tf.dispose([video, keyframes]);
        return { sample: await toFrames(sample), baseline: blendKeyframes(truth, KEYFRAME_STEP) };
      },
    });
  } finally {
    sampler.dispose();
    model.dispose();
  }
}

/** The clip made small by the mean of its pixels, and enlarged again as PIL does. */
async function shrinkAndEnlarge(truth: Frames, scale: number): Promise<{ small: Tensor; bicubic: Frames }> {
  const video = toTensor(truth);
  const small = areaDownsample(video, scale);
  video.dispose();
  return { small, bicubic: await toFrames(await bicubicUpsample(small, [truth.height, truth.width])) };
}

/** sr1 against bicubic enlargement. No frame at full size is given: the first one is the small one enlarged. */
export async function measureSr1(request: StageRequest) {
  const model = await loadStage(request.model, 'sr1');
  const sampler = new Sr1Sampler(options(model));
  const { width, height, frames: windowFrames } = model.config.data;
  const { scale, noiseLevel } = model.config.conditioning;
  try {
    return await measure(model, request, {
      stage: 'sr1',
      what: `${width / scale}×${height / scale} to ${width}×${height}, windows of ${windowFrames} frames`,
      baseline: 'bicubic',
      frames: 2 * windowFrames - 1,
      fps: FPS,
      size: { width, height },
      async run({ truth, caption }, seed) {
        const { small: video, bicubic } = await shrinkAndEnlarge(truth, scale);
        const window = { firstFrame: null, scale, windowFrames, noiseLevel: noiseLevel.sampling };
        const sample = await withCaption(model.text, caption, text =>
          sampler.sample({ ...common(model, seed), ...text, ...window, video }),
        );
        video.dispose();
        return { sample: await toFrames(sample), baseline: bicubic };
      },
    });
  } finally {
    sampler.dispose();
    model.dispose();
  }
}

/**
 * interp and sr1 one after the other, from small keyframes of held-out clips alone, against blending and bicubic enlargement one
 * after the other: what of a stage's faults the next one makes worse.
 * @param interpModel a run of stage interp; `request.model` is one of sr1
 */
export async function measureChain(request: StageRequest, interpModel: string) {
  const [interp, sr1] = [await loadStage(interpModel, 'interp'), await loadStage(request.model, 'sr1')];
  const [filler, enlarger] = [new InterpSampler(options(interp)), new Sr1Sampler(options(sr1))];
  const { width, height, frames: windowFrames } = sr1.config.data;
  const { scale, noiseLevel } = sr1.config.conditioning;
  const frames = 29;
  try {
    return await measure(sr1, request, {
      stage: 'interp+sr1',
      what: `8 keyframes of ${width / scale}×${height / scale} to ${frames} frames of ${width}×${height}`,
      baseline: 'blending, bicubic',
      frames,
      fps: FPS,
      size: { width, height },
      async run({ truth, caption }, seed) {
        const { small } = await shrinkAndEnlarge(truth, scale); // [1, 29, h, w, 3]
        const keyframes = tf.tidy(() => tf.gather(small, tf.range(0, frames, KEYFRAME_STEP, 'int32'), 1));
        const filled = await withCaption(interp.text, caption, text =>
          filler.sample({ ...common(interp, seed), ...text, keyframes }),
        );
        const window = { firstFrame: null, scale, windowFrames, noiseLevel: noiseLevel.sampling };
        const sample = await withCaption(sr1.text, caption, text =>
          enlarger.sample({ ...common(sr1, seed), ...text, ...window, video: filled }),
        );
        const blended = toTensor(blendKeyframes(await toFrames(small), KEYFRAME_STEP));
        const baseline = await toFrames(await bicubicUpsample(blended, [height, width]));
        tf.dispose([keyframes, filled, blended]);
        return { sample: await toFrames(sample), baseline };
      },
    });
  } finally {
    filler.dispose();
    enlarger.dispose();
    interp.dispose();
    sr1.dispose();
  }
}

/** sr2 against bicubic enlargement. */
export async function measureSr2(request: StageRequest) {
  const model = await loadStage(request.model, 'sr2');
  const vae = await AutoencoderKL.fromPretrained(path.join(model.root, 'vae'));
  const sampler = new Sr2Sampler({ ...options(model), vae, slice: 4 });
  const { width, height, frames } = model.config.data;
  const { scale, strength } = model.config.conditioning;
  try {
    return await measure(model, request, {
      stage: 'sr2',
      what: `${width / scale}×${height / scale} to ${width}×${height}, strength ${strength}`,
      baseline: 'bicubic',
      frames,
      fps: FPS,
      size: { width, height },
      async run({ truth, caption }, seed) {
        const { small: video, bicubic } = await shrinkAndEnlarge(truth, scale);
        const sample = await withCaption(model.text, caption, text =>
          sampler.sample({ ...common(model, seed), ...text, video, height, width, strength }),
        );
        video.dispose();
        return { sample: await toFrames(sample), baseline: bicubic };
      },
    });
  } finally {
    sampler.dispose();
    vae.dispose();
    model.dispose();
  }
}
