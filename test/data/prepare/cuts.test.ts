import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { decode, probe } from '../../../src/data/ffmpeg.js';
import { locate } from '../../../src/data/ffmpeg-locate.js';
import type { Frames } from '../../../src/data/frames.js';
import { findCuts, measureMotion } from '../../../src/data/prepare/cuts.js';
import { scenesOf } from '../../../src/data/prepare/filters.js';
import type { Scan } from '../../../src/data/prepare/scan.js';
import { temporaryFolder } from '../helpers.js';

const bunny = fileURLToPath(new URL('../../../../shared/clips/bigbuckbunny.mp4', import.meta.url));
const folder = temporaryFolder();

/** 32x18 frames of which each pixel is what `colour` says. */
function film(frames: number, colour: (f: number, x: number, y: number) => [number, number, number]): Frames {
  const [width, height] = [32, 18];
  const data = new Uint8Array(frames * width * height * 3);
  for (let f = 0; f < frames; f++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) data.set(colour(f, x, y), ((f * height + y) * width + x) * 3);
    }
  }
  return { data, frames, width, height };
}
const stripes = (shift: number, x: number, y: number): [number, number, number] => {
  const on = (x + shift) % 8 < 4;
  return [on ? 200 : 60, on ? 90 : 150, y * 10];
};
const found = (video: Frames): number[] =>
  findCuts(video)
    .filter(({ score }) => score >= 1)
    .map(({ frame }) => frame);

describe('a cut', () => {
  it('is where another scene begins, and stays', () => {
    const two = film(30, (f, x, y) => (f < 11 ? stripes(f, x, y) : [20, 30 + x, 200 - y * 4]));
    expect(found(two)).toEqual([11]);
    const short = film(4, f => (f < 2 ? [0, 0, 0] : [255, 255, 255]));
    expect(found(short)).toEqual([2]);
  });

  it('is neither motion, a flash, a fade nor a still', () => {
    expect(found(film(30, (f, x, y) => stripes(f, x, y)))).toEqual([]);
    expect(found(film(30, (f, x, y) => (f === 12 || f === 13 ? [255, 255, 255] : stripes(0, x, y))))).toEqual([]);
    expect(found(film(30, f => [240 - 8 * f, 240 - 8 * f, 8 * f]))).toEqual([]);
    expect(found(film(30, () => [9, 9, 9]))).toEqual([]);
    expect(found(film(1, () => [9, 9, 9]))).toEqual([]);
  });

  it.skipIf(!existsSync(bunny))(
    'is found in a film joined from regions of another, also in the dark, and not in the film',
    async () => {
      const make = (name: string, filter: string, inputs = 1): string => {
        const path = join(folder, `${name}.mp4`);
        const input = Array.from({ length: inputs }, () => ['-i', bunny]).flat();
        const output = ['-an', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', path];
        const args = ['-v', 'error', '-y', '-threads', '1', ...input, '-filter_complex', filter, ...output];
        expect(spawnSync(locate('ffmpeg').path, args, { encoding: 'utf8' }).stderr).toBe('');
        return path;
      };
      const region = (i: number, x: number, y: number, from: number, to: number): string =>
        `[${i}:v]crop=640:360:${x}:${y},scale=160:90,trim=${from}:${to},setpts=PTS-STARTPTS[p${i}]`;
      const parts = [region(0, 0, 0, 0, 1.6), region(1, 640, 360, 2, 3.6), region(2, 320, 0, 3.6, 5.2)].join(';');
      const small = async (path: string): Promise<Frames> => {
        const { fps } = await probe(path);
        const size = { width: 64, height: 36 };
        return decode(path, { size, fit: 'stretch', fps, sourceFps: fps, interpolation: 'area' });
      };
      const joined = `${parts};[p0][p1][p2]concat=n=3`;
      expect(found(await small(make('joined', joined, 3)))).toEqual([40, 80]);
      expect(found(await small(make('dark', `${joined},lutyuv=y=(val-16)*0.3+16`, 3)))).toEqual([40, 80]);
      expect(found(await small(bunny))).toEqual([]);
      const shaking = "scale=320:180,crop=160:90:x='50+30*random(1)':y='30+30*random(2)'";
      expect(found(await small(make('shaking', `[0:v]${shaking}`)))).toEqual([]);
    },
  );
});

describe('motion', () => {
  it('is the change in half a second, one number each', () => {
    expect(
      measureMotion(
        film(25, () => [7, 7, 7]),
        8,
      ),
    ).toEqual([0, 0, 0, 0, 0, 0]);
    // Two levels a frame in one of three colours.
    expect(
      measureMotion(
        film(17, f => [2 * f, 0, 0]),
        8,
      ),
    ).toEqual([2.67, 2.67, 2.67, 2.67]);
    expect(
      measureMotion(
        film(3, f => [3 * f, 0, 0]),
        8,
      ),
    ).toEqual([2]);
    expect(
      measureMotion(
        film(1, () => [7, 7, 7]),
        8,
      ),
    ).toEqual([0]);
  });
});

describe('scenes', () => {
  const info = { width: 32, height: 32, fps: 24, frames: 96, seconds: 4, codec: 'h264' };
  const motion = [1, 1, 9, 5, 5, 5, 5];
  const scan: Scan = {
    info,
    rate: 24,
    decoded: 96,
    motion,
    hash: '',
    cuts: [
      { frame: 30, score: 2 },
      { frame: 90, score: 0.7 },
    ],
  };

  it('lie between the cuts that are sure enough', () => {
    expect(scenesOf(scan, 0, {})).toEqual([
      { segment: { start: 0, seconds: 1.239583 }, seconds: 1.239583, frames: 30, motion: 1 },
      { segment: { start: 1.25, seconds: 2.75 }, seconds: 2.75, frames: 66, motion: 5 },
    ]);
    expect(scenesOf(scan, 10, {}).map(({ segment }) => segment!.start)).toEqual([10, 11.25]);
    expect(scenesOf(scan, 0, { cutThreshold: 0.5 }).map(({ frames }) => frames)).toEqual([30, 60, 6]);
    expect(scenesOf(scan, 0, { cuts: 'longest' }).map(({ frames }) => frames)).toEqual([66]);
    const whole = scenesOf(scan, 0, { cuts: 'ignore' });
    expect(whole).toEqual([{ seconds: 4, frames: 96, motion: 31 / 7 }]);
    expect(scenesOf({ ...scan, cuts: [] }, 0, {})).toEqual(whole);
  });

  it('keep a step away from a cut between frames that were not looked at', () => {
    const [first, second] = scenesOf({ ...scan, rate: 12, decoded: 48, cuts: [{ frame: 24, score: 3 }] }, 0, {});
    expect(first!.seconds).toBeCloseTo(2 - 1 / 12 - 0.25 / 24, 5);
    expect(second!.segment).toEqual({ start: 2, seconds: 2 });
  });
});
