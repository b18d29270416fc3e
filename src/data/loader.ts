import { availableParallelism } from 'node:os';
import { InputError, WorkError } from '../errors.js';
import { createClipReader } from './clip-reader.js';
import { clipProblem } from './ffmpeg-errors.js';
import { everyNth, type Frames, frameBytes, writeUnit } from './frames.js';
import { describeCounts, type ManifestEntry } from './manifest.js';
import { PURPOSE, permutation, randomStream } from './random.js';

export interface LoaderOptions {
  entries: readonly ManifestEntry[];
  /** Frames of a sample. */
  frames: number;
  /** Frames a second of a sample; default: each clip's own rate. */
  fps?: number;
  /** Every how many-th frame a sample takes; one of them is drawn for each sample (default [1]). */
  strides?: readonly number[];
  /** Pixels. */
  width: number;
  height: number;
  /** How a clip of another aspect is brought to width x height; default `crop` (centre). */
  fit?: 'crop' | 'pad' | 'stretch';
  batchSize: number;
  /** Order and temporal offsets depend on it, and on nothing else but the entries. */
  seed: number;
  /** ffmpeg children at a time; default: cores, at most 4. */
  workers?: number;
  /** Batches decoded ahead; default 2, 0 for none. */
  prefetch?: number;
  /** Distance between the steps that this process asks for (accumulation or several workers share one order); default 1. */
  stride?: number;
  /** Decoded clips kept in memory, as 8-bit frames; default 1 GiB. */
  cache?: { maxBytes?: number };
  /** Told of every clip that cannot be used, once a clip. */
  onSkip?: (clip: SkippedClip) => void;
}

export interface Batch {
  /** `[B, F, H, W, 3]` in [-1, 1]. */
  videos: Float32Array;
  shape: [number, number, number, number, number];
  captions: string[];
  ids: string[];
}

/** A clip that could not be read and was replaced by the next one of the order. */
export interface SkippedClip {
  id: string;
  path: string;
  /** `truncated`, `too short`, `not a video`, `missing file` … */
  reason: string;
  message: string;
}

export interface LoaderStats {
  /** Clips decoded by ffmpeg so far. */
  decoded: number;
  /** Samples that came from memory. */
  hits: number;
  cachedClips: number;
  cachedBytes: number;
  skipped: number;
}

export interface Loader {
  /** Entries, good or bad. */
  readonly size: number;
  readonly batchesPerEpoch: number;
  readonly skipped: readonly SkippedClip[];
  /**
   * The batch of a step: samples step·B … step·B + B-1 of the endless order. The same for the same step, whatever was
   * asked before, so that a resumed run needs no replay.
   * @throws InputError `loader.nothing-left` when no clip can be read; WorkError `loader.closed`, `ffmpeg.*`
   */
  batch(step: number): Promise<Batch>;
  stats(): LoaderStats;
  /** Stops the running ffmpeg children and waits for them. */
  close(): Promise<void>;
}

const DEFAULT_CACHE_BYTES = 2 ** 30;

function checkOptions(options: LoaderOptions): void {
  const {
    frames,
    width,
    height,
    batchSize,
    workers = 1,
    prefetch = 0,
    stride = 1,
    strides = [1],
    seed,
    fps = 1,
  } = options;
  const least: [string, number, number][] = [
    ...([
      ['frames', frames, 1],
      ['width', width, 1],
      ['height', height, 1],
      ['batchSize', batchSize, 1],
    ] as const),
    ...([
      ['workers', workers, 1],
      ['prefetch', prefetch, 0],
      ['stride', stride, 1],
      ...strides.map(value => ['strides', value, 1] as const),
      ['seed', seed, 0],
    ] as const),
  ].map(([name, value, low]) => [name, value, low]);
  for (const [name, value, low] of least) {
    if (!Number.isSafeInteger(value) || value < low) {
      throw new InputError(`loader: ${name} must be an integer from ${low}, got ${value}`, {
        code: 'loader.option',
        option: name,
        value,
      });
    }
  }
  if (!(fps > 0) || !Number.isFinite(fps)) {
    throw new InputError(`loader: fps must be a positive number, got ${fps}`, {
      code: 'loader.option',
      option: 'fps',
      value: fps,
    });
  }
  if (options.entries.length === 0) {
    throw new InputError('loader: there are no entries to read', { code: 'loader.option', option: 'entries' });
  }
}

/**
 * Reads batches of decoded clips in a seeded order.
 *
 * Sample k is in epoch ⌊k/N⌋ at place k mod N of that epoch's permutation, which depends on (seed, epoch) alone; its stride and
 * temporal offset depend on (seed, epoch, place). A clip that cannot be read is replaced by the next readable one of the permutation. So
 * a sample is a pure function of (entries, options, k).
 */
