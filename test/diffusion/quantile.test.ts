import { describe, expect, it } from 'vitest';
import { dynamicThreshold, quantile } from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

/** The definition, in double. */
function reference(values: ArrayLike<number>, q: number): number {
  const sorted = Array.from(values).sort((a, b) => a - b);
  const position = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(position)]!, sorted[Math.ceil(position)]!];
  return low + (position - Math.floor(position)) * (high - low);
}

describe('quantile', () => {
  it('interpolates between the sorted values of each row', () => {
    const x = gaussian([2, 3, 41]);
    const rows = (x.arraySync() as number[][][]).flat();
    for (const q of [0, 0.025, 0.5, 0.6, 0.95, 0.995, 1]) {
      const actual = quantile(x, q);
      expect(actual.shape).toEqual([2, 3]);
      expect(
        distance(
          actual,
          rows.map(row => reference(row, q)),
        ),
      ).toBeLessThan(1e-6);
    }
  });

  it('of one value is that value; of a vector a scalar', () => {
    expect(quantile(tf.tensor1d([7]), 0.3).dataSync()[0]).toBe(7);
    expect(quantile(tf.tensor1d([4, 1, 3, 2]), 0.5).arraySync()).toBe(2.5);
  });

  it('refuses what has no quantile', () => {
    expect(() => quantile(tf.tensor1d([1]), 1.5)).toThrow(/1\.5 is outside/);
    expect(() => quantile(tf.zeros([2, 0]), 0.5)).toThrow(/\[2,0\]/);
  });

  it('leaks nothing', () => expectNoLeak(() => tf.tidy(() => quantile(gaussian([4, 9]), 0.9))));
});

describe('dynamicThreshold', () => {
  it('scales frames beyond the threshold into [-1, 1], each by its own quantile', () => {
    const calm = gaussian([1, 4, 5, 3]).mul(0.2);
    const wild = gaussian([1, 4, 5, 3], 2).mul(3);
    const frames = tf.concat([calm, wild]); // [2, H, W, C]
    const out = dynamicThreshold(frames, { ratio: 0.9, maxValue: 100 });
    const s = reference(Array.from(wild.abs().dataSync()), 0.9);
    expect(s).toBeGreaterThan(1);
    expect(distance(out.slice(0, 1), calm)).toBeLessThan(1e-7); // s < 1 becomes 1: nothing to clip
    expect(distance(out.slice(1, 1), wild.clipByValue(-s, s).div(s))).toBeLessThan(1e-6);
    expect(out.abs().max().dataSync()[0]).toBeLessThanOrEqual(1);
  });

  it('clamps at maxValue, so that larger quantiles saturate', () => {
    const x = tf.tensor2d([[-8, 2, 0.75, 4]]);
    expect(dynamicThreshold(x, { ratio: 1, maxValue: 1.5 }).arraySync()).toEqual([[-1, 1, 0.5, 1]]);
  });

  it('takes videos as frames: [B, F, …] gives what [B*F, …] gives', () => {
    const video = gaussian([2, 3, 4, 5, 3]).mul(2);
    const options = { ratio: 0.95, maxValue: 3 };
    const folded = dynamicThreshold(video.reshape([6, 4, 5, 3]), options);
    expect(distance(dynamicThreshold(video, options), folded)).toBe(0);
  });

  it('leaks nothing', () =>
    expectNoLeak(() => tf.tidy(() => dynamicThreshold(gaussian([2, 4, 4, 3]), { ratio: 0.95, maxValue: 1.5 }))));
});
