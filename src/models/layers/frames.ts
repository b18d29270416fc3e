/** Between videos [B, ...] and their frames folded into the batch [B·F, ...] (row = b·F + f, a free reshape). */
import { type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';

/** How many rows of `x` belong to one row of `perVideo`. @throws InputError when they do not divide */
export function framesPerVideo(x: Tensor, perVideo: Tensor): number {
  const [rows, videos] = [x.shape[0]!, perVideo.shape[0]!];
  if (rows % videos !== 0) {
    throw new InputError(`${rows} frames do not divide into ${videos} videos (time embedding or text).`, {
      code: 'model.frames',
    });
  }
  return rows / videos;
}

/** [B·F, H, W, C] -> [B, F, H, W, C] */
export function unfoldFrames(x: Tensor, frames: number): Tensor {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  if (rows % frames !== 0) {
    throw new InputError(`${rows} frames do not divide into videos of ${frames}.`, { code: 'model.frames' });
  }
  return x.reshape([rows / frames, frames, ...rest]);
}

/** [B, F, ...] -> [B·F, ...] */
export function foldFrames(x: Tensor): Tensor {
  const [videos, frames, ...rest] = x.shape as [number, number, ...number[]];
  return x.reshape([videos * frames, ...rest]);
}

/**
 * [B, L, D] -> [B·F, L, D], each video's rows for each of its frames. A broadcast sum, because TF.js's `tile` has no
 * gradient at every rank.
 */
export function repeatForFrames(x: Tensor, frames: number): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  if (frames === 1) return x;
  return x
    .reshape([B, 1, L, D])
    .add(tf.zeros([1, frames, 1, 1]))
    .reshape([B * frames, L, D]);
}

/** Views frames [B·F, H, W, C] as [B, F·H·W, C], against which a value per video [B, 1, C] broadcasts. */
export function asVideos(x: Tensor, perVideo: Tensor): Tensor {
  const rows = framesPerVideo(x, perVideo) * x.shape.slice(1, -1).reduce((a, b) => a * b, 1);
  return x.reshape([perVideo.shape[0]!, rows, x.shape.at(-1)!]);
}
