/** The Fréchet distance of full sets of 2048 features: seconds on a quiet machine, half a minute on a busy one. */
import { expect, it } from 'vitest';
import { frechetDistance } from '../../src/eval/frechet.js';
import { features } from '../eval/features.js';
import { checkCase, SLOW, statisticsOf } from '../eval/frechet-golden.js';

it('equals numpy and scipy: 2048 features, both covariances of full rank', () => {
  checkCase(SLOW);
});

it('takes 2048 features with a singular covariance: twice the distance where every feature is there twice', () => {
  const d = 1024;
  const double = (rows: Float64Array): Float64Array =>
    Float64Array.from({ length: 2 * rows.length }, (_, i) => rows[Math.floor(i / (2 * d)) * d + (i % d)]!);
  const [x, y] = [features(1, d, [2100, 1, 0, 1, 0]), features(2, d, [2100, 0, 0.1, 1, 0])];
  const once = frechetDistance(statisticsOf(x, d), statisticsOf(y, d));
  const twice = frechetDistance(statisticsOf(double(x), 2 * d), statisticsOf(double(y), 2 * d));
  expect(Math.abs(twice / (2 * once) - 1)).toBeLessThan(1e-6);
});
