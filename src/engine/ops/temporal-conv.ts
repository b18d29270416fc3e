import type { Tensor } from '../tf.js';
import { conv2d } from './conv2d.js';

/**
 * Convolution over time alone: PyTorch's `Conv3d` with kernel (kt, 1, 1) and padding ((kt-1)/2, 0, 0). A pixel's track
 * through the frames is one column, so this is a 2-D convolution with kernel [kt, 1] on [B, F, H·W, C].
 * @param x [B, F, H, W, Cin]
 * @param w [kt, 1, Cin, Cout], kt odd
 * @param b [Cout], optional
 * @returns [B, F, H, W, Cout]
 */
export function temporalConv(x: Tensor, w: Tensor, b?: Tensor | null): Tensor {
  const [B, F, H, W, C] = x.shape as [number, number, number, number, number];
  const pad = ((w.shape[0] as number) - 1) / 2;
  const y = conv2d(x.reshape([B, F, H * W, C]), w, b, {
    padding: [
      [pad, pad],
      [0, 0],
    ],
  }); // [B, F, H·W, Cout]
  return y.reshape([B, F, H, W, w.shape[3] as number]);
}
