/** What a figure follows from. Nobody can compare figures whose protocols are not known, so every result carries its own. */
import { describePrograms } from '../data/ffmpeg-locate.js';
import { tf } from '../engine/index.js';
import { nativeBackend } from '../engine/raw.js';
import { VERSION } from '../version.js';
import type { Position } from './clip-sampling.js';
import type { MetricName, NetworkKind } from './metrics.js';
import type { Side } from './set-options.js';
import type { Rejected } from './sets.js';

export interface SideProtocol {
  /** As it was given. */
  source: string;
  kind: string;
  split: string | null;
  /** Videos measured. */
  videos: number;
  /** Wanted by --samples; null: all. */
  samples: number | null;
  /** Of the videos' contents, whatever their names and order. */
  filesSha256: string;
  frames: number | 'all';
  stride: number;
  /** `native`: frame for frame. */
  fps: number | 'native';
  clip: Position;
  /** Of position `random`, else null. */
  clipSeed: number | null;
  resolution: string;
  /** Videos that could not be measured, by reason. */
  rejected: Record<string, number>;
}

export interface Protocol {
  metric: MetricName;
  network: { kind: NetworkKind; sha256: string; source: object | null; config: object; features: number };
  preprocess: string;
  /** Clips, or frames, that went through the network together. */
  batch: number;
  /** Of the draw of subsets and of random clips. */
  seed: number;
  sides: Partial<Record<Side, SideProtocol>>;
  /** Fewer samples than the metric needs were allowed. */
  allowFew: boolean;
  /** What this metric alone has: splits and repeats, prompts, tokenizer … */
  options: Record<string, unknown>;
  /** How the generated videos were made, where that is known. */
  context: Record<string, unknown>;
  versions: Record<'show1' | 'node' | 'tfjs' | 'tensorflow' | 'ffmpeg', string>;
}

export interface EvaluationResult {
  metric: MetricName;
  value: number;
  /** More figures of the same videos. */
  details: Record<string, unknown>;
  /** Videos measured. */
  samples: Partial<Record<Side, number>>;
  /** What there is too little of, where `--allow-few` let it pass. */
  few: string | null;
  protocol: Protocol;
  rejected: Partial<Record<Side, Rejected[]>>;
}

export function versions(): Protocol['versions'] {
  return {
    show1: VERSION,
    node: process.versions.node,
    tfjs: tf.version.tfjs ?? tf.version['tfjs-core'],
    tensorflow: nativeBackend().binding.TF_Version,
    ffmpeg: describePrograms().ffmpeg.version,
  };
}

export function countReasons(rejected: readonly Rejected[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { reason } of rejected) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

/** A field that two results do not share. */
export interface Difference {
  field: string;
  a: unknown;
  b: unknown;
}

/** What two figures may differ in and still compare: the videos that are judged, where files lie, and the software. */
const HARMLESS = [
  /^sides\.\w+\.(source|kind)$/,
  /^sides\.generated\.(filesSha256|rejected)/,
  /^context\b/,
  /^versions\b/,
];

export const isHarmless = ({ field }: Difference): boolean => HARMLESS.some(pattern => pattern.test(field));

/** Fields of which two figures differ, apart from the figures. */
export const compareProtocols = (a: Protocol, b: Protocol): Difference[] => compareFields(a, b);

/** Fields, by dotted paths, that two objects do not share. */
export function compareFields(a: object, b: object): Difference[] {
  const [left, right] = [flatten(a), flatten(b)];
  const fields = [...new Set([...left.keys(), ...right.keys()])];
  return fields
    .map(field => ({ field, a: left.get(field) ?? null, b: right.get(field) ?? null }))
    .filter(({ a: x, b: y }) => JSON.stringify(x) !== JSON.stringify(y));
}

function flatten(value: unknown, prefix = '', into = new Map<string, unknown>()): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return into.set(prefix, value);
  for (const [key, inner] of Object.entries(value)) flatten(inner, prefix === '' ? key : `${prefix}.${key}`, into);
  return into;
}
