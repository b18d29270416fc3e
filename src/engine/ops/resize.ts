/** Resampling of images: nearest up, average-pool down, bilinear with and without aligned corners, bicubic. All [N, H, W, C]. */
import { defineOp } from '../define-op.js';
import { boolAttr, intAttr, raw, stringAttr, T } from '../raw.js';
import { type Tensor, tf } from '../tf.js';

const poolAttrs = (x: Tensor) => [
  T(x),
  intAttr('ksize', [1, 2, 2, 1]),
  intAttr('strides', [1, 2, 2, 1]),
  stringAttr('padding', 'VALID'),
  stringAttr('data_format', 'NHWC'),
];

const pool = defineOp<'x', object>({
  name: 'Show1AvgPool2x',
  inputs: ['x'],
  forward: ({ x }) => [raw('AvgPool', poolAttrs(x), [x])],
  backward: (dy, { x }) => ({ x: () => raw('AvgPoolGrad', poolAttrs(dy), [tf.tensor1d(x.shape, 'int32'), dy]) }),
});

/** Mean of 2×2 blocks: [N, H, W, C] -> [N, ⌊H/2⌋, ⌊W/2⌋, C] (PyTorch's `avg_pool2d(2)`: an odd last row or column is dropped). */
export function avgPool2x(x: Tensor): Tensor {
  return pool({ x }, {});
}

const double = defineOp<'x', object>({
  name: 'Show1UpsampleNearest2x',
  inputs: ['x'],
  save: [],
  forward: ({ x }) => [resizeNearestRaw(x, x.shape[1]! * 2, x.shape[2]! * 2)],
  // The gradient sums each 2×2 block: four times its mean.
  backward: dy => ({ x: () => raw('AvgPool', poolAttrs(dy), [dy]).mul(4) }),
});

function resizeNearestRaw(x: Tensor, height: number, width: number): Tensor {
  return raw(
    'ResizeNearestNeighbor',
    [T(x), boolAttr('align_corners', false), boolAttr('half_pixel_centers', false)],
    [x, tf.tensor1d([height, width], 'int32')],
  );
}

/** Nearest-neighbour ×2: [N, H, W, C] -> [N, 2H, 2W, C]. */
export function upsampleNearest2x(x: Tensor): Tensor {
  return double({ x }, {});
}

const nearest = defineOp<'x', { height: number; width: number }>({
  name: 'Show1UpsampleNearest',
  inputs: ['x'],
  forward: ({ x }, { height, width }) => [resizeNearestRaw(x, height, width)],
  backward: (dy, { x }) => ({
    x: () =>
      raw(
        'ResizeNearestNeighborGrad',
        [T(dy), boolAttr('align_corners', false), boolAttr('half_pixel_centers', false)],
        [dy, tf.tensor1d([x.shape[1]!, x.shape[2]!], 'int32')],
      ),
  }),
});

/** Nearest neighbour to any size, source index ⌊i·in/out⌋ as in PyTorch: [N, H, W, C] -> [N, height, width, C]. */
export function upsampleNearest(x: Tensor, [height, width]: [number, number]): Tensor {
  if (height === x.shape[1]! * 2 && width === x.shape[2]! * 2) return upsampleNearest2x(x);
  return nearest({ x }, { height, width });
}

const bilinear = defineOp<'x', { height: number; width: number; alignCorners: boolean }>({
  name: 'Show1ResizeBilinear',
  inputs: ['x'],
  forward: ({ x }, { height, width, alignCorners }) => [
    raw(
      'ResizeBilinear',
      [T(x), boolAttr('align_corners', alignCorners), boolAttr('half_pixel_centers', !alignCorners)],
      [x, tf.tensor1d([height, width], 'int32')],
    ),
  ],
  // TF.js's own gradient ignores half_pixel_centers and is silently wrong; the raw op is right.
  backward: (dy, { x }, _, { alignCorners }) => ({
    x: () =>
      raw(
        'ResizeBilinearGrad',
        [T(x), boolAttr('align_corners', alignCorners), boolAttr('half_pixel_centers', !alignCorners)],
        [dy, x],
      ),
  }),
});

/**
 * PyTorch's `interpolate(mode='bilinear')` without antialiasing.
 * @param x [N, H, W, C]  @returns [N, height, width, C]
 */
export function resizeBilinear(x: Tensor, [height, width]: [number, number], { alignCorners = false } = {}): Tensor {
  return bilinear({ x }, { height, width, alignCorners });
}

const bicubic = defineOp<'x', { height: number; width: number }>({
  name: 'Show1ResizeBicubic',
  inputs: ['x'],
  forward: ({ x }, { height, width }) => [
    raw(
      'ResizeBicubic',
      [T(x), boolAttr('align_corners', false), boolAttr('half_pixel_centers', true)],
      [x, tf.tensor1d([height, width], 'int32')],
    ),
  ],
  backward: (dy, { x }) => ({
    x: () =>
      raw(
        'ResizeBicubicGrad',
        [T(dy), boolAttr('align_corners', false), boolAttr('half_pixel_centers', true)],
        [dy, x],
      ),
  }),
});

/**
 * Bicubic with Keys' kernel (a = -0.5) and weights renormalised at the border: what PIL does when it enlarges, without the
 * rounding to 8 bits. @param x [N, H, W, C]  @returns [N, height, width, C]
 */
export function resizeBicubic(x: Tensor, [height, width]: [number, number]): Tensor {
  return bicubic({ x }, { height, width });
}
