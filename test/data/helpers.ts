import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { encode } from '../../src/data/ffmpeg.js';
import type { Frames } from '../../src/data/frames.js';
import { Show1Error } from '../../src/errors.js';

/** A folder that is removed after the test file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'show1-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Frames in which every frame has its own grey level (8·f + 16), so that a decoded frame tells its number. */
export function countingFrames(frames: number, width = 32, height = 32): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0; f < frames; f++) data.fill(grey(f), f * height * width * 3, (f + 1) * height * width * 3);
  return { data, frames, height, width };
}

const grey = (f: number): number => 16 + ((f * 8) % 232);

/** The frame number that `countingFrames` gave to each frame of a clip of 8-bit values, or of floats in [-1, 1]. */
export function frameNumbers(values: ArrayLike<number>, frames: number): number[] {
  const size = values.length / frames;
  return Array.from({ length: frames }, (_, f) => {
    let sum = 0;
    for (let i = f * size; i < (f + 1) * size; i++) sum += values[i]!;
    const mean = sum / size;
    const level = values instanceof Float32Array ? (mean + 1) * 127.5 : mean;
    return Math.round((level - 16) / 8) + 0; // no -0
  });
}

/** Writes a clip of counting frames. */
export async function makeClip(
  path: string,
  frames = 12,
  options: { fps?: number; width?: number; height?: number } = {},
): Promise<string> {
  const { fps = 8, width = 32, height = 32 } = options;
  await encode(path, countingFrames(frames, width, height), { fps, crf: 4 });
  return path;
}

/** A copy of the first share of a file. */
export async function cut(from: string, to: string, share: number): Promise<string> {
  const bytes = await readFile(from);
  await writeFile(to, bytes.subarray(0, Math.floor(bytes.length * share)));
  return to;
}

/** An mp4 whose index was lost: the box named moov is cut off with all that follows. */
export async function withoutIndex(from: string, to: string): Promise<string> {
  const bytes = await readFile(from);
  await writeFile(to, bytes.subarray(0, bytes.indexOf('moov') - 4));
  return to;
}

/** The error that a call fails with; fails itself where the call does not. */
export async function failure(call: () => Promise<unknown>): Promise<Show1Error> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Show1Error) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}
