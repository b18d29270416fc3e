import { expect } from 'vitest';
import { type Tensor, tf } from '../../src/engine/index.js';

/** Uniform numbers in [0, 1), the same for the same seed. */
export function uniforms(n: number, seed = 1): Float64Array {
  let state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0;
  return Float64Array.from({ length: n }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** Standard normal numbers (Box-Muller), the same for the same seed. */
export function normals(n: number, seed = 1): Float64Array {
  const u = uniforms(2 * n, seed);
  return Float64Array.from({ length: n }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - u[2 * i]!));
    return radius * Math.cos(2 * Math.PI * u[2 * i + 1]!);
  });
}

/** A normal tensor. */
export function gaussian(shape: number[], seed = 1): Tensor {
  const n = shape.reduce((product, size) => product * size, 1);
  return tf.tensor(Float32Array.from(normals(n, seed)), shape);
}

/** Largest absolute difference between a tensor and a tensor or list of numbers. */
export function distance(a: Tensor, b: Tensor | ArrayLike<number>): number {
  const [x, y] = [a.dataSync(), b instanceof tf.Tensor ? b.dataSync() : b];
  expect(x.length).toBe(y.length);
  let largest = 0;
  for (let i = 0; i < x.length; i++) {
    const gap = Math.abs(x[i]! - y[i]!);
    if (!(gap <= largest)) largest = gap; // a NaN stays
  }
  return largest;
}

/** Runs `f` twice and expects that the second run leaves no tensor behind beyond those it returns. */
export function expectNoLeak(f: () => unknown): void {
  tf.dispose(f() as never);
  const before = tf.memory().numTensors;
  tf.dispose(f() as never);
  expect(tf.memory().numTensors).toBe(before);
}
