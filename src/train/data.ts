/** Opens what a training config says about data: the training clips, the held-out clips, and the report of what was skipped. */
import { createHash } from 'node:crypto';
import type { Config } from '../config/schema.js';
import { imageShapes, videoShapes } from '../config/shapes.js';
import { type AssignOptions, assignBuckets, type Bucket, type BucketAssignment } from '../data/buckets.js';
import {
  describeCounts,
  type LoaderBucket,
  type LoaderImages,
  type LoaderOptions,
  type Manifest,
  type ManifestEntry,
  openManifest,
  type SkippedClip,
} from '../data/index.js';
import { InputError } from '../errors.js';
import { turnedCaptions } from './hue-turns.js';

export interface TrainingData {
  train: ManifestEntry[];
  heldOut: ManifestEntry[];
  /** Every caption, for vocabularies. */
  captions: string[];
  /** Of single shapes: what `data` says of width, height and frames. */
  loaderOptions: Pick<
    LoaderOptions,
    | 'frames'
    | 'fps'
    | 'strides'
    | 'width'
    | 'height'
    | 'fit'
    | 'seed'
    | 'workers'
    | 'prefetch'
    | 'prefetchBytes'
    | 'cache'
  >;
  /** Which clips of `train` and of `heldOut` have which shape; undefined where all have that of `data`. */
  buckets?: { train: LoaderBucket[]; heldOut: LoaderBucket[] };
  /** Pictures among the videos. */
  images?: LoaderImages;
  /** Clips and pictures of a batch, on average. */
  clipsPerBatch: number;
  /** Entries passed over before training. */
  skipped: number;
  reportSkip(clip: SkippedClip): void;
}

/** A number in [0, 1) that depends on the clip's name alone, so that the split survives additions to the data. */
function hashShare(id: string): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0) / 2 ** 32;
}

export async function openData(config: Config, print: (line: string) => void): Promise<TrainingData> {
  const { data, seed } = config;
  const pictures = data.frames === 1 && !data.buckets; // a picture is a video of one frame
  const manifest = await openManifest(data.source, { root: data.root, pictures });
  report(manifest, print);
  const { fraction, source: heldOutSource } = data.heldOut;
  // Scenes of one video (data prepare names them ID@1, ID@2 …) are alike: all of them are held out, or none.
  const videoOf = ({ id, segment }: ManifestEntry) => (segment ? id.replace(/@\d+$/, '') : id);
  const isHeldOut = (entry: ManifestEntry) => fraction > 0 && hashShare(videoOf(entry)) < fraction;
  let train = manifest.entries.filter(e => !isHeldOut(e));
  let heldOut = manifest.entries.filter(isHeldOut);
  if (heldOutSource) {
    const other = await openManifest(heldOutSource, { root: data.root, pictures });
    report(other, print);
    heldOut = [...heldOut, ...other.entries];
  }
  if (train.length === 0) {
    throw new InputError(
      `data.heldOut.fraction ${fraction} leaves none of the ${manifest.entries.length} clips of ${data.source} to train on; lower it`,
      {
        code: 'data.nothing-to-train',
      },
    );
  }
  let skipped = Object.values(manifest.counts).reduce((a, b) => a + b, 0);
  const sort = sorter(config, print);
  let buckets: TrainingData['buckets'];
  if (data.buckets) {
    const [own, other] = [await sort('data.source', train), await sort('data.heldOut', heldOut)];
    skipped += own.unplaced.length;
    if (own.entries.length === 0) throw nothingFits('data.buckets', data.source, own);
    [train, heldOut] = [own.entries, other.entries];
    buckets = { train: own.buckets, heldOut: other.buckets };
  }
  const images = await openImages(config, print);
  const captions = [...train, ...heldOut, ...(images?.entries ?? [])].flatMap(e => e.captions ?? [e.caption]);
  return {
    train,
    heldOut,
    captions: data.hueTurns > 0 ? turnedCaptions(captions) : captions,
    buckets,
    images,
    clipsPerBatch: clipsPerBatch(config, buckets?.train, images),
    loaderOptions: {
      frames: data.frames,
      fps: data.fps,
      strides: data.strides,
      width: data.width,
      height: data.height,
      fit: data.fit,
      seed,
      workers: Math.max(1, data.workers),
      prefetch: data.workers === 0 ? 0 : data.prefetch,
      prefetchBytes: data.prefetchBytes,
      cache: { maxBytes: data.cacheBytes },
    },
    skipped,
    reportSkip: clip => print(`skipped ${clip.path}: ${clip.reason}: ${clip.message}`),
  };
}

