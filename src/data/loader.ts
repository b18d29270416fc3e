import { availableParallelism } from 'node:os';
import { InputError, WorkError } from '../errors.js';
import { createBatchOrder, placeOf } from './batch-order.js';
import { createClipReader, isDecodedWhole } from './clip-reader.js';
import { clipProblem } from './ffmpeg-errors.js';
import { everyNth, frameBytes, writeUnit } from './frames.js';
import { checkOptions, type LoaderBucket, type LoaderOptions, type SkippedClip } from './loader-options.js';
import { describeCounts } from './manifest.js';
import { createReadAhead } from './prefetch.js';
import { PURPOSE, permutation, type RandomStream, randomStream } from './random.js';

export type { LoaderBucket, LoaderImages, LoaderOptions, SkippedClip } from './loader-options.js';

export interface Batch {
  /** `[B, F, H, W, 3]` in [-1, 1]; of a loader with features `[B, F, h, w, c]`. */
  videos: Float32Array;
  shape: [number, number, number, number, number];
  captions: string[];
  ids: string[];
  /** `image`: single pictures, F is 1. */
  kind: 'video' | 'image';
  /** Number of each sample's first frame in its clip, at the loader's rate. */
  offsets: number[];
  /** Every how many-th frame each sample took. */
  strides: number[];
}

export interface LoaderStats {
  /** Clips decoded by ffmpeg so far. */
  decoded: number;
  /** Samples that came from memory. */
  hits: number;
  cachedClips: number;
  cachedBytes: number;
  skipped: number;
  /** Bytes of the batches that are decoded ahead now, and the most that they were. */
  aheadBytes: number;
  mostAheadBytes: number;
}

export interface Loader {
  /** Entries, good or bad; pictures not counted. */
  readonly size: number;
  /** Batches after which every clip was shown. */
  readonly batchesPerEpoch: number;
  readonly skipped: readonly SkippedClip[];
  /**
   * The batch of a step; without buckets and pictures, samples step·B … step·B + B-1 of the endless order. The same for the same
   * step, whatever was asked before, so that a resumed run needs no replay.
   * @throws InputError `loader.nothing-left` when no clip can be read; WorkError `loader.closed`, `ffmpeg.*`
   */
  batch(step: number): Promise<Batch>;
  stats(): LoaderStats;
  /** Stops the running ffmpeg children and waits for them. */
  close(): Promise<void>;
}

const DEFAULT_CACHE_BYTES = 2 ** 30;
const DEFAULT_PREFETCH_BYTES = 2 ** 30;
/** Groups of pictures draw from random streams of their own, behind those of all groups of videos. */
const IMAGE_STREAMS = 2 ** 20;

/** A batch before its frames become floats, which take four times the memory. */
type RawBatch = Omit<Batch, 'videos'> & { frames: Uint8Array };

/** Clips of one shape. */
interface LoaderGroup extends Required<LoaderBucket> {
  /** Of the random numbers. */
  stream: number;
  strides: readonly number[];
  /** `video clips`, for messages. */
  what: string;
}

/**
 * Reads batches of decoded clips in a seeded order.
 *
 * Sample k of a group (all clips, or those of a bucket) is in epoch ⌊k/N⌋ at place k mod N of that epoch's permutation, which depends
 * on (seed, epoch, group) alone; its stride, temporal offset and caption depend on (seed, epoch, place, group). A clip that
 * cannot be read is replaced by the next readable one of the permutation. So a sample is a pure function of
 * (entries, options, group, k), and `batch-order.ts` says which samples a step has.
 */
