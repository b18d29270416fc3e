import { describe, expect, it } from 'vitest';
import { nativeBackend } from '../../src/engine/raw.js';
import { FeatureStatistics, type StatisticsJson } from '../../src/eval/statistics.js';
import { features, uniform } from './features.js';

/** Statistics of rows added in calls of `batch` rows. */
function statisticsOf(rows: Float64Array | Float32Array, d: number, batch = rows.length / d): FeatureStatistics {
  const statistics = new FeatureStatistics(d);
  for (let at = 0; at < rows.length; at += batch * d) {
    const part = rows.subarray(at, at + batch * d);
    statistics.add(part, part.length / d);
  }
  return statistics;
}

/** By the definition, in two passes. */
function direct(rows: Float64Array | Float32Array, d: number): { mean: number[]; covariance: number[] } {
  const n = rows.length / d;
  const mean = Array.from({ length: d }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += rows[i * d + j]!;
    return sum / n;
  });
  const covariance = Array.from({ length: d * d }, (_, at) => {
    const [j, k] = [Math.floor(at / d), at % d];
    let sum = 0;
    for (let i = 0; i < n; i++) sum += (rows[i * d + j]! - mean[j]!) * (rows[i * d + k]! - mean[k]!);
    return sum / (n - 1);
  });
  return { mean, covariance };
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  let max = 0;
  for (let i = 0; i < a.length; i++) max = Math.max(max, Math.abs(a[i]! - b[i]!));
  return max;
};

describe('FeatureStatistics', () => {
  it.each([2, 7, 8, 9, 16, 17, 100])('are the mean and the covariance of %i rows of 8 features', n => {
    const rows = features(3, 8, [n, 2, 100, 1, 0]);
    const { mean, covariance } = direct(rows, 8);
    const statistics = statisticsOf(rows, 8);
    expect(statistics.n).toBe(n);
    expect(worst(statistics.mean(), mean)).toBeLessThan(1e-12);
    expect(worst(statistics.covariance(), covariance)).toBeLessThan(1e-13);
  });

  it('keep small variances beside a large mean, where E[x²] - E[x]² would not', () => {
    const rows = uniform(1, 500, 3).map(x => x * 1e-3 + 1e6);
    const { covariance } = direct(rows, 3);
    expect(worst(statisticsOf(rows, 3).covariance(), covariance)).toBeLessThan(1e-6 * covariance[0]!);
  });

  it('do not depend on the batch size in a bit', () => {
    const rows = Float32Array.from(uniform(2, 101, 12));
    const one = statisticsOf(rows, 12);
    for (const batch of [1, 5, 12, 13, 64]) {
      const other = statisticsOf(rows, 12, batch);
      expect(other.mean()).toEqual(one.mean());
      expect(other.covariance()).toEqual(one.covariance());
    }
  });

  it.each([
    [3, 4],
    [30, 4],
    [4, 30],
    [30, 40],
    [0, 30],
    [30, 0],
  ])('merge parts of %i and %i rows', (m, n) => {
    const rows = uniform(4, m + n, 6);
    const whole = statisticsOf(rows, 6);
    const [a, b] = [new FeatureStatistics(6), new FeatureStatistics(6)];
    a.add(rows.subarray(0, m * 6), m);
    b.add(rows.subarray(m * 6), n);
    const before = JSON.stringify(b);
    a.merge(b);
    expect(a.n).toBe(m + n);
    expect(worst(a.mean(), whole.mean())).toBeLessThan(1e-15);
    expect(worst(a.covariance(), whole.covariance())).toBeLessThan(1e-15);
    expect(JSON.stringify(b)).toBe(before);
  });

  it('merge with themselves: twice the rows', () => {
    const rows = uniform(4, 20, 6);
    const twice = statisticsOf(new Float64Array([...rows, ...rows]), 6);
    const one = statisticsOf(rows, 6);
    one.merge(one);
    expect(one.n).toBe(40);
    expect(worst(one.covariance(), twice.covariance())).toBeLessThan(1e-15);
  });

  it.each([0, 5, 9, 40])('come back from JSON bit for bit and go on (%i rows)', n => {
    const rows = features(5, 9, [n, 1, 0.5, 1, 0]);
    const one = statisticsOf(rows, 9);
    const two = FeatureStatistics.from(JSON.parse(JSON.stringify(one)) as StatisticsJson);
    const more = uniform(6, 25, 9);
    one.add(more, 25);
    two.add(more, 25);
    expect(two.n).toBe(n + 25);
    expect(two.mean()).toEqual(one.mean());
    expect(two.covariance()).toEqual(one.covariance());
  });

  it('refuses JSON that was cut', () => {
    const json = statisticsOf(uniform(5, 40, 9), 9).toJSON();
    json.folded!.scatter = json.folded!.scatter.slice(0, 80);
    expect(() => FeatureStatistics.from(json)).toThrow(/60 bytes where 45 float64 should be/);
  });

  it('names the row of a value that is not finite, and takes none of the call', () => {
    const statistics = statisticsOf(uniform(1, 3, 4), 4);
    const bad = new Float32Array(8);
    bad[6] = Number.NaN;
    expect(() => statistics.add(bad, 2)).toThrow(/feature 2 of row 4 \(counted from 0\) is NaN/);
    bad[6] = Number.POSITIVE_INFINITY;
    expect(() => statistics.add(bad, 2)).toThrow(/is Infinity/);
    expect(statistics.n).toBe(3);
  });

  it('refuses lengths that do not fit, and questions that too few rows cannot answer', () => {
    const statistics = new FeatureStatistics(4);
    expect(() => statistics.add(new Float32Array(7), 2)).toThrow(/7 values are not 2 rows of 4 features/);
    expect(() => statistics.mean()).toThrow(/needs at least one row, there are 0/);
    statistics.add(new Float32Array(4), 1);
    expect(() => statistics.covariance()).toThrow(/needs at least two rows, there are 1/);
    expect(() => statistics.merge(new FeatureStatistics(3))).toThrow(/3 features cannot be merged with 4/);
    expect(() => new FeatureStatistics(0)).toThrow(/positive integer, got 0/);
  });

  it('leaves no tensor behind', () => {
    const { binding } = nativeBackend();
    const statistics = statisticsOf(uniform(1, 50, 6), 6);
    const before = binding.getNumOfTensors();
    statistics.add(uniform(2, 50, 6), 50);
    statistics.covariance();
    expect(binding.getNumOfTensors()).toBe(before);
  });
});
