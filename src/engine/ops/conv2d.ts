/** 2-D convolution with PyTorch's symmetric padding (TensorFlow's 'same' pads differently when the stride is 2). */
import { defineOp } from '../define-op.js';
import { intAttr, raw, stringAttr, T } from '../raw.js';
import { type Tensor, type TF, tf } from '../tf.js';
import { biasAdd } from './bias-add.js';

/** [[top, bottom], [left, right]] */
export type Padding2d = [[number, number], [number, number]];

export interface Conv2dOptions {
  stride?: number;
  /** Zeros around the image: one number for all sides, or `[[top, bottom], [left, right]]`. */
  padding?: number | Padding2d;
}

interface Attrs {
  stride: number;
  padding: 'SAME' | 'VALID';
}

const attrsOf = (x: Tensor, { stride, padding }: Attrs) => [
  T(x),
  intAttr('strides', [1, stride, stride, 1]),
  intAttr('dilations', [1, 1, 1, 1]),
  stringAttr('data_format', 'NHWC'),
  stringAttr('padding', padding),
];

const run = defineOp<'x' | 'w', Attrs>({
  name: 'Show1Conv2D',
  inputs: ['x', 'w'],
  forward: ({ x, w }, attrs) => [raw('Conv2D', attrsOf(x, attrs), [x, w])],
  backward: (dy, { x, w }, _, attrs) => ({
    x: () => raw('Conv2DBackpropInput', attrsOf(dy, attrs), [tf.tensor1d(x.shape, 'int32'), w, dy]),
    w: () => raw('Conv2DBackpropFilter', attrsOf(dy, attrs), [x, tf.tensor1d(w.shape, 'int32'), dy]),
  }),
});

/**
 * @param x [N, H, W, Cin]
 * @param w [kh, kw, Cin, Cout]
 * @param b [Cout], optional
 * @returns [N, H', W', Cout]
 */
export function conv2d(
  x: Tensor,
  w: Tensor,
  b?: Tensor | null,
  { stride = 1, padding = 0 }: Conv2dOptions = {},
): Tensor {
  if (x.rank !== 4 || w.rank !== 4 || x.shape[3] !== w.shape[2]) {
    throw new Error(
      `conv2d: input [${x.shape}] and kernel [${w.shape}] do not fit; expected [N, H, W, C] and [kh, kw, C, out]`,
    );
  }
  const [[top, bottom], [left, right]] =
    typeof padding === 'number'
      ? ([
          [padding, padding],
          [padding, padding],
        ] as Padding2d)
      : padding;
  const half = [w.shape[0]! - 1, w.shape[1]! - 1].map(n => n / 2) as [number, number];
  const isSame = stride === 1 && top === half[0] && bottom === half[0] && left === half[1] && right === half[1];
  let y: Tensor;
  if (isSame) {
    y = run({ x, w }, { stride, padding: 'SAME' });
  } else {
    // Padding by hand: TensorFlow's EXPLICIT padding has no fast backward kernels (15 times slower in bfloat16).
    const needsPad = top + bottom + left + right > 0;
    const padded = needsPad
      ? tf.pad4d(x as TF.Tensor4D, [
          [0, 0],
          [top, bottom],
          [left, right],
          [0, 0],
        ])
      : x;
    y = run({ x: padded, w }, { stride, padding: 'VALID' });
  }
  return b ? biasAdd(y, b) : y;
}
