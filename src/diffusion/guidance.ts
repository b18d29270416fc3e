/** Classifier-free guidance (Ho & Salimans 2022) as Show-1's pipelines apply it. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import type { Scheduler } from './scheduler.js';
import type { Scalar } from './step-math.js';

/**
 * What becomes of a learned variance: `none` the model predicts none, `keep` it stays behind the guided prediction (from
 * the conditional half), `drop` only the guided prediction comes back.
 */
export type VarianceHandling = 'none' | 'keep' | 'drop';

export interface GuidanceOptions {
  /** Guidance scale g; 1 is the conditional prediction alone. */
  scale: Scalar;
  /** Default `none`; see `varianceHandling`. */
  variance?: VarianceHandling;
  /** Which axis holds the channels; default -1. */
  channelAxis?: number;
}

/** The model's input for guidance: the same sample twice, unconditional half first. [B, …] -> [2B, …]. */
export function doubleBatch(sample: Tensor): Tensor {
  return tf.concat([sample, sample], 0);
}

/** What the scheduler wants done with outputs of `outputChannels` for samples of `sampleChannels`. */
export function varianceHandling(
  outputChannels: number,
  sampleChannels: number,
  scheduler: Scheduler,
): VarianceHandling {
  if (outputChannels === sampleChannels) return 'none';
  if (outputChannels === 2 * sampleChannels) return scheduler.learnsVariance ? 'keep' : 'drop';
  throw new InputError(
    `the model gives ${outputChannels} channels for a sample of ${sampleChannels}; ` +
      `it must give ${sampleChannels}, or ${2 * sampleChannels} with a learned variance`,
    { code: 'diffusion.output-channels', outputChannels, sampleChannels },
  );
}

/** Removes the learned variance: the first half of the channels. [..., 2C] -> [..., C]. */
export function dropVariance(modelOutput: Tensor, channelAxis = -1): Tensor {
  return tf.tidy(() => halves(modelOutput, channelAxis)[0]);
}

/**
 * u + g (c - u) of a batch [uncond; cond]: [2B, …, C] -> [B, …, C]. With `variance: 'keep'` the channels are 2C on both
 * sides: the variance is the conditional half's, unguided. With `drop`, 2C become C.
 */
export function guide(modelOutput: Tensor, { scale, variance = 'none', channelAxis = -1 }: GuidanceOptions): Tensor {
  if (modelOutput.shape[0]! % 2 !== 0) {
    throw new InputError(
      `guidance needs the batch [uncond; cond], but its size is ${modelOutput.shape[0]}, which is odd`,
      {
        code: 'diffusion.guidance-batch',
        shape: modelOutput.shape,
      },
    );
  }
  return tf.tidy(() => {
    const [uncond, cond] = tf.split(modelOutput, 2, 0) as [Tensor, Tensor];
    if (variance === 'none') return mix(uncond, cond, scale);
    const [uncondPrediction] = halves(uncond, channelAxis);
    const [condPrediction, condVariance] = halves(cond, channelAxis);
    const guided = mix(uncondPrediction, condPrediction, scale);
    return variance === 'drop' ? guided : tf.concat([guided, condVariance], axisOf(cond, channelAxis));
  });
}

const mix = (uncond: Tensor, cond: Tensor, scale: Scalar): Tensor =>
  tf.add(uncond, tf.mul(tf.sub(cond, uncond), scale));

const axisOf = (x: Tensor, axis: number): number => (axis < 0 ? x.rank + axis : axis);

function halves(x: Tensor, channelAxis: number): [Tensor, Tensor] {
  const axis = axisOf(x, channelAxis);
  if (x.shape[axis]! % 2 !== 0) {
    throw new InputError(
      `an output with a learned variance has an even number of channels, but shape [${x.shape}] has ${x.shape[axis]} on axis ${axis}`,
      { code: 'diffusion.output-channels', shape: x.shape, axis },
    );
  }
  return tf.split(x, 2, axis) as [Tensor, Tensor];
}
