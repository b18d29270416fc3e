/** Prints a digest of every native kernel's value and gradients, to compare processes with different thread counts. */
import { createHash } from 'node:crypto';
import {
  attention,
  geglu,
  gelu,
  groupNorm,
  layerNorm,
  type Tensor,
  temporalAttention,
  tf,
} from '../../src/engine/index.js';

/** Pseudo-random values in [-1.5, 1.5]. */
function sample(shape: number[], seed: number): Tensor {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let state = seed;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * 3;
  }
  return tf.tensor(values, shape);
}

const hash = createHash('sha256');
function add(f: (...xs: Tensor[]) => Tensor, shapes: number[][]): void {
  const inputs = shapes.map((shape, i) => sample(shape, i + 1));
  const { value, grads } = tf.valueAndGrads(f)(inputs, sample(f(...inputs).shape, 99));
  for (const t of [value, ...grads]) hash.update(t.dataSync() as Float32Array);
}

for (const x of [
  [1, 3000, 64],
  [3, 900, 48],
  [8, 200, 96],
]) {
  const c = [x[2]!];
  add((x, g, b) => groupNorm(x, g!, b!, { groups: 8, eps: 1e-5, act: 'silu' }), [x, c, c]);
  add((x, g, b) => layerNorm(x, g!, b!, 1e-5), [x, c, c]);
}
add(geglu, [[3000, 128]]);
add(gelu, [[100_003]]);
for (const [b, lq, lk] of [
  [1, 900, 600],
  [2, 300, 77],
  [9, 130, 200],
] as const) {
  add(
    (q, k, v) => attention(q, k!, v!, { heads: 2 }),
    [
      [b, lq, 80],
      [b, lk, 80],
      [b, lk, 80],
    ],
  );
}
const qkv = [2, 8, 300, 60];
add((q, k, v) => temporalAttention(q, k!, v!, { heads: 6 }), [qkv, qkv, qkv]);
console.log(hash.digest('hex'));
