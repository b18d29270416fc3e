/** The distances of test/reference/frechet.py (numpy and scipy), and how near ours must be. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { frechetDistance } from '../../src/eval/frechet.js';
import { FeatureStatistics } from '../../src/eval/statistics.js';
import { features, type SetRecipe } from './features.js';

interface GoldenCase {
  name: string;
  d: number;
  a: SetRecipe;
  b: SetRecipe;
  /** To rounding. */
  distance: number;
  /** By roots of eigenvalues, and by scipy's sqrtm: what public scripts print. */
  eigh: number;
  sqrtm?: number;
}

const golden = JSON.parse(readFileSync(new URL('./frechet.json', import.meta.url), 'utf8')) as { cases: GoldenCase[] };

/** The full 2048 × 2048 problem is for test/slow. */
export const SLOW = '2048';
export const NAMES = golden.cases.map(one => one.name);

export function statisticsOf(rows: Float64Array, d: number): FeatureStatistics {
  const statistics = new FeatureStatistics(d);
  statistics.add(rows, rows.length / d);
  return statistics;
}

export function checkCase(name: string): void {
  const i = NAMES.indexOf(name);
  const one = golden.cases[i]!;
  const [a, b] = [one.a, one.b].map((recipe, k) => statisticsOf(features(2 * i + k + 1, one.d, recipe), one.d)) as [
    FeatureStatistics,
    FeatureStatistics,
  ];
  const distance = frechetDistance(a, b);
  expect(Math.abs(distance / one.distance - 1)).toBeLessThan(1e-9);
  // What the public scripts compute loses digits on singular covariances.
  expect(Math.abs(distance / one.eigh - 1)).toBeLessThan(1e-6);
  if (one.sqrtm !== undefined) expect(Math.abs(distance / one.sqrtm - 1)).toBeLessThan(1e-6);
  if (one.d <= 400) expect(Math.abs(frechetDistance(b, a) / distance - 1)).toBeLessThan(1e-9);
}
