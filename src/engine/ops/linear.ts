/** Affine map with the weight in PyTorch's layout, so that a checkpoint's matrix is used as it lies in the file. */
import { defineOp } from '../define-op.js';
import { boolAttr, raw, T } from '../raw.js';
import type { Tensor } from '../tf.js';
import { biasAdd } from './bias-add.js';

const matMul = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean) =>
  raw('MatMul', [boolAttr('transpose_a', transposeA), boolAttr('transpose_b', transposeB), T(a)], [a, b]);

const run = defineOp<'x' | 'w', object>({
  name: 'Show1Linear',
  inputs: ['x', 'w'],
  forward: ({ x, w }) => [matMul(x, w, false, true)], // [M, in] × [out, in]ᵀ
  backward: (dy, { x, w }) => ({
    x: () => matMul(dy, w, false, false),
    w: () => matMul(dy, x, true, false),
  }),
});

/**
 * `x Wᵀ + b`.
 * @param x [..., in]
 * @param w [out, in] (PyTorch's `nn.Linear.weight`)
 * @param b [out], optional
 * @returns [..., out]
 */
export function linear(x: Tensor, w: Tensor, b?: Tensor | null): Tensor {
  const [outFeatures, inFeatures] = w.shape as [number, number];
  if (x.shape.at(-1) !== inFeatures) {
    throw new Error(
      `linear: the input's last axis is ${x.shape.at(-1)} ([${x.shape}]) but the weight [${w.shape}] takes ${inFeatures}`,
    );
  }
  const rows = x.size / inFeatures;
  let y = run({ x: x.reshape([rows, inFeatures]), w }, {});
  if (b) y = biasAdd(y, b);
  return y.reshape([...x.shape.slice(0, -1), outFeatures]);
}
