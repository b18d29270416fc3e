import { randomUniform, type Tensor, tf } from '../engine/index.js';

/**
 * The same random square of each frame of each clip: [B, F, H, W, C] -> [B, F, side, side, C]. It starts on a multiple of `grid`, so
 * that its small version is a square of the clip's.
 */
export function randomCrop(clips: Tensor, side: number, grid: number, key: Tensor): Tensor {
  const [B, F, H, W, C] = clips.shape as [number, number, number, number, number];
  return tf.tidy(() => {
    const draws = randomUniform([B, 2], key).dataSync();
    const start = (draw: number, size: number) => grid * Math.floor(draw * ((size - side) / grid + 1));
    const squares = Array.from({ length: B }, (_, b) =>
      clips.slice([b, 0, start(draws[2 * b]!, H), start(draws[2 * b + 1]!, W), 0], [1, F, side, side, C]),
    );
    return tf.concat(squares, 0);
  });
}
