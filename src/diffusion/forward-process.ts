/** The forward (noising) process q(x_t | x_0) of Ho et al. 2020, eq. 4. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { f32 } from './float32.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** One timestep for the whole batch, one a sample, or an int32 tensor [B] (which may be traced). */
export type Timesteps = number | ArrayLike<number> | Tensor;

/**
 * Rows of a constant table [T, K] at the timesteps (int32 [B]) -> [B, K]. As a product with a one-hot matrix, elementwise
 * and hence exact at any precision: TF.js's own gather reads its indices back, which stalls and cannot be traced. A
 * timestep outside [0, T) gives zeros.
 */
export function tableRows(table: Float32Array, columns: number, timesteps: Tensor): Tensor {
  const T = table.length / columns;
  return tf.tidy(() => {
    const oneHot = tf.oneHot(tf.cast(tf.reshape(timesteps, [-1]), 'int32'), T); // [B, T]
    const rows = tf.tensor3d(table, [1, T, columns]);
    return tf.sum(tf.mul(tf.cast(tf.expandDims(oneHot, 2), 'float32'), rows), 1);
  });
}

/** Values of a table [T] at the timesteps, shaped [B, 1, …] (or [1, 1, …] for a single timestep) to meet rank `rank`. */
export function extract(table: Float32Array, timesteps: Timesteps, rank: number): Tensor {
  const ones = new Array<number>(rank - 1).fill(1);
  if (timesteps instanceof tf.Tensor) {
    return tf.tidy(() => tf.reshape(tableRows(table, 1, timesteps), [timesteps.size, ...ones]));
  }
  const list = typeof timesteps === 'number' ? [timesteps] : Array.from(timesteps);
  for (const t of list) {
    if (!Number.isInteger(t) || t < 0 || t >= table.length) {
      throw new InputError(`timestep ${t} is not an integer in [0, ${table.length})`, {
        code: 'diffusion.timestep',
        value: t,
      });
    }
  }
  return tf.tensor(
    list.map(t => table[t]!),
    [list.length, ...ones],
  );
}

/** sqrt(ᾱ_t), [T], in float32. */
export const signalRoots = (schedule: NoiseSchedule): Float32Array => schedule.alphasCumprod.map(Math.sqrt);

/** sqrt(1 - ᾱ_t), [T], in float32. */
export const noiseRoots = (schedule: NoiseSchedule): Float32Array =>
  schedule.alphasCumprod.map(alpha => Math.sqrt(f32(1 - alpha)));

/** x_t = sqrt(ᾱ_t) x_0 + sqrt(1 - ᾱ_t) ε. x0, noise [B, …] -> [B, …]. */
export function addNoise(schedule: NoiseSchedule, x0: Tensor, noise: Tensor, timesteps: Timesteps): Tensor {
  return tf.tidy(() => {
    const alpha = extract(signalRoots(schedule), timesteps, x0.rank);
    const sigma = extract(noiseRoots(schedule), timesteps, x0.rank);
    return tf.add(tf.mul(alpha, x0), tf.mul(sigma, noise));
  });
}

/** v_t = sqrt(ᾱ_t) ε - sqrt(1 - ᾱ_t) x_0 (Salimans & Ho 2022). x0, noise [B, …] -> [B, …]. */
export function getVelocity(schedule: NoiseSchedule, x0: Tensor, noise: Tensor, timesteps: Timesteps): Tensor {
  return tf.tidy(() => {
    const alpha = extract(signalRoots(schedule), timesteps, x0.rank);
    const sigma = extract(noiseRoots(schedule), timesteps, x0.rank);
    return tf.sub(tf.mul(alpha, noise), tf.mul(sigma, x0));
  });
}
