import type { ManifestEntry } from '../manifest.js';
import { round } from './round.js';

/** A clip in the prepared manifest. */
export interface Kept {
  entry: ManifestEntry;
  motion: number;
}

/** A line of `rejected.jsonl`. */
export interface Rejection {
  id?: string;
  path: string;
  reason: string;
  value?: number | string;
  limit?: number | string;
  segment?: { start: number; seconds: number };
  detail: string;
  source: string;
}

/** Counts of values between borders: `{ "0-1": 3, "1-2": 5 }`; the last has no upper border. */
export type Histogram = Record<string, number>;

const BORDERS = {
  seconds: [0, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600],
  fps: [0, 10, 15, 20, 24, 25, 26, 30, 31, 50, 60, 61],
  frames: [0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
  width: [0, 128, 256, 320, 512, 640, 854, 1280, 1920, 2560, 3840],
  height: [0, 128, 240, 256, 360, 480, 576, 720, 1080, 1440, 2160],
  aspect: [0, 0.5, 0.6, 0.8, 1, 1.2, 1.5, 1.7, 1.8, 2, 2.5],
  motion: [0, 0.5, 1, 2, 4, 8, 16, 32, 64, 128],
  words: [0, 1, 3, 5, 8, 12, 16, 24, 32, 64],
} as const;
export type Histograms = Record<keyof typeof BORDERS, Histogram>;

function histogram(values: readonly number[], borders: readonly number[]): Histogram {
  const counts: Histogram = {};
  borders.forEach((low, i) => {
    const high = borders[i + 1] ?? Number.POSITIVE_INFINITY;
    const count = values.filter(value => value >= low && value < high).length;
    if (count > 0) counts[high === Number.POSITIVE_INFINITY ? `${low}-` : `${low}-${high}`] = count;
  });
  return counts;
}

/** How the kept clips are spread; a value on a border counts above it. */
export function histogramsOf(kept: readonly Kept[]): Histograms {
  const infos = kept.flatMap(({ entry }) => (entry.info ? [entry.info] : []));
  const values: Record<keyof typeof BORDERS, number[]> = {
    seconds: infos.map(({ seconds }) => seconds),
    fps: infos.map(({ fps }) => fps),
    frames: infos.map(({ frames }) => frames),
    width: infos.map(({ width }) => width),
    height: infos.map(({ height }) => height),
    aspect: infos.map(({ width, height }) => width / height),
    motion: kept.map(({ motion }) => motion),
    words: kept.map(({ entry }) => entry.caption.split(/\s+/).length),
  };
  const names = Object.keys(BORDERS) as (keyof typeof BORDERS)[];
  return Object.fromEntries(names.map(name => [name, histogram(values[name], BORDERS[name])])) as Histograms;
}

/** A line of the prepared manifest: what `openManifest` needs to trust it without a probe. */
export function manifestLine({ entry, motion }: Kept, path: string): string {
  const { id, caption, captions, info, member, segment, kind } = entry;
  const { width, height, fps, frames, seconds, codec } = info ?? {};
  const measured = kind === 'image' ? {} : { width, height, fps, frames, seconds, codec, motion: round(motion) };
  return JSON.stringify({ id, path, caption, captions, kind, ...measured, member, segment });
}
