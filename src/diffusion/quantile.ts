/** Quantiles of tensors, without leaving the device. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { f32 } from './float32.js';

/**
 * `torch.quantile(x, q, dim=-1)` with linear interpolation: x [..., N] -> [...]. Sorts only the larger side's
 * N - floor(q (N-1)) values, so q near 1 is cheap. Not differentiable; works inside a traced graph.
 */
export function quantile(x: Tensor, q: number): Tensor {
  if (!(q >= 0 && q <= 1)) {
    throw new InputError(`quantile ${q} is outside [0, 1]`, { code: 'diffusion.quantile', value: q });
  }
  const N = x.shape[x.shape.length - 1] ?? 0;
  if (N === 0) {
    throw new InputError(`quantile of a tensor of shape [${x.shape}]: the last axis must hold a value`, {
      code: 'diffusion.quantile-empty',
      shape: x.shape,
    });
  }
  // The position among the ascending values, in float32 as PyTorch has it.
  const position = f32(f32(q) * (N - 1));
  const below = Math.floor(position);
  const weight = f32(position - below);
  return tf.tidy(() => {
    const descending = tf.topk(x, N - below, true).values; // [..., N - below]: the last one is rank `below`
    const axis = x.rank - 1;
    const whole = x.shape.slice(0, axis);
    // A slice: TF.js's gather would read its indices back.
    const at = (rank: number): Tensor =>
      tf.squeeze(tf.slice(descending, [...whole.map(() => 0), N - 1 - rank], [...whole, 1]), [axis]);
    const low = at(below);
    if (weight === 0) return low;
    const high = at(below + 1);
    const gap = tf.sub(high, low);
    return weight < 0.5 ? tf.add(low, tf.mul(gap, weight)) : tf.sub(high, tf.mul(gap, f32(1 - weight)));
  });
}