export function createLoader(options: LoaderOptions): Loader {
  checkOptions(options);
  const { seed, stride = 1, images } = options;
  const workers = options.workers ?? Math.min(4, availableParallelism());
  const entries = [...options.entries, ...(images?.entries ?? [])];
  const videos = videoGroups(options);
  const pictures = imageGroups(options);
  const stop = new AbortController();

  // ---- reading a clip ---------------------------------------------------------------------------------------------
  const span = (frames: number, each: number): number => (frames - 1) * each + 1;
  const groups = [...videos, ...pictures];
  const shapes = groups.map(({ frames, width, height, strides }) => {
    return { frames: span(frames, Math.max(...strides)), width, height };
  });
  const groupOf = new Uint16Array(entries.length);
  groups.forEach(({ members }, g) => {
    for (let i = 0; i < members.length; i++) groupOf[members[i]!] = g;
  });
  const { features } = options;
  const cacheBytes = options.cache?.maxBytes ?? DEFAULT_CACHE_BYTES;
  const reader = createClipReader({
    ...options,
    entries,
    shapeOf: index => shapes[groupOf[index]!]!,
    workers,
    cacheBytes,
    signal: stop.signal,
  });
  /** Frames of a sample: 8-bit pixels, or the bytes of their features. */
  const read = async (index: number, each: number, count: number, chosen: RandomStream, priority: number) => {
    const chooseOffset = (offsets: number) => chosen.int(offsets);
    if (!features) {
      const clip = await reader.read(index, chooseOffset, { count, priority });
      return { data: everyNth(clip, each).data, offset: clip.offset };
    }
    const shape = shapes[groupOf[index]!]!;
    const isWhole = (total: number, seconds: number) =>
      isDecodedWhole({ total, seconds }, shape, { clips: entries.length, cacheBytes });
    const request = { count, each, frames: shape.frames, chooseOffset, isWhole, signal: stop.signal };
    return features.read(entries[index]!, request);
  };

  const skipped: SkippedClip[] = [];
  const listed = new Map<number, SkippedClip>();
  const skip = (index: number, reason: string, message: string): void => {
    if (listed.has(index)) return;
    const clip = { id: entries[index]!.id, path: entries[index]!.path, reason, message };
    listed.set(index, clip);
    skipped.push(clip);
    options.onSkip?.(clip);
  };

  // ---- samples ----------------------------------------------------------------------------------------------------
  const orders = new Map<LoaderGroup, Map<number, Uint32Array>>();
  const order = (group: LoaderGroup, epoch: number): Uint32Array => {
    const known = orders.get(group) ?? new Map<number, Uint32Array>();
    orders.set(group, known);
    let found = known.get(epoch);
    if (!found) {
      found = permutation(group.members.length, seed, PURPOSE.permutation, epoch, group.stream);
      if (known.size >= 2) known.delete(known.keys().next().value!);
      known.set(epoch, found);
    }
    return found;
  };

  /** The clip at one place of a group's order, or the next one that can be read. */
  const sample = async (group: LoaderGroup, k: number, priority: number) => {
    const { members, strides, frames } = group;
    const count = members.length;
    const { epoch, place } = placeOf(k, count);
    const indices = order(group, epoch);
    const numbers = (purpose: typeof PURPOSE.temporalOffset | typeof PURPOSE.captionChoice) =>
      randomStream(seed, purpose, place + group.stream * 2 ** 32, epoch);
    for (let step = 0; step < count; step++) {
      if (stop.signal.aborted) throw closed();
      const index = members[indices[(place + step) % count]!]!;
      const entry = entries[index]!;
      try {
        const chosen = numbers(PURPOSE.temporalOffset);
        const each = strides[strides.length === 1 ? 0 : chosen.int(strides.length)]!;
        const clip = await read(index, each, span(frames, each), chosen, priority);
        const { captions, caption } = entry;
        // A stream of its own: several captions for one clip change nothing about frames and order.
        const drawn = captions ? numbers(PURPOSE.captionChoice).int(captions.length) : 0;
        return {
          id: entry.id,
          caption: captions?.[drawn] ?? caption,
          clip,
          each,
        };
      } catch (error) {
        const reason = clipProblem(error);
        if (reason === undefined) throw stop.signal.aborted ? closed() : error;
        skip(index, reason, (error as Error).message);
      }
    }
    throw nothingLeft(
      group,
      Array.from(members, index => listed.get(index)!),
    );
  };

  // ---- batches ----------------------------------------------------------------------------------------------------
  const sizes = (groups: readonly LoaderGroup[]) =>
    groups.map(({ members, batchSize: B }) => ({ clips: members.length, batchSize: B }));
  const batches = createBatchOrder(sizes(videos), seed, sizes(pictures), images?.share);
  /** [h, w, c] of a frame. */
  const frameShape = ({ height, width }: LoaderGroup) => features?.shape ?? ([height, width, 3] as const);
  const bytesOf = (group: LoaderGroup): number => {
    const [h, w, c] = frameShape(group);
    return group.batchSize * group.frames * (features ? 4 * h * w * c : frameBytes({ height: h, width: w }));
  };

  const loadFrom = async (group: LoaderGroup, batch: number, priority: number): Promise<RawBatch> => {
    const { batchSize: B, frames } = group;
    const samples = await Promise.all(Array.from({ length: B }, (_, b) => sample(group, batch * B + b, priority)));
    const data = new Uint8Array(bytesOf(group)); // [B, F, H, W, 3]
    samples.forEach(({ clip }, b) => {
      data.set(clip.data, (b * data.length) / B);
    });
    return {
      frames: data,
      shape: [B, frames, ...frameShape(group)],
      captions: samples.map(({ caption }) => caption),
      ids: samples.map(({ id }) => id),
      kind: group.stream < IMAGE_STREAMS ? 'video' : 'image',
      offsets: samples.map(({ clip }) => clip.offset),
      strides: samples.map(({ each }) => each),
    };
  };

  const load = async (step: number): Promise<RawBatch> => {
    const { kind, group, batch } = batches.at(step);
    const choice = kind === 'video' ? videos : pictures;
    // Where no clip of a bucket can be read, which its clips alone decide, the next bucket takes its batches.
    for (let i = 0; ; i++) {
      try {
        return await loadFrom(choice[(group + i) % choice.length]!, batch, step);
      } catch (error) {
        if (!isNothingLeft(error)) throw error;
        if (i === choice.length - 1) throw choice.length === 1 ? error : nothingLeft(choice[0]!, skipped, choice);
      }
    }
  };

  const smallest = Math.min(...groups.map(group => group.batchSize));
  const ahead = createReadAhead({
    load,
    bytesOf: step => {
      const { kind, group } = batches.at(step);
      return bytesOf((kind === 'video' ? videos : pictures)[group]!);
    },
    count: options.prefetch ?? Math.max(2, Math.ceil((2 * workers) / smallest)),
    stride,
    maxBytes: options.prefetchBytes ?? DEFAULT_PREFETCH_BYTES,
  });

  return {
    size: options.entries.length,
    batchesPerEpoch: batches.batchesPerEpoch,
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
      const { frames, ...batch } = await ahead.take(step);
      if (features) return { videos: new Float32Array(frames.buffer), ...batch };
      const floats = new Float32Array(frames.length);
      writeUnit(frames, floats);
      return { videos: floats, ...batch };
    },
    stats() {
      const { aheadBytes, mostAheadBytes } = ahead.stats();
      return { ...reader.stats(), skipped: skipped.length, aheadBytes, mostAheadBytes };
    },
    async close() {
      stop.abort();
      await ahead.clear();
    },
  };
}

