/** From prompts to files: loads a model folder, samples in batches, writes mp4, GIF and a contact sheet. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadScheduler, schedulerFromConfig, videoBytes } from '../diffusion/index.js';
import { type Precision, tf } from '../engine/index.js';
import { InputError, InterruptedError } from '../errors.js';
import { textFolders } from '../models/text/folders.js';
import { TextConditioner } from '../models/text/index.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { BaseSampler } from './base.js';
import { findModel } from './model-folder.js';
import { type SamplerName, samplerConfig } from './scheduler.js';
import { contactSheet, slug, writeVideo } from './video.js';

export interface SampleRequest {
  model: string;
  prompts: string[];
  out: string;
  stages?: string[];
  seed: number;
  steps?: number;
  guidance?: number;
  sampler?: SamplerName;
  negative?: string;
  frames?: number;
  width?: number;
  height?: number;
  fps?: number;
  batch?: number;
  precision?: Precision;
  weights?: 'ema' | 'raw';
  signal?: AbortSignal;
  print?: (line: string) => void;
  onProgress?: (done: number, total: number, what: string) => void;
}

export interface SampleResult {
  model: string;
  samples: { prompt: string; seed: number; path: string; gif: string }[];
  sheet: string;
  /** Denoising alone, without loading and writing. */
  secondsPerVideo: number;
  settings: { steps: number; guidance: number; sampler: string; frames: number; width: number; height: number };
}

/** The prompts of `--prompt` and of a file with a prompt a line (empty lines and # comments are skipped). */
export async function readPrompts(given: string[], file?: string): Promise<string[]> {
  let fromFile: string[] = [];
  if (file) {
    const text = await readFile(file, 'utf8').catch(error => {
      throw new InputError(`--prompts ${file}: ${(error as Error).message}`, { code: 'infer.prompts', file });
    });
    fromFile = text
      .split(/\r?\n/)
      .map(line => line.trim())
      .filter(line => line && !line.startsWith('#'));
  }
  const prompts = [...given, ...fromFile];
  if (prompts.length === 0)
    throw new InputError('nothing to sample: give --prompt "…" or --prompts FILE', { code: 'infer.prompts' });
  return prompts;
}

/** Samples every prompt with seed, seed + 1, … and writes `NN-prompt.mp4`, `.gif`, `sheet.png`, `samples.json` into `out`. */
export async function samplePrompts(request: SampleRequest): Promise<SampleResult> {
  const { prompts, out, seed, stages = ['base'], batch = 4, print = () => {}, onProgress, signal } = request;
  checkNumbers(request);
  if (stages.join() !== 'base') {
    throw new InputError(`--stages ${stages.join(',')}: this version samples "base" only`, {
      code: 'infer.stages',
      stages,
    });
  }
  const model = await findModel(request.model, request.weights ?? 'ema');
  const { config } = model;
  const unet = await UNet3DConditionModel.fromPretrained(model.unet);
  const text = await TextConditioner.fromPretrained(
    textFolders(
      [model.root, ...(config?.model.pretrained ? [config.model.pretrained] : [])],
      config?.model.textEncoder,
    ),
    {
      maxLength: config?.model.maxTextLength,
    },
  );
  const trained = await loadScheduler(path.join(model.root, 'scheduler'));
  const samplerName = request.sampler ?? config?.validate.sampler.scheduler;
  const scheduler = samplerName ? schedulerFromConfig(samplerConfig(trained.toConfig(), samplerName)) : trained;
  const settings = {
    steps: request.steps ?? config?.validate.sampler.steps ?? 75,
    guidance: request.guidance ?? config?.validate.sampler.guidanceScale ?? 9,
    sampler: String(scheduler.toConfig()._class_name),
    frames: request.frames ?? config?.data.frames ?? 8,
    width: request.width ?? config?.data.width ?? 64,
    height: request.height ?? config?.data.height ?? 40,
  };
  const fps = request.fps ?? config?.data.fps ?? 2;
  const { frames, width, height } = settings;
  print(
    `${model.label}: ${prompts.length} video${prompts.length === 1 ? '' : 's'} of ${frames}×${width}×${height}, ${settings.steps} steps of ${settings.sampler}, guidance ${settings.guidance}`,
  );

  await mkdir(out, { recursive: true });
  const sampler = new BaseSampler({
    unet,
    scheduler,
    precision: request.precision ?? config?.precision ?? 'fp32',
    compile: config?.compile ?? true,
  });
  const videos: Uint8Array[] = [];
  const samples: SampleResult['samples'] = [];
  let denoising = 0;
  const stop = () => {
    if (signal?.aborted) {
      throw new InterruptedError(`interrupted; ${samples.length} of ${prompts.length} videos are in ${out}`, {
        code: 'infer.interrupted',
      });
    }
  };
  try {
    const unconditional = text.encode([request.negative ?? '']);
    for (let from = 0; from < prompts.length; from += batch) {
      const chunk = prompts.slice(from, from + batch);
      const context = text.encode(chunk);
      const began = performance.now();
      const x = await sampler.sample({
        text: context,
        unconditional,
        frames,
        height,
        width,
        steps: settings.steps,
        guidanceScale: settings.guidance,
        seeds: chunk.map((_, i) => seed + from + i),
        checkpoint: stop,
        onStep: (done, total) =>
          onProgress?.(from + (chunk.length * done) / total, prompts.length, `step ${done}/${total}`),
      });
      denoising += performance.now() - began;
      const bytes = await videoBytes(x); // [B, F, H, W, 3]
      tf.dispose([x, context]);
      const size = bytes.length / chunk.length;
      for (const [i, prompt] of chunk.entries()) {
        const video = { data: bytes.subarray(i * size, (i + 1) * size), frames, height, width };
        const stem = path.join(out, `${String(from + i).padStart(2, '0')}-${slug(prompt)}`);
        const scale = Math.max(1, Math.floor(256 / width));
        await writeVideo(`${stem}.mp4`, video, { fps, scale });
        await writeVideo(`${stem}.gif`, video, { fps, scale });
        samples.push({ prompt, seed: seed + from + i, path: `${stem}.mp4`, gif: `${stem}.gif` });
        videos.push(video.data);
      }
    }
    unconditional.dispose();
  } finally {
    sampler.dispose();
    text.dispose();
    unet.dispose();
  }
  const sheet = path.join(out, 'sheet.png');
  await contactSheet(
    sheet,
    videos.map(data => ({ data, frames, height, width })),
    { captions: prompts },
  );
  const relative = samples.map(s => ({ ...s, path: path.basename(s.path), gif: path.basename(s.gif) }));
  await writeFile(path.join(out, 'samples.json'), `${JSON.stringify(relative, null, 2)}\n`);
  return { model: model.label, samples, sheet, secondsPerVideo: denoising / 1e3 / prompts.length, settings };
}

function checkNumbers(request: SampleRequest): void {
  const whole = ['steps', 'frames', 'width', 'height', 'batch'] as const;
  for (const key of whole) {
    const value = request[key];
    if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
      throw new InputError(`--${key} is ${value}; it must be a whole number from 1`, {
        code: 'infer.option',
        key,
        value,
      });
    }
  }
  if (!Number.isInteger(request.seed) || request.seed < 0) {
    throw new InputError(`--seed is ${request.seed}; it must be a whole number from 0`, {
      code: 'infer.option',
      key: 'seed',
    });
  }
  if (request.guidance !== undefined && !(request.guidance >= 0 && Number.isFinite(request.guidance))) {
    throw new InputError(`--guidance is ${request.guidance}; it must be a number from 0`, {
      code: 'infer.option',
      key: 'guidance',
    });
  }
}
