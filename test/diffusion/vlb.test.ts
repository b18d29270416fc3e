import { describe, expect, it } from 'vitest';
import { discretizedGaussianNll, gaussianKl } from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { checkGradients } from '../engine/finite-difference.js';
import { expectNoLeak, gaussian } from './helpers.js';

const value = (x: Tensor) => x.dataSync()[0]!;
const normal = (x: number, mean: number, deviation: number) =>
  Math.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * Math.sqrt(2 * Math.PI));

/** Simpson's rule. */
function integrate(f: (x: number) => number, from: number, to: number, steps = 20000): number {
  const h = (to - from) / steps;
  let sum = f(from) + f(to);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * f(from + i * h);
  return (sum * h) / 3;
}

describe('gaussianKl', () => {
  it('is the integral of p log(p/q)', () => {
    for (const [m1, s1, m2, s2] of [
      [0, 1, 0, 1],
      [0.3, 0.2, -0.1, 0.5],
      [-1, 2, 1, 0.7],
    ] as const) {
      const expected = integrate(
        x => normal(x, m1, s1) * (Math.log(s2 / s1) - 0.5 * ((x - m1) / s1) ** 2 + 0.5 * ((x - m2) / s2) ** 2),
        m1 - 12 * s1,
        m1 + 12 * s1,
      );
      const actual = gaussianKl(tf.scalar((m1 - m2) ** 2), tf.scalar(2 * Math.log(s1)), tf.scalar(2 * Math.log(s2)));
      expect(value(actual)).toBeCloseTo(expected, 5);
    }
  });

  it('is never negative, and zero only for equal distributions', () => {
    const [d, a, b] = [gaussian([500]).square(), gaussian([500], 2), gaussian([500], 3)];
    expect(value(gaussianKl(d, a, b).min())).toBeGreaterThanOrEqual(0);
    expect(
      value(
        gaussianKl(tf.zeros([500]), a, a)
          .abs()
          .max(),
      ),
    ).toBe(0);
    expect(value(gaussianKl(tf.zeros([500]), a, a.add(0.1)).min())).toBeGreaterThan(1e-3);
  });

  it('has the right gradient', () =>
    checkGradients((d, a, b) => gaussianKl(d, a, b), [gaussian([20]).square(), gaussian([20], 2), gaussian([20], 3)]));
});

describe('discretizedGaussianNll', () => {
  it('is minus the log of the Gaussian’s mass in the pixel’s bin', () => {
    for (const [level, mean, deviation] of [
      [128, 0.02, 0.05],
      [200, 0.5, 0.1],
      [60, -0.5, 0.01],
      [0, -0.97, 0.03],
      [255, 0.9, 0.1],
    ]) {
      const x0 = (level! / 255) * 2 - 1;
      const [low, high] = [
        level === 0 ? mean! - 12 * deviation! : x0 - 1 / 255,
        level === 255 ? mean! + 12 * deviation! : x0 + 1 / 255,
      ];
      const expected = -Math.log(integrate(x => normal(x, mean!, deviation!), low, high));
      const actual = discretizedGaussianNll(tf.scalar(x0), tf.scalar(x0 - mean!), tf.scalar(2 * Math.log(deviation!)));
      expect(value(actual), `level ${level}`).toBeCloseTo(expected, 3);
    }
  });

  it('sums to one over the 256 levels', () => {
    const levels = tf.linspace(-1, 1, 256);
    for (const [mean, deviation] of [
      [0, 0.3],
      [0.95, 0.2],
      [-0.4, 0.004],
    ] as const) {
      const nll = discretizedGaussianNll(levels, levels.sub(mean), tf.fill([256], 2 * Math.log(deviation)));
      expect(value(nll.neg().exp().sum())).toBeCloseTo(1, 4);
    }
  });

  it('stays finite far away', () => {
    const nll = discretizedGaussianNll(tf.tensor1d([-1, 0, 1]), tf.tensor1d([-3, 3, 3]), tf.fill([3], -12));
    for (const x of nll.dataSync()) expect(x).toBeCloseTo(-Math.log(1e-12), 3);
  });

  it('has the right gradient in the log variance, outermost bins included', () => {
    const x0 = tf.tensor1d([-1, -0.6, 0, 0.3, 0.996, 1]);
    const centered = tf.tensor1d([-0.05, 0.02, 0.3, -0.1, 0.04, 0.08]);
    checkGradients(logVar => discretizedGaussianNll(x0, centered, logVar.sub(3)), [gaussian([6])], {
      step: 0.05,
      tolerance: 5e-3,
    });
  });

  it('leaks nothing', () => {
    const x = gaussian([9]);
    expectNoLeak(() => [discretizedGaussianNll(x, x, x), gaussianKl(x, x, x)]);
  });
});
