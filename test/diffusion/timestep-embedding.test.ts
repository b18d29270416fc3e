import { describe, expect, it } from 'vitest';
import { timestepEmbedding } from '../../src/diffusion/index.js';
import { compile, tf } from '../../src/engine/index.js';
import { distance, expectNoLeak } from './helpers.js';

/** The formula, in double. */
function reference(t: number, dim: number, { flip = false, shift = 1, period = 10000 } = {}): number[] {
  const half = Math.floor(dim / 2);
  const angles = Array.from({ length: half }, (_, i) => t * period ** (-i / (half - shift)));
  const [sin, cos] = [angles.map(Math.sin), angles.map(Math.cos)];
  return [...(flip ? [...cos, ...sin] : [...sin, ...cos]), ...(dim % 2 === 1 ? [0] : [])];
}

describe('timestepEmbedding', () => {
  it('is [sin, cos] of geometric frequencies, with the options of diffusers', () => {
    const timesteps = [0, 1, 250, 999];
    for (const dim of [4, 32, 33]) {
      for (const flipSinToCos of [false, true]) {
        for (const downscaleFreqShift of [0, 1]) {
          const actual = timestepEmbedding(timesteps, dim, { flipSinToCos, downscaleFreqShift });
          expect(actual.shape).toEqual([4, dim]);
          const expected = timesteps.flatMap(t => reference(t, dim, { flip: flipSinToCos, shift: downscaleFreqShift }));
          expect(distance(actual, expected)).toBeLessThan(2e-4); // float32 angles up to 999
        }
      }
    }
  });

  it('takes int32 and fractional tensors, and another period', () => {
    expect(distance(timestepEmbedding(tf.tensor1d([7], 'int32'), 8), timestepEmbedding([7], 8))).toBe(0);
    const fraction = timestepEmbedding(tf.tensor1d([0.25]), 8, { maxPeriod: 100 });
    expect(distance(fraction, reference(0.25, 8, { period: 100 }))).toBeLessThan(1e-6);
  });

  it('works in a traced graph and leaks nothing', () => {
    const traced = compile(t => [timestepEmbedding(t, 9)]);
    const t = tf.tensor1d([3, 900], 'int32');
    expect(distance(traced(t)[0]!, timestepEmbedding(t, 9))).toBeLessThan(1e-6);
    traced.dispose();
    expectNoLeak(() => timestepEmbedding(t, 9));
  });

  it('refuses widths without a frequency', () => {
    expect(() => timestepEmbedding([1], 2)).toThrow(/width 2 with frequency shift 1/);
    expect(() => timestepEmbedding([1], 1, { downscaleFreqShift: 0 })).toThrow(/width 1/);
  });
});
