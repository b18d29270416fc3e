/** Sorts clips of many sizes and lengths into a few shapes. */
import { createChildPool } from './children.js';
import { probe, type VideoInfo } from './ffmpeg.js';
import { clipProblem } from './ffmpeg-errors.js';
import { probeImage } from './image.js';
import { mapLimit } from './limit.js';
import type { LoaderBucket, SkippedClip } from './loader-options.js';
import type { ManifestEntry } from './manifest.js';
import { nameOf } from './video-source.js';

export interface Bucket {
  frames: number;
  /** Pixels. */
  width: number;
  height: number;
  /** Clips of a batch; default: the loader's. */
  batchSize?: number;
}

export interface BucketRules {
  /** Frames a second of a sample; default: each clip's own rate. */
  fps?: number;
  /** A clip must be long enough for the largest (default [1]). */
  strides?: readonly number[];
  /** Largest share of a frame that may be lost to another aspect ratio, 0 … 1. */
  maxCrop: number;
}

/** The bucket of a clip, or why there is none. */
export type BucketChoice = { bucket: number } | { reason: 'too short' | 'other aspect'; message: string };

/** Aspect ratios this near to each other (in logarithms) count as one: 854x480 is 16:9 too. */
const SAME_ASPECT = 0.02;

const aspectOf = ({ width, height }: { width: number; height: number }): number => Math.log(width / height);
const percent = (share: number): string => `${Math.round(100 * share)} %`;

/**
 * The bucket of the nearest aspect ratio (in logarithms); of those, the one of the most frames that the clip can fill; of those, the
 * largest that it fills without being enlarged, else the smallest. A bucket that would lose more than `maxCrop` of the frame,
 * or that the clip is too short for, does not count.
 */
export function chooseBucket(info: VideoInfo, buckets: readonly Bucket[], rules: BucketRules): BucketChoice {
  const { fps = info.fps, strides = [1], maxCrop } = rules;
  const total = Math.round(info.seconds * fps);
  const aspect = aspectOf(info);
  const needed = (frames: number): number => (frames - 1) * Math.max(...strides) + 1;
  const all = buckets.map((bucket, index) => {
    const distance = Math.abs(aspectOf(bucket) - aspect);
    return { ...bucket, index, distance, lost: 1 - Math.exp(-distance), pixels: bucket.width * bucket.height };
  });
  const near = all.filter(({ lost }) => lost <= maxCrop);
  if (near.length === 0) {
    const { width, height, lost } = all.reduce((a, b) => (b.distance < a.distance ? b : a));
    const message = `is ${info.width}x${info.height}; the nearest bucket, ${width}x${height}, would lose ${percent(lost)} of it, more than ${percent(maxCrop)}`;
    return { reason: 'other aspect', message };
  }
  const filled = near.filter(({ frames }) => needed(frames) <= total);
  if (filled.length === 0) {
    const least = Math.min(...near.map(({ frames }) => needed(frames)));
    const rate = rules.fps === undefined ? 'at its own rate' : `at ${fps} fps`;
    return {
      reason: 'too short',
      message: `has ${total} frames ${rate} (${info.seconds.toFixed(2)} s); the shortest bucket of its aspect needs ${least}`,
    };
  }
  const nearest = Math.min(...filled.map(({ distance }) => distance));
  const alike = filled.filter(({ distance }) => distance <= nearest + SAME_ASPECT);
  const most = Math.max(...alike.map(({ frames }) => frames));
  const sizes = alike.filter(({ frames }) => frames === most).sort((a, b) => a.pixels - b.pixels);
  const whole = sizes.filter(({ width, height }) => width <= info.width && height <= info.height);
  return { bucket: (whole.at(-1) ?? sizes[0]!).index };
}

export interface AssignOptions extends BucketRules {
  /** Programs at a time that look up what the entries do not state. */
  workers?: number;
  /** Told after each clip that had to be opened. */
  onProgress?: (done: number, total: number) => void;
}

export interface BucketAssignment {
  /** The clips that have a bucket, each with what is known about it, so that nothing opens it for that again. */
  entries: ManifestEntry[];
  /** For a loader of these entries, in the order of the given buckets. */
  buckets: (LoaderBucket & { members: Uint32Array })[];
  /** The clips that fit no bucket or cannot be read, and why. */
  unplaced: SkippedClip[];
}

/** Size, rate and length of each entry, or the error that says why it has none; looked up where the source does not state it. */
async function lookUp(entries: readonly ManifestEntry[], { workers = 4, onProgress }: AssignOptions) {
  const pool = createChildPool(workers);
  const total = entries.filter(({ info }) => info === undefined).length;
  let done = 0;
  return mapLimit(entries, 4 * workers, async entry => {
    if (entry.info) return entry.info;
    try {
      return await (entry.kind === 'image' ? probeImage(entry) : probe(entry, { pool }));
    } catch (error) {
      if (clipProblem(error) === undefined) throw error;
      return error as Error;
    } finally {
      onProgress?.(++done, total);
    }
  });
}

/** Chooses a bucket for each clip. The same entries, buckets and rules give the same assignment. */
export async function assignBuckets(
  entries: readonly ManifestEntry[],
  buckets: readonly Bucket[],
  options: AssignOptions,
): Promise<BucketAssignment> {
  const infos = await lookUp(entries, options);
  const members: number[][] = buckets.map(() => []);
  const result: BucketAssignment = { entries: [], buckets: [], unplaced: [] };
  entries.forEach((entry, i) => {
    const info = infos[i]!;
    const leave = (reason: string, message: string): void => {
      result.unplaced.push({ id: entry.id, path: entry.path, reason, message });
    };
    if (info instanceof Error) return leave(clipProblem(info)!, info.message);
    const choice = chooseBucket(info, buckets, options);
    if (!('bucket' in choice)) return leave(choice.reason, `${nameOf(entry)}: ${choice.message}`);
    members[choice.bucket]!.push(result.entries.length);
    result.entries.push({ ...entry, info });
  });
  result.buckets = buckets.map((bucket, i) => ({ ...bucket, members: Uint32Array.from(members[i]!) }));
  return result;
}
