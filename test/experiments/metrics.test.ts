import { describe, expect, it } from 'vitest';
import { addNoise, blur, shuffleFrames } from '../../experiments/metrics/corrupt.js';
import type { Frames } from '../../src/data/frames.js';
import { uniform } from '../eval/features.js';

function clipOf(frames: number, height: number, width: number, value?: number): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  const noise = uniform(1, frames, height * width * 3);
  for (let i = 0; i < data.length; i++) data[i] = value ?? Math.floor((noise[i]! + 0.5) * 256);
  return { data, frames, height, width };
}

const deviation = (data: Uint8Array): number => {
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  return Math.sqrt(data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length);
};

describe('noise', () => {
  it('has the deviation asked for, follows from seed and clip, and leaves the clip alone', () => {
    const clip = clipOf(2, 30, 40, 128);
    const noisy = addNoise(clip, 0.1, 1);
    expect(deviation(noisy.data)).toBeGreaterThan(25);
    expect(deviation(noisy.data)).toBeLessThan(26);
    expect(addNoise(clip, 0.1, 1).data).toEqual(noisy.data);
    expect(addNoise(clip, 0.1, 2).data).not.toEqual(noisy.data);
    expect(addNoise(clip, 0.1, 1, 1).data).not.toEqual(noisy.data);
    expect(addNoise(clip, 0, 1).data).toEqual(clip.data);
    expect(deviation(clip.data)).toBe(0);
  });

  it('is the same at all strengths, scaled, and cut to 8 bits', () => {
    const clip = clipOf(1, 8, 8, 128);
    const [weak, strong] = [addNoise(clip, 0.05, 3).data, addNoise(clip, 0.1, 3).data];
    for (const [i, x] of weak.entries()) expect(Math.abs(2 * (x - 128) - (strong[i]! - 128))).toBeLessThanOrEqual(1.5);
    const white = addNoise(clipOf(1, 8, 8, 255), 0.5, 3).data;
    expect(Math.max(...white)).toBe(255);
    expect(Math.min(...white)).toBeLessThan(255);
  });
});

describe('blur', () => {
  it('keeps plain frames and means, and lowers contrast with strength', () => {
    const plain = clipOf(2, 9, 7, 77);
    expect(blur(plain, 2).data).toEqual(plain.data);
    const clip = clipOf(2, 20, 24);
    const contrasts = [0, 0.5, 1, 2].map(strength => deviation(blur(clip, strength).data));
    for (let i = 1; i < contrasts.length; i++) expect(contrasts[i]).toBeLessThan(contrasts[i - 1]!);
    expect(blur(clip, 0).data).toEqual(clip.data);
  });

  it('spreads a point as a Gaussian, in its own frame and channel', () => {
    const clip = clipOf(2, 15, 15, 0);
    const at = (f: number, y: number, x: number, c: number) => ((f * 15 + y) * 15 + x) * 3 + c;
    clip.data[at(1, 7, 7, 2)] = 255;
    const { data } = blur(clip, 1);
    const total = [-3, -2, -1, 0, 1, 2, 3].reduce((sum, i) => sum + Math.exp(-(i * i) / 2), 0);
    for (const [dy, dx] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [2, 1],
    ] as const) {
      const weight = Math.exp(-(dy * dy + dx * dx) / 2) / total ** 2;
      expect(Math.abs(data[at(1, 7 + dy, 7 + dx, 2)]! - 255 * weight)).toBeLessThanOrEqual(0.5001);
    }
    expect(data.subarray(0, 15 * 15 * 3).every(x => x === 0)).toBe(true);
    expect(data[at(1, 7, 7, 1)]).toBe(0);
  });
});

describe('shuffled frames', () => {
  const places = (strength: number, seed = 1, clip = 0) => {
    const frames = {
      data: Uint8Array.from({ length: 48 }, (_, i) => Math.floor(i / 3)),
      frames: 16,
      height: 1,
      width: 1,
    };
    const { data } = shuffleFrames(frames, strength, seed, clip);
    return Array.from({ length: 16 }, (_, f) => data[f * 3]!);
  };

  it('are the same frames, as many out of place as asked for', () => {
    for (const [strength, moved] of [
      [0, 0],
      [0.25, 4],
      [0.5, 8],
      [1, 16],
    ] as const) {
      const order = places(strength);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i));
      expect(order.filter((f, i) => f !== i)).toHaveLength(moved);
    }
    expect(places(1)).toEqual(places(1));
    expect(places(1, 2)).not.toEqual(places(1));
    expect(places(1, 1, 1)).not.toEqual(places(1));
  });
});
