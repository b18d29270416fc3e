/** From prompts to files: runs a pipeline, writes mp4 and GIF for each stage's video and a contact sheet. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { decode } from '../data/ffmpeg.js';
import { writeUnit } from '../data/frames.js';
import type { Precision } from '../engine/index.js';
import { InputError, InterruptedError } from '../errors.js';
import { Show1Pipeline, type StageReport } from './cascade.js';
import { type HostVideo, StageCache } from './stage-cache.js';
import type { StageName } from './stage-names.js';
import { readStages, type StageOverrides, type StageSettings } from './stage-settings.js';
import { contactSheet, type Frames, slug, writeVideo } from './video.js';

export interface SampleRequest extends StageOverrides {
  /** A run, checkpoint, pipeline or cascade folder, or several `STAGE=DIR`. */
  model: string | readonly string[];
  prompts: string[];
  out: string;
  /** In order, from base on; from another with `video` (default base). */
  stages?: readonly string[];
  /** Seed of the first video; the n-th takes seed + n. */
  seed: number;
  /** A file that the first stage starts from where that is not base; every prompt gets it. */
  video?: string;
  /** Videos denoised together (default 4). */
  batch?: number;
  /** interp: windows denoised together (default: all of a batch). */
  batchWindows?: number;
  /** DeepFloyd IF's caption cleaning of the prompts for T5; default lower case alone. */
  cleanCaptions?: boolean;
  precision?: Precision;
  weights?: 'ema' | 'raw';
  /** Fine-tuned deltas, see `CascadeOptions`. */
  deltas?: readonly string[];
  deltaScale?: number;
  /** Keep finished stages in `out/stages`, so that an interrupted or extended cascade goes on (default: when there are several stages). */
  keepStages?: boolean;
  signal?: AbortSignal;
  print?: (line: string) => void;
  onProgress?: (done: number, total: number, what: string) => void;
}

export interface SampleResult {
  model: string;
  samples: { prompt: string; seed: number; path: string; gif: string; stages: Partial<Record<StageName, string>> }[];
  sheet: string;
  /** All stages, with loading and without writing. */
  secondsPerVideo: number;
  /** Of the last stage. */
  settings: Pick<StageSettings, 'steps' | 'guidance' | 'frames' | 'width' | 'height'> & { sampler: string };
  stages: StageReport[];
}

