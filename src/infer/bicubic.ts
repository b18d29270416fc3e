/** Enlarging videos without a network, through 8-bit frames and PIL's bicubic filter as Show-1's script does. */

import { writeUnit } from '../data/frames.js';
import { pilResize } from '../data/pil-resize.js';
import { videoBytes } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';

/** video [B, F, h, w, 3] in [-1, 1] -> [B, F, height, width, 3], values on the 8-bit grid; the caller's to dispose. */
export async function bicubicUpsample(video: Tensor, [height, width]: [number, number]): Promise<Tensor> {
  const [B, F, h, w, C] = video.shape as [number, number, number, number, number];
  const bytes = await videoBytes(video);
  const resized = pilResize(bytes, { images: B * F, height: h, width: w, channels: C }, { height, width });
  const values = new Float32Array(resized.length);
  writeUnit(resized, values);
  return tf.tensor(values, [B, F, height, width, C]);
}
