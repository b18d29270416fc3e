/** 2-D convolution with PyTorch's symmetric padding (TensorFlow's 'same' pads differently when the stride is 2). */
import { defineOp } from '../define-op.js';
import { intAttr, raw, stringAttr, T } from '../raw.js';
import { type Tensor, tf } from '../tf.js';
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
  pads: number[];
}

const attrsOf = (x: Tensor, { stride, pads }: Attrs) => [
  T(x),
  intAttr('strides', [1, stride, stride, 1]),
  intAttr('dilations', [1, 1, 1, 1]),
  stringAttr('data_format', 'NHWC'),
  stringAttr('padding', pads.some(p => p > 0) ? 'EXPLICIT' : 'VALID'),
  intAttr('explicit_paddings', pads.some(p => p > 0) ? [0, 0, ...pads, 0, 0] : []),
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
  const y = run({ x, w }, { stride, pads: [top, bottom, left, right] });
  return b ? biasAdd(y, b) : y;
}
