import { describe, expect, it } from 'vitest';
import { nativeBackend } from '../../src/engine/raw.js';
import { frechetDistance } from '../../src/eval/frechet.js';
import { FeatureStatistics } from '../../src/eval/statistics.js';
import { features, uniform } from './features.js';
import { checkCase, NAMES, SLOW, statisticsOf } from './frechet-golden.js';

describe('frechetDistance', () => {
  it.each(NAMES.filter(name => name !== SLOW))('equals numpy and scipy: %s', name => {
    checkCase(name);
  });

  it.each([
    ['many rows', 60, 1],
    ['few rows', 20, 0],
  ] as const)(
    'twice the distance where every feature is there twice, with a singular covariance: %s',
    (_, n, decades) => {
      const d = 24;
      const double = (rows: Float64Array): Float64Array =>
        Float64Array.from({ length: 2 * rows.length }, (_, i) => rows[Math.floor(i / (2 * d)) * d + (i % d)]!);
      const [x, y] = [features(1, d, [n, decades, 0, 1, 0]), features(2, d, [n, 0, 0.1, 1, 0])];
      const once = frechetDistance(statisticsOf(x, d), statisticsOf(y, d));
      const twice = frechetDistance(statisticsOf(double(x), 2 * d), statisticsOf(double(y), 2 * d));
      expect(Math.abs(twice / (2 * once) - 1)).toBeLessThan(1e-6);
    },
  );

  it.each([
    ['few rows', 10, 0, 0],
    ['many rows', 200, 1, 0],
    ['many rows of a bad condition', 200, 40, 0],
    ['dead features', 200, 0, 7],
  ] as const)('is zero for equal sets: %s', (_, n, decades, dead) => {
    const rows = features(1, 32, [n, decades, 3, 1, dead]);
    const distance = frechetDistance(statisticsOf(rows, 32), statisticsOf(rows, 32));
    expect(distance).toBeGreaterThanOrEqual(0);
    expect(distance).toBeLessThan(1e-6);
  });

  it('is the distance of the points for constant sets, and of the means for a single row', () => {
    const constant = (value: number, n: number) => statisticsOf(new Float64Array(5 * n).fill(value), 5);
    expect(frechetDistance(constant(1, 30), constant(3, 40))).toBe(20);
    const one = statisticsOf(uniform(1, 1, 5), 5);
    const many = statisticsOf(uniform(2, 30, 5), 5);
    const mean = many.mean();
    const expected = one.mean().reduce((sum, value, i) => sum + (value - mean[i]!) ** 2, 0);
    expect(frechetDistance(one, many)).toBeCloseTo(expected, 14);
    expect(frechetDistance(many, one)).toBeCloseTo(expected, 14);
  });

  it('refuses sets of different features and empty ones', () => {
    const set = statisticsOf(uniform(1, 9, 5), 5);
    expect(() => frechetDistance(set, statisticsOf(uniform(1, 9, 4), 4))).toThrow(/5 and 4 features/);
    expect(() => frechetDistance(set, new FeatureStatistics(5))).toThrow(/a set is empty \(9 and 0 rows\)/);
  });

  it('leaves no tensor behind, with any of its ways', () => {
    const { binding } = nativeBackend();
    const sets = [
      statisticsOf(uniform(1, 5, 6), 6),
      statisticsOf(uniform(2, 50, 6), 6),
      statisticsOf(features(1, 6, [50, 0, 0, 1, 2]), 6),
    ];
    const before = binding.getNumOfTensors();
    for (const a of sets) for (const b of sets) frechetDistance(a, b);
    expect(binding.getNumOfTensors()).toBe(before);
  });
});
