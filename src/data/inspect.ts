import { availableParallelism } from 'node:os';
import { decode, probe, type VideoInfo } from './ffmpeg.js';
import { clipProblem } from './ffmpeg-errors.js';
import type { Frames } from './frames.js';
import { mapLimit } from './limit.js';
import { type ManifestEntry, type ManifestOptions, openManifest, type Skip } from './manifest.js';
import { PURPOSE, permutation } from './random.js';

export interface InspectOptions extends ManifestOptions {
  /** Clips probed at most, drawn by lot; default 500. */
  probes?: number;
  /** Also decode every probed clip to its end: finds files that were cut after their index. */
  full?: boolean;
  /** Clips for a contact sheet; default 12. */
  thumbnails?: number;
  /** Frames of each; default 6. */
  thumbnailFrames?: number;
  workers?: number;
  onProgress?: (done: number, total: number) => void;
}

export interface Spread {
  min: number;
  median: number;
  max: number;
}

/** What a data source holds. */
export interface Inspection {
  source: string;
  kind: string;
  notes: string[];
  /** Clips with a file and a caption. */
  clips: number;
  /** Clips that were opened. */
  probed: number;
  /** Everything passed over, by reason; damaged clips among those that were opened included. */
  skipped: Record<string, number>;
  examples: Skip[];
  fps: Spread;
  seconds: Spread;
  frames: Spread;
  /** The most frequent sizes, `WIDTHxHEIGHT`. */
  sizes: { size: string; clips: number }[];
  codecs: Record<string, number>;
  captions: { distinct: number; words: Spread };
}

export interface InspectionResult {
  inspection: Inspection;
  thumbnails: { video: Frames; caption: string }[];
}

const MOST_SIZES = 8;
const EXAMPLES = 10;
const THUMBNAIL_SIDE = 128;

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return { min: at(0), median: at(0.5), max: at(1) };
}

/** Some of the items in their order: by lot, because an even stride may follow the order's own rhythm. The same every time. */
function pickSome<T>(items: readonly T[], count: number): T[] {
  const chosen = permutation(items.length, 0, PURPOSE.permutation).slice(0, count).sort();
  return Array.from(chosen, index => items[index]!);
}

function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** A few frames of a clip, spread over its length, with its longer side at most 128 pixels. */
async function makeThumbnail(entry: ManifestEntry, info: VideoInfo, frames: number): Promise<Frames> {
  const shrink = Math.min(1, THUMBNAIL_SIDE / Math.max(info.width, info.height));
  const side = (pixels: number): number => Math.max(1, Math.round(pixels * shrink));
  const size = { width: side(info.width), height: side(info.height) };
  const fps = Math.min(info.fps, Math.max(0.01, frames / Math.max(info.seconds, 0.001)));
  return decode(entry, { size, fit: 'stretch', fps, frames, exact: false });
}

/**
 * Lists, probes and summarizes a data source, with thumbnails of some of its clips.
 * @throws InputError `manifest.*` when nothing in it is usable
 */
export async function inspectSource(source: string, options: InspectOptions = {}): Promise<InspectionResult> {
  const { probes = 500, thumbnails = 12, thumbnailFrames = 6, workers = availableParallelism() } = options;
  const manifest = await openManifest(source, options);
  const chosen = pickSome(manifest.entries, probes);
  const skipped = { ...manifest.counts };
  const damaged: Skip[] = [];
  let done = 0;

  /** Undefined for a clip that cannot be read, which is counted. */
  const guard = async <T>(entry: ManifestEntry, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      const reason = clipProblem(error);
      if (reason === undefined) throw error;
      skipped[reason] = (skipped[reason] ?? 0) + 1;
      damaged.push({ path: entry.path, reason, detail: (error as Error).message, source: entry.source });
      return undefined;
    }
  };

  const probed = await mapLimit(chosen, workers, async entry => {
    const info = await guard(entry, async () => {
      const found = await probe(entry);
      if (options.full) await decode(entry, { size: { width: 16, height: 16 } });
      return found;
    });
    options.onProgress?.(++done, chosen.length);
    return info ? { entry, info } : undefined;
  });
  const good = probed.filter(one => one !== undefined);
  const pictures = await mapLimit(pickSome(good, thumbnails), workers, async ({ entry, info }) => {
    const video = await guard(entry, () => makeThumbnail(entry, info, thumbnailFrames));
    return video ? { video, caption: entry.caption } : undefined;
  });

  const infos = good.map(({ info }) => info);
  const sizes = Object.entries(countBy(infos.map(({ width, height }) => `${width}x${height}`)));
  const captions = manifest.entries.map(({ caption }) => caption);
  return {
    inspection: {
      source: manifest.source,
      kind: manifest.kind,
      notes: manifest.notes,
      clips: manifest.entries.length,
      probed: chosen.length,
      skipped,
      examples: [...damaged, ...manifest.skipped].slice(0, EXAMPLES),
      fps: spread(infos.map(({ fps }) => fps)),
      seconds: spread(infos.map(({ seconds }) => seconds)),
      frames: spread(infos.map(({ frames }) => frames)),
      sizes: sizes
        .map(([size, clips]) => ({ size, clips }))
        .sort((a, b) => b.clips - a.clips)
        .slice(0, MOST_SIZES),
      codecs: countBy(infos.map(({ codec }) => codec)),
      captions: { distinct: new Set(captions).size, words: spread(captions.map(one => one.split(/\s+/).length)) },
    },
    thumbnails: pictures.filter(one => one !== undefined),
  };
}
