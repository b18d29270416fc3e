/** Opens what a training config says about data: the training clips, the held-out clips, and the report of what was skipped. */
import { createHash } from 'node:crypto';
import type { Config } from '../config/schema.js';
import {
  describeCounts,
  type LoaderOptions,
  type Manifest,
  type ManifestEntry,
  openManifest,
  type SkippedClip,
} from '../data/index.js';
import { InputError } from '../errors.js';

export interface TrainingData {
  train: ManifestEntry[];
  heldOut: ManifestEntry[];
  /** Every caption, for vocabularies. */
  captions: string[];
  loaderOptions: Pick<
    LoaderOptions,
    'frames' | 'fps' | 'strides' | 'width' | 'height' | 'fit' | 'seed' | 'workers' | 'prefetch' | 'cache'
  >;
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
  const manifest = await openManifest(data.source, { root: data.root });
  report(manifest, print);
  const { fraction, source: heldOutSource } = data.heldOut;
  const isHeldOut = (entry: ManifestEntry) => fraction > 0 && hashShare(entry.id) < fraction;
  const train = manifest.entries.filter(e => !isHeldOut(e));
  let heldOut = manifest.entries.filter(isHeldOut);
  if (heldOutSource) {
    const other = await openManifest(heldOutSource, { root: data.root });
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
  const skipped = Object.values(manifest.counts).reduce((a, b) => a + b, 0);
  return {
    train,
    heldOut,
    captions: [...train, ...heldOut].flatMap(e => e.captions ?? [e.caption]),
    loaderOptions: {
      frames: data.frames,
      fps: data.fps,
      strides: data.strides,
      width: data.width,
      height: data.height,
      fit: data.fit,
      seed,
      workers: Math.max(1, data.workers),
      prefetch: data.workers === 0 ? 0 : 2,
      cache: { maxBytes: data.cacheBytes },
    },
    skipped,
    reportSkip: clip => print(`skipped ${clip.path}: ${clip.reason}: ${clip.message}`),
  };
}

function report(manifest: Manifest, print: (line: string) => void): void {
  for (const note of manifest.notes) print(note);
  const skips = Object.keys(manifest.counts).length > 0 ? `; skipped ${describeCounts(manifest.counts)}` : '';
  print(`${manifest.source}: ${manifest.entries.length} clips${skips}`);
  for (const { path, reason, detail } of manifest.skipped.slice(0, 5))
    print(`  skipped ${path}: ${reason}${detail && `: ${detail}`}`);
}
