import { defineOp } from '../define-op.js';
import { raw, stringAttr, T } from '../raw.js';
import type { Tensor } from '../tf.js';

const NHWC = stringAttr('data_format', 'NHWC');

const run = defineOp<'x' | 'b', object>({
  name: 'Show1BiasAdd',
  inputs: ['x', 'b'],
  save: [],
  forward: ({ x, b }) => [raw('BiasAdd', [T(x), NHWC], [x, b])],
  backward: dy => ({ x: () => dy.clone(), b: () => raw('BiasAddGrad', [T(dy), NHWC], [dy]) }),
});

/** Adds `b` [C] to the last axis of `x` [..., C]; TensorFlow fuses it into the matmul or convolution before it. */
export function biasAdd(x: Tensor, b: Tensor): Tensor {
  return run({ x, b }, {});
}
