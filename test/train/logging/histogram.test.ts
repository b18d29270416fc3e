import { describe, expect, it } from 'vitest';
import { makeHistogram } from '../../../src/train/logging/histogram.js';

/** The bucket of each value, by the definition: the first edge above it. */
function edgesOf(values: number[]): { limit: number; count: number }[] {
  const histogram = makeHistogram(values)!;
  return histogram.bucketLimit
    .map((limit, i) => ({ limit, count: histogram.bucket[i]! }))
    .filter(({ count }) => count > 0);
}

describe('makeHistogram', () => {
  it('sums up', () => {
    expect(makeHistogram([3, -1, 2])).toMatchObject({ min: -1, max: 3, num: 3, sum: 4, sumSquares: 14 });
  });
  it.each([0, 1e-13, 5e-13, 1e-12, 1.1e-12, 3e-7, 0.1, 1, 1.05, 123456, 9e19, 1e20, 1e300, Number.MAX_VALUE])(
    'puts ±%d between its edges',
    value => {
      for (const signed of [value, -value]) {
        const histogram = makeHistogram([signed])!;
        const at = histogram.bucket.indexOf(1);
        const upper = histogram.bucketLimit[at]!;
        const lower = at > 0 ? histogram.bucketLimit[at - 1]! : Number.NEGATIVE_INFINITY;
        expect(signed >= lower).toBe(true);
        expect(signed < upper || upper === Number.MAX_VALUE).toBe(true);
        const size = Math.abs(signed);
        if (size >= 1e-12 && size < 1e20 && signed > 0) expect(upper / signed).toBeLessThanOrEqual(1.1 + 1e-9);
      }
    },
  );
  it('separates values 10 % apart and keeps zero apart from small numbers', () => {
    expect(edgesOf([1, 1.2, 1.5])).toHaveLength(3);
    expect(edgesOf([-1e-11, 0, 1e-11])).toHaveLength(3);
  });
  it('rises, counts everything and merges empty buckets', () => {
    const values = Array.from({ length: 5000 }, (_, i) => Math.sin(i) ** 3 * 10 ** ((i % 7) - 3));
    const { bucketLimit, bucket, num } = makeHistogram(values)!;
    expect(bucket.reduce((a, b) => a + b)).toBe(num);
    expect(num).toBe(5000);
    expect(bucketLimit.every((limit, i) => i === 0 || limit > bucketLimit[i - 1]!)).toBe(true);
    expect(bucket[0]).toBeGreaterThan(0);
    expect(bucket.at(-1)).toBeGreaterThan(0);
    expect(bucket.some((count, i) => i > 0 && count === 0 && bucket[i - 1] === 0)).toBe(false);
  });
  it('leaves out what is not finite', () => {
    expect(makeHistogram([Number.NaN, 1, Number.POSITIVE_INFINITY])).toMatchObject({ num: 1, max: 1 });
    expect(makeHistogram([Number.NaN])).toBeUndefined();
    expect(makeHistogram([])).toBeUndefined();
  });
});