/** Samples every prompt with seed, seed + 1, … and writes `NN-prompt.mp4`, `.gif`, `sheet.png`, `samples.json` into `out`. */
export async function samplePrompts(request: SampleRequest): Promise<SampleResult> {
  const { prompts, out, seed, print = () => {}, onProgress, signal, batch = 4, batchWindows } = request;
  for (const [key, value, least] of [
    ['seed', seed, 0],
    ['batch', batch, 1],
    ['windows', batchWindows ?? 1, 1],
  ] as const) {
    if (Number.isSafeInteger(value + prompts.length) && value >= least) continue;
    throw new InputError(`--${key} is ${value}; it must be a whole number from ${least}`, {
      code: 'infer.option',
      key,
      value,
    });
  }
  const stages = readStages(request.stages ?? ['base'], request.video !== undefined);
  const input = request.video === undefined ? undefined : await readVideo(request.video, stages, request.fps);
  const pipeline = await Show1Pipeline.open({
    ...request,
    models: [request.model].flat(),
    stages,
    input: input && { frames: input.frames, height: input.height, width: input.width, fps: input.fps },
  });
  const count = `${prompts.length} video${prompts.length === 1 ? '' : 's'}`;
  for (const { stage, label, settings } of pipeline.plan) {
    const { frames, width, height, steps, guidance, sampler } = settings;
    print(
      `${stage}: ${label}: ${count} of ${frames}×${width}×${height}, ${steps} steps${sampler ? ` of ${sampler}` : ''}, guidance ${guidance}`,
    );
  }
  if (stages.includes('sr1') && !pipeline.hasFirstFrameModel) {
    print(
      'sr1: no image model for the clean first frame (--model firstFrame=DIR); it is the bicubic enlargement of the small one',
    );
  }

  await makeFolder(out);
  const last = stages.at(-1)!;
  const samples: SampleResult['samples'] = prompts.map((prompt, i) => {
    const stem = `${String(i).padStart(2, '0')}-${slug(prompt)}`;
    return {
      prompt,
      seed: seed + i,
      path: path.join(out, `${stem}.mp4`),
      gif: path.join(out, `${stem}.gif`),
      stages: {},
    };
  });
  const shown: Frames[] = [];
  const write = async (stage: StageName, index: number, video: HostVideo) => {
    const frames = toFrames(video);
    const { settings } = pipeline.plan.find(plan => plan.stage === stage)!;
    const options = { fps: settings.fps, scale: Math.max(1, Math.floor(256 / frames.width)) };
    const sample = samples[index]!;
    const file = stage === last ? sample.path : sample.path.replace(/\.mp4$/, `.${stage}.mp4`);
    await writeVideo(file, frames, options);
    sample.stages[stage] = file;
    if (stage !== last) return;
    await writeVideo(sample.gif, frames, options);
    shown[index] = frames;
  };
  const keepStages = request.keepStages ?? stages.length > 1;
  const { stages: reports } = await pipeline.generate({
    prompts,
    seeds: samples.map(sample => sample.seed),
    batch,
    batchWindows,
    cleanCaptions: request.cleanCaptions,
    input: input && prompts.map(() => input.video),
    cache: keepStages ? new StageCache(path.join(out, 'stages')) : undefined,
    onProgress,
    print,
    onVideo: write,
    checkpoint: () => {
      if (!signal?.aborted) return;
      const done = samples.filter(sample => sample.stages[last]).length;
      const again = keepStages ? '; the same command continues with the stage that was interrupted' : '';
      throw new InterruptedError(`interrupted; ${done} of ${prompts.length} videos are in ${out}${again}`, {
        code: 'infer.interrupted',
      });
    },
  });
  const sheet = path.join(out, 'sheet.png');
  await contactSheet(sheet, shown, { captions: prompts });
  const name = (file: string) => path.basename(file);
  const listed = samples.map(sample => ({
    ...sample,
    path: name(sample.path),
    gif: name(sample.gif),
    stages: Object.fromEntries(Object.entries(sample.stages).map(([stage, file]) => [stage, name(file)])),
  }));
  await writeFile(path.join(out, 'samples.json'), `${JSON.stringify(listed, null, 2)}\n`);
  const { settings } = reports.at(-1)!;
  const { steps, guidance, frames, width, height, sampler = "the folder's own" } = settings;
  return {
    model: pipeline.plan.map(({ label }) => label).join('; '),
    samples,
    sheet,
    secondsPerVideo: reports.reduce((sum, report) => sum + report.secondsPerVideo, 0),
    settings: { steps, guidance, frames, width, height, sampler },
    stages: reports,
  };
}

/** @throws InputError when the folder cannot be made */
async function makeFolder(out: string): Promise<void> {
  try {
    await mkdir(out, { recursive: true });
  } catch (cause) {
    throw new InputError(`--out ${JSON.stringify(out)}: the folder cannot be made: ${(cause as Error).message}`, {
      code: 'infer.out',
      out,
    });
  }
}

/** [F, H, W, 3] in about [-1, 1] -> 8-bit frames, as `tensorToVideo` rounds. */
export function toFrames({ shape: [frames, height, width], data }: HostVideo): Frames {
  const bytes = Uint8Array.from(data, value => Math.min(1, Math.max(0, value * 0.5 + 0.5)) * 255); // truncates
  return { data: bytes, frames, height, width };
}

/** The user's video for the first stage. */
async function readVideo(file: string, stages: readonly StageName[], fps = 8) {
  if (stages[0] === 'base') {
    throw new InputError(`--video ${file}: stage base makes videos from text alone; leave base out of --stages`, {
      code: 'infer.video',
      file,
    });
  }
  const { data, frames, height, width } = await decode(file);
  const values = new Float32Array(data.length);
  writeUnit(data, values);
  const video: HostVideo = { shape: [frames, height, width, 3], data: values };
  return { frames, height, width, fps, video };
}
