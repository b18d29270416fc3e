/** Which frames of a video are measured: a function of the video and the settings alone. */
import { createHash } from 'node:crypto';
import { InputError } from '../errors.js';

/** `start` and `central`: consecutive frames there; `random`: at a place drawn for each video; `uniform`: spread over its whole length. */
export const POSITIONS = ['central', 'random', 'start', 'uniform'] as const;
export type Position = (typeof POSITIONS)[number];

export interface ClipSampling {
  position: Position;
  /** Frames of a clip; `all`: every one, whatever the position. */
  frames: number | 'all';
  /** Every how many-th frame is taken. */
  stride: number;
  /** Frames a second that the video is brought to first; null: its own, frame for frame. */
  fps: number | null;
  /** Of position `random`. */
  seed: number;
}

/** @throws InputError `eval.option` */
export function checkSampling({ frames, stride, fps, position }: ClipSampling): void {
  const fail = (option: string, value: unknown, allowed: string): InputError =>
    new InputError(`--${option} is ${value}; allowed: ${allowed}`, { code: 'eval.option', option, value });
  const isCount = (n: number) => Number.isSafeInteger(n) && n >= 1;
  if (frames !== 'all' && !isCount(frames)) throw fail('frames', frames, 'a whole number from 1, or all');
  if (!isCount(stride)) throw fail('stride', stride, 'a whole number from 1');
  if (position === 'uniform' && stride !== 1) {
    throw fail('stride', stride, '1 with --clip uniform, whose distance follows from the length of the video');
  }
  if (fps !== null && !(fps > 0 && fps <= 1000)) throw fail('fps', fps, 'a number above 0, or native');
}

/** Frames between the first and the last one, both counted. */
export const spanOf = ({ frames, stride, position }: ClipSampling): number =>
  frames === 'all' ? 1 : position === 'uniform' ? frames : (frames - 1) * stride + 1;

/**
 * The numbers of the frames that are measured, ascending.
 * @param total frames of the video, at `fps` where that is set
 * @param content what the video is; the place of `random` is drawn from it and the seed, not from names or order
 * @returns undefined when the video is too short
 */
export function chooseFrames(sampling: ClipSampling, total: number, content: string): number[] | undefined {
  const { frames, position, stride, seed } = sampling;
  const span = spanOf(sampling);
  if (total < span) return undefined;
  if (frames === 'all') return Array.from({ length: Math.ceil(total / stride) }, (_, i) => i * stride);
  if (position === 'uniform') return Array.from({ length: frames }, (_, i) => Math.floor(((i + 0.5) * total) / frames));
  const places = total - span + 1;
  const first = { start: 0, central: Math.floor((places - 1) / 2), random: place(places, seed, content) }[position];
  return Array.from({ length: frames }, (_, i) => first + i * stride);
}

/** One of 0 … n-1, by 48 bits of a hash. */
function place(n: number, seed: number, content: string): number {
  const bits = createHash('sha256').update(`${seed}\0${content}`).digest().readUIntBE(0, 6);
  return Math.floor((bits / 2 ** 48) * n);
}
