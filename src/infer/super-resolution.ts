/** What both super-resolution samplers share: the upsampled low-resolution condition with noise of a known level. */
import { addNoise, type NoiseSchedule, noiseSchedule } from '../diffusion/index.js';
import { resizeBilinear, type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { NoiseSource } from './noise.js';

/** The schedule that condition noise is measured in (`image_noising_scheduler` of the released folders). */
export const CONDITION_SCHEDULE = noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });

/** Bilinear with aligned corners, frame by frame: [B, F, h, w, C] -> [B, F, height, width, C]. */
export function upsampleVideo(video: Tensor, [height, width]: [number, number]): Tensor {
  const [B, F, h, w, C] = video.shape as [number, number, number, number, number];
  const frames = resizeBilinear(video.reshape([B * F, h, w, C]), [height, width], { alignCorners: true });
  return frames.reshape([B, F, height, width, C]);
}

/** The upsampled video with augmentation noise of `level` (a timestep): [B, F, h, w, C] -> [B, F, height, width, C]. */
export function noisyCondition(
  video: Tensor,
  size: [number, number],
  level: number,
  noise: NoiseSource,
  schedule: NoiseSchedule = CONDITION_SCHEDULE,
): Tensor {
  const T = schedule.numTrainTimesteps;
  if (!Number.isInteger(level) || level < 0 || level >= T) {
    throw new InputError(`noise level ${level} is not an integer in [0, ${T})`, { code: 'infer.noise-level', level });
  }
  return tf.tidy(() => {
    const upsampled = upsampleVideo(video, size);
    return addNoise(schedule, upsampled, noise('augmentation noise', upsampled.shape), level);
  });
}
