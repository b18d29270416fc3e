/** The tensor arithmetic that the samplers' updates share. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import type { PredictionType } from './prediction-type.js';

/** A per-step constant: a number, or a scalar tensor where one traced step serves all timesteps. */
export type Scalar = number | Tensor;

/** Splits a learned variance off: [..., 2C] -> ([..., C], [..., C]); a plain output comes back alone. */
export function splitVariance(
  modelOutput: Tensor,
  sample: Tensor,
  learned: boolean,
  channelAxis: number,
  className: string,
): [Tensor, Tensor | null] {
  const axis = channelAxis < 0 ? sample.rank + channelAxis : channelAxis;
  const channels = sample.shape[axis];
  const expected = sample.shape.map((size, i) => (i === axis && learned ? 2 * size : size));
  const given = modelOutput.shape;
  if (given.length !== expected.length || given.some((size, i) => size !== expected[i])) {
    throw new InputError(
      `${className}: the model output has shape [${given}] but the sample [${sample.shape}], channels on axis ${axis}, ` +
        `needs [${expected}]${learned ? ' (prediction and learned variance)' : '; drop a learned variance before the step (see guide())'}`,
      { code: 'diffusion.output-shape', modelOutput: given, sample: sample.shape, expected },
    );
  }
  if (!learned) return [modelOutput, null];
  const [prediction, variance] = tf.split(modelOutput, [channels!, channels!], axis);
  return [prediction!, variance!];
}

/** x_0 from the model's output at noise level (α, σ): Ho et al. 2020 eq. 15 for ε; Salimans & Ho 2022 for v. */
export function predictX0(type: PredictionType, output: Tensor, sample: Tensor, alpha: Scalar, sigma: Scalar): Tensor {
  if (type === 'sample') return tf.clone(output); // never the caller's own tensor
  if (type === 'v_prediction') return tf.sub(tf.mul(sample, alpha), tf.mul(output, sigma));
  return tf.div(tf.sub(sample, tf.mul(output, sigma)), alpha);
}

/** ε from the model's output at noise level (α, σ). */
export function predictEpsilon(
  type: PredictionType,
  output: Tensor,
  sample: Tensor,
  alpha: Scalar,
  sigma: Scalar,
): Tensor {
  if (type === 'epsilon') return output;
  if (type === 'v_prediction') return tf.add(tf.mul(output, alpha), tf.mul(sample, sigma));
  return tf.div(tf.sub(sample, tf.mul(output, alpha)), sigma);
}

/** factor * noise; nothing where the factor is the number 0. Throws `InputError` when noise is needed and absent. */
export function scaledNoise(
  factor: Scalar,
  noise: Tensor | undefined,
  sample: Tensor,
  className: string,
): Tensor | null {
  if (factor === 0) return null;
  if (!noise) {
    throw new InputError(`${className}: this step adds noise; pass { noise } of shape [${sample.shape}]`, {
      code: 'diffusion.noise-missing',
      shape: sample.shape,
    });
  }
  return tf.mul(noise, factor);
}
