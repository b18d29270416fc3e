/** What a loader is told, and the checks of it. */
import { InputError } from '../errors.js';
import type { FeatureReader } from './features.js';
import type { ManifestEntry } from './manifest.js';

/** Clips that become samples of one shape. */
export interface LoaderBucket {
  frames: number;
  /** Pixels. */
  width: number;
  height: number;
  /** Default: the loader's. */
  batchSize?: number;
  /** Its clips, as numbers in the list of entries; `assignBuckets` chooses them. */
  members: ArrayLike<number>;
}

/** Batches of single pictures among the batches of videos. */
export interface LoaderImages {
  /** Pictures (`kind: 'image'`), or videos of which single frames are taken. */
  entries: readonly ManifestEntry[];
  /** Share of the batches, above 0 and below 1. */
  share: number;
  /** Pictures of a batch. */
  batchSize: number;
  /** Of one frame each, the members being numbers in `entries`; default: all pictures become width x height. */
  buckets?: readonly LoaderBucket[];
}

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
  /** Clips by shape, instead of `frames`, `width` and `height` for all; a batch holds clips of one of them. */
  buckets?: readonly LoaderBucket[];
  images?: LoaderImages;
  /** Reads what was computed from the clips before (latents) in place of their frames; without buckets and pictures. */
  features?: FeatureReader;
  /** How a clip of another aspect is brought to width x height; default `crop` (centre). */
  fit?: 'crop' | 'pad' | 'stretch';
  batchSize: number;
  /** Order and temporal offsets depend on it, and on nothing else but the entries. */
  seed: number;
  /** ffmpeg children at a time; default: cores, at most 4. */
  workers?: number;
  /** Batches decoded ahead, 0 for none; default: enough for two clips a worker, at least 2. */
  prefetch?: number;
  /** Bytes of batches decoded ahead, as 8-bit frames; default 1 GiB. */
  prefetchBytes?: number;
  /** Distance between the steps that this process asks for (accumulation or several workers share one order); default 1. */
  stride?: number;
  /** Decoded clips kept in memory, as 8-bit frames; default 1 GiB. */
  cache?: { maxBytes?: number };
  /** Told of every clip that cannot be used, once a clip. */
  onSkip?: (clip: SkippedClip) => void;
}

/** A clip that could not be read and was replaced by the next one of the order. */
export interface SkippedClip {
  id: string;
  path: string;
  /** `truncated`, `too short`, `not a video`, `missing file` … */
  reason: string;
  message: string;
}

function refuse(option: string, message: string, value?: unknown): never {
  throw new InputError(`loader: ${message}`, { code: 'loader.option', option, value });
}

function checkBuckets(name: string, buckets: readonly LoaderBucket[], entries: readonly ManifestEntry[]): void {
  const taken = new Uint8Array(entries.length);
  buckets.forEach(({ members }, i) => {
    for (let m = 0; m < members.length; m++) {
      const member = members[m]!;
      if (entries[member] === undefined) {
        refuse(name, `${name}.${i} names entry ${member}, but there are ${entries.length}`, member);
      }
      if (taken[member]) refuse(name, `${name}.${i} names entry ${member}, which is in a bucket already`, member);
      taken[member] = 1;
    }
  });
  if (buckets.every(({ members }) => members.length === 0)) refuse(name, `no clip is in any of ${name}`);
}

/** @throws InputError `loader.option` */
export function checkOptions(options: LoaderOptions): void {
  if (options.features && (options.buckets || options.images)) {
    refuse('features', 'features of clips (latents from a cache) cannot be combined with buckets or pictures');
  }
  const { workers = 1, prefetch = 0, prefetchBytes = 0, stride = 1, strides = [1], fps = 1, buckets, images } = options;
  const shape = (name: string, { frames, width, height, batchSize = 1 }: Omit<LoaderBucket, 'members'>) =>
    Object.entries({ frames, width, height, batchSize }).map(([key, value]) => [`${name}${key}`, value, 1] as const);
  const least: (readonly [string, number, number])[] = [
    ...shape('', options),
    ...(buckets ?? []).flatMap((bucket, i) => shape(`buckets.${i}.`, bucket)),
    ...(images ? [['images.batchSize', images.batchSize, 1] as const] : []),
    ...(images?.buckets ?? []).flatMap((bucket, i) => shape(`images.buckets.${i}.`, bucket)),
    ['workers', workers, 1],
    ['prefetch', prefetch, 0],
    ['prefetchBytes', prefetchBytes, 0],
    ['stride', stride, 1],
    ...strides.map(value => ['strides', value, 1] as const),
    ['seed', options.seed, 0],
  ];
  for (const [name, value, low] of least) {
    if (Number.isSafeInteger(value) && value >= low) continue;
    refuse(name, `${name} must be an integer from ${low}, got ${value}`, value);
  }
  if (!(fps > 0) || !Number.isFinite(fps)) refuse('fps', `fps must be a positive number, got ${fps}`, fps);
  if (options.entries.length === 0) refuse('entries', 'there are no entries to read');
  if (buckets) checkBuckets('buckets', buckets, options.entries);
  if (!images) return;
  const { share, entries } = images;
  if (!(share > 0 && share < 1))
    refuse('images.share', `images.share must be above 0 and below 1, got ${share}`, share);
  if (entries.length === 0) refuse('images.entries', 'there are no pictures to read');
  if (images.buckets) checkBuckets('images.buckets', images.buckets, entries);
  const long = images.buckets?.find(({ frames }) => frames !== 1);
  if (long) refuse('images.buckets', `a bucket of pictures has one frame, got ${long.frames}`, long.frames);
}
