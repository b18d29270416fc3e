import { InputError } from '../../errors.js';
import type { ManifestEntry } from '../manifest.js';
import { round } from './round.js';
import type { Scan } from './scan.js';

/** What to do with a video in which the scene changes. */
export type CutMode = 'split' | 'longest' | 'ignore';

export interface Filters {
  /** Seconds of a clip; default from 0, any. */
  minSeconds?: number;
  maxSeconds?: number;
  minFrames?: number;
  /** Pixels. */
  minWidth?: number;
  minHeight?: number;
  /** Width by height. */
  minAspect?: number;
  maxAspect?: number;
  /** Levels of 256 that half a second changes on average; a still picture has less than 1 (see docs/data.md). */
  minMotion?: number;
  /** Words and characters of a caption. */
  minWords?: number;
  maxWords?: number;
  minCharacters?: number;
  maxCharacters?: number;
  /** `split` (default): a clip a scene; `longest`: the longest scene alone; `ignore`: the video as it is. */
  cuts?: CutMode;
  /** How sure a cut must be; default 1, more finds less. */
  cutThreshold?: number;
  /** `drop` (default): of files with the same content the first is kept; `keep`. */
  duplicates?: 'drop' | 'keep';
}

export const DEFAULTS = {
  minFrames: 8,
  minMotion: 0.5,
  minWords: 1,
  cuts: 'split',
  cutThreshold: 1,
  duplicates: 'drop',
} as const;

/** A clip or a scene that is not kept, and by which rule. */
export interface Verdict {
  reason: string;
  value: number | string;
  limit: number | string;
}

/** A scene of a clip; the whole clip has no `segment`. */
export interface Scene {
  segment?: { start: number; seconds: number };
  seconds: number;
  frames: number;
  motion: number;
}

const LOWER_BOUNDS = [
  'minSeconds',
  'minFrames',
  'minWidth',
  'minHeight',
  'minAspect',
  'minMotion',
  'minWords',
  'minCharacters',
] as const;
const UPPER_BOUNDS = ['maxSeconds', 'maxAspect', 'maxWords', 'maxCharacters'] as const;

/** @throws InputError `prepare.option` for a number that is none, below zero, or a least above its most */
export function checkFilters(filters: Filters): void {
  const refuse = (message: string): never => {
    throw new InputError(`data prepare: ${message}`, { code: 'prepare.option' });
  };
  for (const name of [...LOWER_BOUNDS, ...UPPER_BOUNDS, 'cutThreshold'] as const) {
    const value = filters[name];
    if (value !== undefined && !(Number.isFinite(value) && value >= 0))
      refuse(`${name} must be a number from 0, got ${value}`);
  }
  if (filters.cutThreshold !== undefined && filters.cutThreshold < 0.5) {
    refuse(`cutThreshold must be 0.5 or more, got ${filters.cutThreshold}: below, motion counts as cuts`);
  }
  for (const name of UPPER_BOUNDS) {
    const least = filters[name.replace('max', 'min') as keyof Filters] as number | undefined;
    const most = filters[name];
    if (least !== undefined && most !== undefined && least > most)
      refuse(`${name} ${most} is below its least, ${least}`);
  }
}

const below = (reason: string, value: number, limit: number | undefined): Verdict | undefined =>
  limit !== undefined && value < limit ? { reason, value: round(value), limit } : undefined;
const above = (reason: string, value: number, limit: number | undefined): Verdict | undefined =>
  limit !== undefined && value > limit ? { reason, value: round(value), limit } : undefined;

/** What is wrong with one caption. */
function judgeCaption(caption: string, filters: Filters): Verdict | undefined {
  const words = caption.split(/\s+/).filter(word => word !== '').length;
  const characters = [...caption].length;
  return (
    below('caption too short', words, filters.minWords) ??
    above('caption too long', words, filters.maxWords) ??
    below('caption too short', characters, filters.minCharacters) ??
    above('caption too long', characters, filters.maxCharacters)
  );
}

/** The captions of an entry that pass, or why none does. */
export function filterCaptions(entry: ManifestEntry, filters: Filters): string[] | Verdict {
  const captions = entry.captions ?? [entry.caption];
  const good = captions.filter(caption => !judgeCaption(caption, filters));
  return good.length > 0 ? good : judgeCaption(captions[0]!, filters)!;
}

/** What is wrong with a whole video, whatever its scenes are. */
export function judgeVideo({ info }: Scan, filters: Filters): Verdict | undefined {
  const aspect = info.width / info.height;
  return (
    below('too narrow', info.width, filters.minWidth) ??
    below('too low', info.height, filters.minHeight) ??
    below('aspect', aspect, filters.minAspect) ??
    above('aspect', aspect, filters.maxAspect)
  );
}

/** What is wrong with a scene. */
export function judgeScene(scene: Scene, filters: Filters): Verdict | undefined {
  return (
    below('too few frames', scene.frames, filters.minFrames) ??
    below('too short', scene.seconds, filters.minSeconds) ??
    above('too long', scene.seconds, filters.maxSeconds) ??
    below('static', scene.motion, filters.minMotion)
  );
}

/** The mean motion of the half seconds that lie in a part of the clip, or of the one that it lies in. */
function motionIn({ motion, rate, decoded }: Scan, first: number, end: number): number {
  const step = Math.max(1, Math.round(rate / 2));
  const inside = motion.filter((_, i) => i * step >= first && (i + 1) * step < Math.max(end, first + 1));
  const nearest = motion[Math.min(motion.length - 1, Math.floor(Math.min(first, decoded - 1) / step))]!;
  return inside.length === 0 ? nearest : inside.reduce((sum, value) => sum + value, 0) / inside.length;
}

/** The scenes of a clip between its cuts, in their order. */
export function scenesOf(
  scan: Scan,
  offset: number,
  { cuts = DEFAULTS.cuts, cutThreshold = DEFAULTS.cutThreshold }: Filters,
): Scene[] {
  const { info, rate, decoded } = scan;
  const borders =
    cuts === 'ignore' ? [] : scan.cuts.filter(({ score }) => score >= cutThreshold).map(({ frame }) => frame);
  if (borders.length === 0) {
    return [
      {
        seconds: info.seconds,
        frames: Math.min(info.frames, Math.round((decoded * info.fps) / rate)),
        motion: motionIn(scan, 0, decoded),
      },
    ];
  }
  // Where not every frame was looked at, the cut lies somewhere in the step before it.
  const blur = rate < info.fps ? 1 / rate : 0;
  const edges = [0, ...borders, decoded];
  const scenes = edges.slice(1).map((end, i) => {
    const first = edges[i]!;
    const start = first / rate;
    const last = i + 2 === edges.length;
    // A quarter of a frame before the cut is behind the last frame of this scene, and keeps off the next where frames are not even.
    const stop = last ? decoded / rate : end / rate - 0.25 / info.fps - blur;
    const seconds = Math.round((stop - start) * 1e6) / 1e6;
    const segment = { start: Math.round((offset + start) * 1e6) / 1e6, seconds };
    return { segment, seconds, frames: Math.round(seconds * info.fps), motion: motionIn(scan, first, end) };
  });
  const real = scenes.filter(({ seconds }) => seconds > 0);
  if (cuts === 'split') return real;
  return [real.reduce((a, b) => (b.seconds > a.seconds ? b : a))];
}