const range = (length: number): Uint32Array => Uint32Array.from({ length }, (_, i) => i);

function videoGroups({
  entries,
  frames,
  width,
  height,
  batchSize,
  strides = [1],
  buckets,
}: LoaderOptions): LoaderGroup[] {
  const all = buckets ?? [{ frames, width, height, members: range(entries.length) }];
  return all
    .map((bucket, stream) => ({ batchSize, ...bucket, stream, strides, what: 'clips' }))
    .filter(({ members }) => members.length > 0);
}

/** Pictures are numbered behind the videos. */
function imageGroups({ entries, width, height, images }: LoaderOptions): LoaderGroup[] {
  if (!images) return [];
  const { batchSize } = images;
  const all = images.buckets ?? [{ frames: 1, width, height, members: range(images.entries.length) }];
  return all
    .map(({ members, ...bucket }, i) => ({
      ...{ batchSize, ...bucket, strides: [1], what: 'pictures' },
      stream: IMAGE_STREAMS + i,
      members: Uint32Array.from(members, member => entries.length + member),
    }))
    .filter(({ members }) => members.length > 0);
}

function closed(): WorkError {
  return new WorkError('the loader was closed', { code: 'loader.closed' });
}

const isNothingLeft = (error: unknown): boolean => error instanceof InputError && error.code === 'loader.nothing-left';

function nothingLeft(group: LoaderGroup, skips: readonly SkippedClip[], groups = [group]): InputError {
  const counts: Record<string, number> = {};
  for (const { reason } of skips) counts[reason] = (counts[reason] ?? 0) + 1;
  const clips = groups.reduce((sum, { members }) => sum + members.length, 0);
  const as = groups.length > 1 ? 'in any bucket' : `as ${group.frames} frames`;
  return new InputError(
    `none of the ${clips} ${group.what} can be read ${as}: ${describeCounts(counts)}. First: ${skips[0]?.message}`,
    { code: 'loader.nothing-left', counts },
  );
}
