/** From model samples in [-1, 1] to 8-bit video, and the condition of the interpolation stage. */
import { type Tensor, tf } from '../engine/tf.js';

/** x * 0.5 + 0.5, clamped to [0, 1], times 255, truncated: any shape, float32 in [-1, 1] -> int32 in 0..255. */
export function tensorToVideo(x: Tensor): Tensor {
  return tf.tidy(() => {
    const unit = tf.clipByValue(tf.add(tf.mul(x, 0.5), 0.5), 0, 1);
    return tf.cast(tf.floor(tf.mul(unit, 255)), 'int32');
  });
}

/** `tensorToVideo` read back as bytes, in the tensor's layout ([B, F, H, W, C]: frames of interleaved RGB). */
export async function videoBytes(x: Tensor): Promise<Uint8Array> {
  const levels = tensorToVideo(x);
  try {
    return Uint8Array.from(await levels.data());
  } finally {
    levels.dispose();
  }
}

/**
 * What Show-1's interpolation UNet sees beside the noise: the straight line in time from the first to the last frame,
 * and a mask that is 1 on those two. first, last [B, H, W, C] -> [B, frames, H, W, C + 1].
 */
export function interpolationCondition(first: Tensor, last: Tensor, frames: number): Tensor {
  const [B, H, W] = first.shape as [number, number, number];
  return tf.tidy(() => {
    const position = tf.reshape(tf.linspace(0, 1, frames), [1, frames, 1, 1, 1]);
    const blend = tf.add(
      tf.mul(tf.expandDims(first, 1), tf.sub(1, position)),
      tf.mul(tf.expandDims(last, 1), position),
    ); // [B, F, H, W, C]
    const ends = Float32Array.from({ length: frames }, (_, i) => (i === 0 || i === frames - 1 ? 1 : 0));
    const mask = tf.mul(tf.ones([B, frames, H, W, 1]), tf.tensor(ends, [1, frames, 1, 1, 1]));
    return tf.concat([blend, mask], 4); // [B, F, H, W, C + 1]
  });
}
