/** Sinusoidal timestep embedding (Ho et al. 2020, appendix B), with diffusers' options. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { f32 } from './float32.js';

export interface TimestepEmbeddingOptions {
  /** [cos, sin] instead of [sin, cos]. Default false. */
  flipSinToCos?: boolean;
  /** Subtracted from dim/2 in the exponent's denominator. Default 1. */
  downscaleFreqShift?: number;
  /** Default 10000. */
  maxPeriod?: number;
}

/**
 * [sin(t f_i), cos(t f_i)] with f_i = maxPeriod^(-i / (dim/2 - shift)); an odd dim gets a zero at the end.
 * timesteps [B], int32 or float32 (fractions allowed) -> float32 [B, dim]. Works in a traced graph.
 */
export function timestepEmbedding(
  timesteps: Tensor | ArrayLike<number>,
  dim: number,
  { flipSinToCos = false, downscaleFreqShift = 1, maxPeriod = 10000 }: TimestepEmbeddingOptions = {},
): Tensor {
  const half = Math.floor(dim / 2);
  if (!Number.isInteger(dim) || half < 1 || half - downscaleFreqShift <= 0) {
    throw new InputError(
      `a timestep embedding of width ${dim} with frequency shift ${downscaleFreqShift} is undefined; dim/2 must exceed the shift`,
      { code: 'diffusion.timestep-embedding', dim, downscaleFreqShift },
    );
  }
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp(f32(f32(f32(-Math.log(maxPeriod)) * i) / f32(half - downscaleFreqShift))),
  );
  return tf.tidy(() => {
    const t = timesteps instanceof tf.Tensor ? timesteps : tf.tensor1d(Float32Array.from(timesteps));
    const angles = tf.mul(tf.reshape(tf.cast(t, 'float32'), [-1, 1]), tf.tensor2d(frequencies, [1, half])); // [B, dim/2]
    const [sin, cos] = [tf.sin(angles), tf.cos(angles)];
    const parts = flipSinToCos ? [cos, sin] : [sin, cos];
    if (dim % 2 === 1) parts.push(tf.zeros([t.size, 1]));
    return tf.concat(parts, 1);
  });
}