export function createLoader(options: LoaderOptions): Loader {
  checkOptions(options);
  const { entries, frames, width, height, batchSize, seed, prefetch = 2, stride = 1, strides = [1] } = options;
  const count = entries.length;
  const workers = options.workers ?? Math.min(4, availableParallelism());
  const stop = new AbortController();
  const span = (each: number): number => (frames - 1) * each + 1;
  const reader = createClipReader({
    ...options,
    frames: span(Math.max(...strides)),
    workers,
    cacheBytes: options.cache?.maxBytes ?? DEFAULT_CACHE_BYTES,
    signal: stop.signal,
  });

  const orders = new Map<number, Uint32Array>();
  const order = (epoch: number): Uint32Array => {
    let found = orders.get(epoch);
    if (!found) {
      found = permutation(count, seed, PURPOSE.permutation, epoch);
      if (orders.size >= 2) orders.delete(orders.keys().next().value!);
      orders.set(epoch, found);
    }
    return found;
  };

  const skipped: SkippedClip[] = [];
  const listed = new Set<number>();
  const reasons: Record<string, number> = {};
  const skip = (index: number, reason: string, message: string): void => {
    if (listed.has(index)) return;
    listed.add(index);
    const clip = { id: entries[index]!.id, path: entries[index]!.path, reason, message };
    skipped.push(clip);
    reasons[reason] = (reasons[reason] ?? 0) + 1;
    options.onSkip?.(clip);
  };

  /** The clip at one place of the order, or the next one that can be read. */
  const sample = async (k: number): Promise<{ entry: ManifestEntry; clip: Frames; caption: string }> => {
    const epoch = Math.floor(k / count);
    const place = k - epoch * count;
    const indices = order(epoch);
    for (let step = 0; step < count; step++) {
      if (stop.signal.aborted) throw closed();
      const index = indices[(place + step) % count]!;
      try {
        const chosen = randomStream(seed, PURPOSE.temporalOffset, place, epoch);
        const each = strides[strides.length === 1 ? 0 : chosen.int(strides.length)]!;
        const clip = await reader.read(index, offsets => chosen.int(offsets), span(each));
        const { captions, caption } = entries[index]!;
        // A stream of its own: several captions for one clip change nothing about frames and order.
        const drawn = captions ? randomStream(seed, PURPOSE.captionChoice, place, epoch).int(captions.length) : 0;
        return { entry: entries[index]!, clip: everyNth(clip, each), caption: captions?.[drawn] ?? caption };
      } catch (error) {
        const reason = clipProblem(error);
        if (reason === undefined) throw stop.signal.aborted ? closed() : error;
        skip(index, reason, (error as Error).message);
      }
    }
    throw new InputError(
      `none of the ${count} clips can be read as ${frames} frames: ${describeCounts(reasons)}. First: ${skipped[0]?.message}`,
      { code: 'loader.nothing-left', counts: reasons },
    );
  };

  const load = async (step: number): Promise<Batch> => {
    const samples = await Promise.all(Array.from({ length: batchSize }, (_, b) => sample(step * batchSize + b)));
    const clipSize = frames * frameBytes({ width, height });
    const videos = new Float32Array(batchSize * clipSize); // [B, F, H, W, 3]
    samples.forEach(({ clip }, b) => {
      writeUnit(clip.data, videos, b * clipSize);
    });
    return {
      videos,
      shape: [batchSize, frames, height, width, 3],
      captions: samples.map(({ caption }) => caption),
      ids: samples.map(({ entry }) => entry.id),
    };
  };

  const ahead = new Map<number, Promise<Batch>>();
  const running = new Set<Promise<unknown>>();
  const start = (step: number): Promise<Batch> => {
    const known = ahead.get(step);
    if (known) return known;
    const batch = load(step);
    // A batch read ahead may fail long before somebody asks for it; it fails again, for them, when they do.
    const settled: Promise<void> = batch.then(
      () => undefined,
      () => undefined,
    );
    running.add(settled);
    settled.then(() => running.delete(settled));
    ahead.set(step, batch);
    return batch;
  };

  return {
    size: count,
    batchesPerEpoch: Math.ceil(count / batchSize),
    skipped,
    async batch(step) {
      if (stop.signal.aborted) throw closed();
      if (!Number.isSafeInteger(step) || step < 0) {
        throw new InputError(`loader: step must be an integer from 0, got ${step}`, {
          code: 'loader.option',
          option: 'step',
          value: step,
        });
      }
      const wanted = new Set(Array.from({ length: prefetch + 1 }, (_, i) => step + i * stride));
      for (const old of ahead.keys()) if (!wanted.has(old)) ahead.delete(old);
      const batch = start(step);
      for (const next of wanted) start(next).catch(() => undefined);
      try {
        return await batch;
      } finally {
        // The trainer may write into what it got: a second request reads again.
        ahead.delete(step);
      }
    },
    stats: () => ({ ...reader.stats(), skipped: skipped.length }),
    async close() {
      stop.abort();
      ahead.clear();
      await Promise.all(running);
    },
  };
}

function closed(): WorkError {
  return new WorkError('the loader was closed', { code: 'loader.closed' });
}