const PROGRESS_SECONDS = 5;

/** Sorts clips into the shapes of `data`, tells how many went where, and which fit none. */
function sorter(config: Config, print: (line: string) => void) {
  const { fps, strides, bucketMaxCrop: maxCrop, workers } = config.data;
  return async (name: string, entries: ManifestEntry[], shapes: readonly Bucket[] = videoShapes(config)) => {
    let told = performance.now();
    const onProgress: AssignOptions['onProgress'] = (done, total) => {
      if (performance.now() - told < PROGRESS_SECONDS * 1e3) return;
      told = performance.now();
      print(`${name}: sizes of ${done} of ${total} clips looked up`);
    };
    const rules = shapes.every(({ frames }) => frames === 1) ? { fps, maxCrop } : { fps, strides, maxCrop };
    const assigned = await assignBuckets(entries, shapes, { ...rules, workers: Math.max(1, workers), onProgress });
    const list = assigned.buckets.map(
      ({ width, height, frames, members }) => `${width}x${height}x${frames}: ${members.length}`,
    );
    if (entries.length > 0) print(`${name} in ${list.join(', ')}${left(assigned)}`);
    for (const { message } of assigned.unplaced.slice(0, 5)) print(`  left out ${message}`);
    return assigned;
  };
}

function countReasons({ unplaced }: BucketAssignment): string {
  const counts: Record<string, number> = {};
  for (const { reason } of unplaced) counts[reason] = (counts[reason] ?? 0) + 1;
  return describeCounts(counts);
}

const left = (assigned: BucketAssignment): string =>
  assigned.unplaced.length === 0 ? '' : `; left out ${countReasons(assigned)}`;

function nothingFits(key: string, source: string, assigned: BucketAssignment): InputError {
  return new InputError(
    `none of the ${assigned.unplaced.length} clips of ${source} fits a shape of ${key}: ${countReasons(assigned)}. First: ` +
      `${assigned.unplaced[0]!.message}. Add a shape, or raise data.bucketMaxCrop`,
    { code: 'data.no-bucket', key },
  );
}

/** The pictures of `data.images`, in the sizes of the videos. */
async function openImages(config: Config, print: (line: string) => void): Promise<LoaderImages | undefined> {
  const { images, buckets } = config.data;
  if (!images) return undefined;
  const manifest = await openManifest(images.source, { root: images.root, pictures: true });
  report(manifest, print);
  const { share, batchSize = config.train.batchSize } = images;
  if (!buckets) return { share, batchSize, entries: manifest.entries };
  const assigned = await sorter(config, print)('data.images', manifest.entries, imageShapes(config));
  if (assigned.entries.length === 0) throw nothingFits('data.buckets', images.source, assigned);
  return { share, batchSize, entries: assigned.entries, buckets: assigned.buckets };
}

/** Mean over the batches of an epoch, and over those of pictures. */
function clipsPerBatch(
  { train }: Config,
  buckets: LoaderBucket[] | undefined,
  images: LoaderImages | undefined,
): number {
  const clips = buckets?.reduce((sum, { members }) => sum + members.length, 0) ?? train.batchSize;
  const batches = buckets?.reduce((sum, { members, batchSize = 1 }) => sum + members.length / batchSize, 0) ?? 1;
  const share = images?.share ?? 0;
  return (1 - share) * (clips / batches) + share * (images?.batchSize ?? 0);
}

function report(manifest: Manifest, print: (line: string) => void): void {
  for (const note of manifest.notes) print(note);
  const skips = Object.keys(manifest.counts).length > 0 ? `; skipped ${describeCounts(manifest.counts)}` : '';
  print(`${manifest.source}: ${manifest.entries.length} clips${skips}`);
  for (const { path, reason, detail } of manifest.skipped.slice(0, 5))
    print(`  skipped ${path}: ${reason}${detail && `: ${detail}`}`);
}
