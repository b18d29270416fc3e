/** Small versions of clips, as training and validation of the super-resolution stages make them. Videos are [B, F, H, W, C]. */
import { resizeBicubic, type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';

/**
 * Mean of `scale` × `scale` pixels: [B, F, H, W, C] -> [B, F, H/scale, W/scale, C].
 * @throws InputError when the sides are no multiples of `scale`
 */
export function areaDownsample(video: Tensor, scale: number): Tensor {
  const [B, F, H, W, C] = video.shape as [number, number, number, number, number];
  if (H % scale || W % scale) {
    throw new InputError(`frames of ${W}×${H} do not shrink evenly by ${scale}`, { code: 'train.scale', scale, H, W });
  }
  return tf.tidy(() => {
    // Two rank-5 means instead of one over a tensor of rank 6.
    const rows = video.reshape([B * F, H / scale, scale, W, C]).mean(2); // [BF, h, W, C]
    const both = (rows as Tensor).reshape([B * F * (H / scale), W / scale, scale, C]).mean(2); // [BFh, w, C]
    return both.reshape([B, F, H / scale, W / scale, C]);
  });
}

/** Bicubic enlargement, frame by frame, without rounding to 8 bits: [B, F, h, w, C] -> [B, F, height, width, C]. */
export function bicubicEnlarge(video: Tensor, [height, width]: [number, number]): Tensor {
  const [B, F, h, w, C] = video.shape as [number, number, number, number, number];
  return tf.tidy(() =>
    resizeBicubic(video.reshape([B * F, h, w, C]), [height, width]).reshape([B, F, height, width, C]),
  );
}
