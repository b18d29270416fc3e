/**
 * How training draws its timesteps. Which noise levels matter depends on the model: motion, for instance, is decided at
 * high noise. All samplers map given random numbers to integers in [min, max), so the caller owns the randomness.
 */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';

/**
 * A distribution of s in [0, 1), the position in the range (1 is the noisy end):
 *
 * - `uniform`
 * - `power`: s = u^(1/power), density ∝ s^(power-1); 3 gives ∝ t², 1 is uniform, below 1 favours low noise
 * - `logit-normal`: s = sigmoid(mean + std·z) (Esser et al. 2024, section 3.1)
 * - `shifted`: s = shift·u / (1 + (shift-1)·u) (Esser et al. 2024, eq. 23); above 1 favours high noise
 */
export type TimestepDistribution =
  | { kind: 'uniform' }
  | { kind: 'power'; power: number }
  | { kind: 'logit-normal'; mean: number; std: number }
  | { kind: 'shifted'; shift: number };

export type TimestepSampling = TimestepDistribution & {
  /** The first timestep that may be drawn; default 0. */
  min?: number;
  /** One more than the last one. Show-1's second super-resolution stage trains on [0, 900). */
  max: number;
};

/** Which random numbers a sampler takes: uniform in [0, 1) or standard normal. */
export function timestepNoise(sampling: TimestepSampling): 'uniform' | 'normal' {
  return sampling.kind === 'logit-normal' ? 'normal' : 'uniform';
}

/** One timestep for each random number. Throws `InputError` on an impossible setting. */
export function sampleTimesteps(sampling: TimestepSampling, random: ArrayLike<number>): Int32Array {
  const { min, size } = check(sampling);
  return Int32Array.from(random, x => min + Math.min(Math.floor(position(sampling, x) * size), size - 1));
}

/** The same on tensors, for a traced graph: float32 [B] -> int32 [B]. */
export function sampleTimestepsTensor(sampling: TimestepSampling, random: Tensor): Tensor {
  const { min, size } = check(sampling);
  return tf.tidy(() => {
    const index = tf.floor(tf.mul(positionTensor(sampling, random), size));
    // Float32 can round s up to 1.
    return tf.cast(tf.add(tf.minimum(index, size - 1), min), 'int32');
  });
}

/** Probability of every timestep from 0 to max-1, [max]; it sums to 1. */
export function timestepProbabilities(sampling: TimestepSampling): Float64Array {
  const { min, size } = check(sampling);
  const out = new Float64Array(min + size);
  for (let i = 0; i < size; i++) out[min + i] = cumulative(sampling, (i + 1) / size) - cumulative(sampling, i / size);
  return out;
}

function position(sampling: TimestepSampling, x: number): number {
  switch (sampling.kind) {
    case 'uniform':
      return x;
    case 'power':
      return x ** (1 / sampling.power);
    case 'logit-normal':
      return 1 / (1 + Math.exp(-(sampling.mean + sampling.std * x)));
    case 'shifted':
      return (sampling.shift * x) / (1 + (sampling.shift - 1) * x);
  }
}

function positionTensor(sampling: TimestepSampling, x: Tensor): Tensor {
  switch (sampling.kind) {
    case 'uniform':
      return x;
    case 'power':
      return tf.pow(x, 1 / sampling.power);
    case 'logit-normal':
      return tf.sigmoid(tf.add(tf.mul(x, sampling.std), sampling.mean));
    case 'shifted':
      return tf.div(tf.mul(x, sampling.shift), tf.add(tf.mul(x, sampling.shift - 1), 1));
  }
}

/** P(s < y). */
function cumulative(sampling: TimestepSampling, y: number): number {
  if (y <= 0) return 0;
  if (y >= 1) return 1;
  switch (sampling.kind) {
    case 'uniform':
      return y;
    case 'power':
      return y ** sampling.power;
    case 'logit-normal':
      return normalCdf((Math.log(y / (1 - y)) - sampling.mean) / sampling.std);
    case 'shifted':
      return y / (sampling.shift - (sampling.shift - 1) * y);
  }
}

/** Φ(x) within 1e-15: a Taylor series near 0, a continued fraction in the tails (Abramowitz & Stegun 26.2.10, 26.2.14). */
function normalCdf(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (Math.abs(x) < 5) {
    let [term, sum] = [x, x];
    for (let k = 3; Math.abs(term) > 1e-17; k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 + density * sum;
  }
  let fraction = Math.abs(x);
  for (let k = 40; k >= 1; k--) fraction = Math.abs(x) + k / fraction;
  return x > 0 ? 1 - density / fraction : density / fraction;
}

function check(sampling: TimestepSampling): { min: number; size: number } {
  const { min = 0, max } = sampling;
  if (!Number.isInteger(min) || !Number.isInteger(max) || min < 0 || max <= min) {
    throw new InputError(`timesteps are drawn from [${min}, ${max}); both must be integers with 0 <= min < max`, {
      code: 'diffusion.timestep-range',
      min,
      max,
    });
  }
  const parameter = { uniform: ['', 1], power: ['power', 0], 'logit-normal': ['std', 0], shifted: ['shift', 0] }[
    sampling.kind
  ];
  if (!parameter) {
    throw new InputError(
      `timestep sampling is ${JSON.stringify((sampling as { kind: unknown }).kind)}; allowed: uniform, power, logit-normal, shifted`,
      { code: 'diffusion.timestep-sampling', value: (sampling as { kind: unknown }).kind },
    );
  }
  const name = parameter[0] as string;
  const value = (sampling as unknown as Record<string, number>)[name];
  const meanIsWrong = sampling.kind === 'logit-normal' && !Number.isFinite(sampling.mean);
  if ((name && !(value! > 0 && Number.isFinite(value))) || meanIsWrong) {
    const wrong = meanIsWrong ? 'mean' : name;
    throw new InputError(
      `timestep sampling ${sampling.kind}: ${wrong} is ${(sampling as unknown as Record<string, number>)[wrong]}; it must be ${meanIsWrong ? 'finite' : 'positive'}`,
      { code: 'diffusion.timestep-sampling', key: wrong },
    );
  }
  return { min, size: max - min };
}
