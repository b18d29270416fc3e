/** What an evaluation is asked for, with defaults filled in and everything checked that needs no video. */
import { availableParallelism, homedir } from 'node:os';
import path from 'node:path';
import { InputError } from '../errors.js';
import { type ClipSampling, checkSampling, type Position } from './clip-sampling.js';
import type { Shard } from './extract.js';
import { DEFINITIONS, type MetricDefinition, type MetricName } from './metrics.js';
import { parseResolution, type Resolution } from './resolution.js';
import { forSide, type PerSide, type Side } from './set-options.js';

export interface EvaluateRequest {
  metric: MetricName;
  /** Sources of videos; `real` for the metrics that compare with real ones. */
  real?: string;
  generated: string;
  /** The network's converted folder, or the safetensors file in it. */
  weights: string;
  /** Folder where features are kept (default: `eval` in the cache folder of show1). */
  cache?: string;
  preprocess?: string;
  frames?: PerSide<number | 'all'>;
  stride?: PerSide<number>;
  /** null: each video's own rate (the default). */
  fps?: PerSide<number | null>;
  clip?: PerSide<Position>;
  /** See `RESOLUTION_HELP`; default `none`. */
  resolution?: PerSide<string>;
  /** Videos taken, drawn by the seed; default all. */
  samples?: PerSide<number>;
  split?: PerSide<string>;
  root?: PerSide<string>;
  /** Of the draw of subsets, of random clips, and of the order for IS (default 0). */
  seed?: number;
  /** clipsim: a file of prompts in place of captions. */
  prompts?: string;
  /** is: parts of which the mean is reported (default 10), and how often the order is drawn anew (default 1). */
  splits?: number;
  repeats?: number;
  /** Clips (fvd, is) or frames (fid-vid, clipsim) that go through the network together. */
  batch?: number;
  /** ffmpeg children at a time. */
  workers?: number;
  /** Score although there is too little; recorded in the result. */
  allowFew?: boolean;
  /** Compute nothing: what is missing is an error. */
  merge?: boolean;
  /** Kept in the protocol: how the generated videos were made. */
  context?: Record<string, unknown>;
  signal?: AbortSignal;
  print?: (line: string) => void;
  onProgress?: (what: string, done: number, total: number) => void;
}

export interface SideSettings {
  source: string;
  sampling: ClipSampling;
  resolution: Resolution;
  samples?: number;
  split?: string;
  root?: string;
}

export interface Settings {
  definition: MetricDefinition;
  sides: Partial<Record<Side, SideSettings>>;
  preprocess: string;
  seed: number;
  batch: number;
  workers: number;
  cache: string;
}

const optionError = (option: string, value: unknown, allowed: string): InputError =>
  new InputError(`--${option} is ${value}; allowed: ${allowed}`, { code: 'eval.option', option, value });

/** `2/8` -> the second of eight. @throws InputError `eval.option` */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (!(Number(index) >= 1 && Number(index) <= Number(count))) {
    throw optionError('shard', text, 'K/N with K from 1 to N, as 2/8');
  }
  return { index: Number(index) - 1, count: Number(count) };
}

/** `SHOW1_CACHE`, else `XDG_CACHE_HOME` or `~/.cache`, as for everything that show1 keeps; there `show1/eval`. */
export function defaultCache(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.SHOW1_CACHE || env.XDG_CACHE_HOME || path.join(env.HOME || homedir(), '.cache');
  return path.resolve(base, 'show1', 'eval');
}

/** @throws InputError `eval.option` naming the option, its value and what is allowed */
export function readRequest(request: EvaluateRequest): Settings {
  const definition = DEFINITIONS[request.metric];
  const { seed = 0, batch = definition.batch, preprocess = definition.preprocess[0]! } = request;
  if (!definition.preprocess.includes(preprocess)) {
    throw optionError('preprocess', preprocess, definition.preprocess.join(', '));
  }
  const counts = { batch, workers: request.workers, splits: request.splits, repeats: request.repeats };
  for (const [option, value] of Object.entries(counts)) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
      throw optionError(option, value, 'a whole number from 1');
    }
  }
  if (!(Number.isSafeInteger(seed) && seed >= 0)) throw optionError('seed', seed, 'a whole number from 0');
  const sides = Object.fromEntries(definition.sides.map(side => [side, readSide(request, definition, side)]));
  if (request.real !== undefined && !sides.real) {
    throw new InputError(`${definition.title} is measured on generated videos alone; leave out --real`, {
      code: 'eval.option',
      option: 'real',
    });
  }
  return {
    ...{ definition, sides, preprocess, seed, batch },
    workers: request.workers ?? Math.min(4, availableParallelism()),
    cache: request.cache ?? defaultCache(),
  };
}

function readSide(request: EvaluateRequest, definition: MetricDefinition, side: Side): SideSettings {
  const source = request[side];
  if (source === undefined) {
    throw new InputError(`${definition.title} compares with real videos: give --real DIR or MANIFEST`, {
      code: 'eval.option',
      option: 'real',
    });
  }
  const { takesClips, leastFrames, onlyFrames, title } = definition;
  const fps = forSide(request.fps, side);
  const sampling: ClipSampling = {
    frames: forSide(request.frames, side) ?? definition.frames,
    position: forSide(request.clip, side) ?? definition.position,
    stride: forSide(request.stride, side) ?? 1,
    fps: fps === undefined ? null : fps,
    seed: request.seed ?? 0,
  };
  checkSampling(sampling);
  const { frames } = sampling;
  if (takesClips) {
    if (frames === 'all') throw optionError('frames', frames, `a number: ${title} measures clips of one length`);
    if (onlyFrames !== undefined && frames !== onlyFrames) {
      throw optionError('frames', frames, `${onlyFrames}, which is what the network of ${title} takes`);
    }
    if (frames < leastFrames) throw optionError('frames', frames, `a whole number from ${leastFrames} for ${title}`);
    if (sampling.position === 'uniform') {
      throw optionError('clip', 'uniform', `central, random or start: ${title} measures motion`);
    }
  }
  const samples = forSide(request.samples, side);
  if (samples !== undefined && !(Number.isSafeInteger(samples) && samples >= 1)) {
    throw optionError('samples', samples, 'a whole number from 1');
  }
  return {
    source,
    sampling,
    resolution: parseResolution(forSide(request.resolution, side) ?? 'none'),
    samples,
    split: forSide(request.split, side),
    root: forSide(request.root, side),
  };
}
