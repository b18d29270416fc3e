/** Pools of videos [B, T, H, W, C]; sizes and strides are those of time, rows, columns. */
import { type Tensor, tf } from '../../engine/index.js';

type Triple = [number, number, number];
type Tensor5D = ReturnType<typeof tf.tensor5d>;

/** Largest value of each window, TensorFlow's SAME padding: [B, ⌈T/s⌉, ⌈H/s⌉, ⌈W/s⌉, C]. */
export function maxPool3d(x: Tensor, size: Triple, stride: Triple): Tensor {
  return tf.maxPool3d(x as Tensor5D, size, stride, 'same');
}

/** Mean of each window at every place where it fits: [B, T-t+1, H-h+1, W-w+1, C]. */
export function averagePool3d(x: Tensor, size: Triple): Tensor {
  return tf.avgPool3d(x as Tensor5D, size, [1, 1, 1], 'valid');
}
