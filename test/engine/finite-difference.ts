import { expect } from 'vitest';
import { type Tensor, tf, valueAndGrads } from '../../src/engine/index.js';

/** Deterministic pseudo-random values in about [-1.5, 1.5], enough structure to make every path matter. */
export function sample(shape: number[], seed = 1): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = new Float32Array(n);
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * 3;
  }
  return tf.tensor(values, shape);
}

/**
 * Compares the gradients of `sum(f(...) · w)` (w fixed and random) with central differences, for every input, along
 * random directions in all elements at once, which float32 resolves well.
 */
export function checkGradients(
  f: (...xs: Tensor[]) => Tensor,
  inputs: Tensor[],
  { step = 1e-2, tolerance = 2e-3, directions = 4 } = {},
) {
  const weight = tf.tidy(() => sample(f(...inputs).shape, 99));
  const objective = (...xs: Tensor[]) =>
    tf.tidy(
      () =>
        f(...xs)
          .mul(weight)
          .sum() as Tensor,
    );
  const { grads } = valueAndGrads(() => objective(...inputs), inputs);
  inputs.forEach((x, i) => {
    expect(grads[i]!.shape).toEqual(x.shape);
    for (let d = 0; d < directions; d++) {
      const direction = sample(x.shape, 1000 + 17 * i + d);
      const norm = Math.sqrt(direction.square().sum().dataSync()[0]!);
      const unit = direction.div(norm);
      const at = (t: number) => objective(...inputs.map((y, j) => (j === i ? y.add(unit.mul(t)) : y))).dataSync()[0]!;
      // Fourth-order central difference.
      const numeric = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
      const analytic = grads[i]!.mul(unit).sum().dataSync()[0]!;
      const size = Math.sqrt(grads[i]!.square().sum().dataSync()[0]!);
      expect(size, `input ${i} has a gradient`).toBeGreaterThan(1e-6);
      expect(
        Math.abs(numeric - analytic) / Math.max(size, 1e-3),
        `input ${i}: numeric ${numeric}, analytic ${analytic}`,
      ).toBeLessThan(tolerance);
    }
  });
}
