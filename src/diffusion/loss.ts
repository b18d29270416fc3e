/** Training losses: L_simple on ε, v or x_0, and the hybrid loss for a learned variance. Nothing here leaves the device. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { noiseRoots, signalRoots, tableRows } from './forward-process.js';
import { type NoiseSchedule, signalToNoise } from './noise-schedule.js';
import { PREDICTION_TYPES, type PredictionType } from './prediction-type.js';
import { stopGradient } from './stop-gradient.js';
import { discretizedGaussianNll, gaussianKl } from './vlb.js';

export interface LossOptions {
  schedule: NoiseSchedule;
  predictionType: PredictionType;
  /** The model's output has 2C channels, the second half v of a `learned_range` variance. Default false. */
  learnedVariance?: boolean;
  /**
   * λ of L_hybrid = L_simple + λ L_vlb (Nichol & Dhariwal 2021, eq. 16); default 0.001. L_vlb is the sum over all T
   * timesteps, estimated as T times the drawn one, in bits a dimension: OpenAI's RESCALED_MSE. 1/T is their plain MSE.
   */
  vlbWeight?: number;
  /** γ of min-SNR weighting (Hang et al. 2023; they use 5). Default: no weighting. */
  minSnrGamma?: number | null;
}

export interface LossInputs {
  /** [B, …, C], or [B, …, 2C] with a learned variance. */
  modelOutput: Tensor;
  /** The clean sample, [B, …, C], in [-1, 1] if the variance is learned. */
  x0: Tensor;
  /** The noise that x_t was made with (offset noise included), [B, …, C]. */
  noise: Tensor;
  /** int32 [B]; may be an input of a traced graph. */
  timesteps: Tensor;
  /** Factor on each sample's loss, [B]. */
  sampleWeights?: Tensor;
  /** Adds the appearance-debiased loss of a video, see {@link AppearanceDebias}. */
  debias?: AppearanceDebias;
}

/**
 * The appearance-debiased temporal loss (MotionDirector, Zhao et al. 2023, eq. 6 and 7): the squared error of
 * φ(ε_i) = sqrt(β² + 1) ε_i - β ε_anchor. What all frames share (a colour, a background) weighs less in it than how they differ.
 * φ is linear, so it is applied to the error of the prediction.
 */
export interface AppearanceDebias {
  /** 1 at each sample's anchor frame, else 0: [B, F]. */
  anchors: Tensor;
  /** Factor on this loss, which is added to the plain one; 1 in the paper. */
  weight: number;
  /** Strength β; 1 in the authors' code. */
  beta: number;
}

export interface LossOutput {
  /** Mean of `perSample`, scalar: what is minimised. */
  loss: Tensor;
  /** Each sample's loss with all weights, [B]. */
  perSample: Tensor;
  parts: {
    /** Mean squared error without any weight, [B]. */
    simple: Tensor;
    /** This timestep's term of L_vlb in bits a dimension, [B]; absent without a learned variance. */
    vlb?: Tensor;
  };
}

/** What the model should predict: ε, x_0, or v = sqrt(ᾱ) ε - sqrt(1 - ᾱ) x_0. x0, noise [B, …, C], timesteps [B] -> [B, …, C]. */
export function lossTarget(
  schedule: NoiseSchedule,
  predictionType: PredictionType,
  x0: Tensor,
  noise: Tensor,
  timesteps: Tensor,
): Tensor {
  return tf.tidy(() =>
    target(predictionType, x0, noise, lookUp(lossTable({ schedule, predictionType }), timesteps, x0.rank)),
  );
}

/**
 * The training loss. x_t itself is not needed: it is fixed by x0, noise and timesteps, and the posterior means of the
 * KL term differ by a known factor times the prediction's error, which also keeps the term exact at high noise.
 *
 * In the VLB term the mean is a constant (stop-gradient), so it trains the variance only. At t = 0 the term is the
 * discretised decoder's -log p(x_0 | x_1), above it is KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)).
 */
export function diffusionLoss(options: LossOptions, inputs: LossInputs): LossOutput {
  const { learnedVariance = false, vlbWeight = 0.001, predictionType, schedule } = options;
  const { modelOutput, x0, noise, timesteps, sampleWeights, debias } = inputs;
  checkShapes(modelOutput, x0, timesteps, learnedVariance);
  const table = lossTable(options);
  return tf.tidy(() => {
    const at = lookUp(table, timesteps, x0.rank);
    const [prediction, v] = learnedVariance
      ? (tf.split(modelOutput, 2, x0.rank - 1) as [Tensor, Tensor])
      : [modelOutput];
    const error = tf.sub(prediction, target(predictionType, x0, noise, at)); // [B, …, C]
    const simple = meanPerSample(tf.square(error));
    const squared = debias ? tf.add(simple, tf.mul(debiasedError(error, debias), debias.weight)) : simple;
    let perSample = tf.mul(squared, tf.reshape(at.weight, [-1]));
    let vlb: Tensor | undefined;
    if (v) {
      vlb = vlbTerm(x0, stopGradient(error), v, at);
      perSample = tf.add(perSample, tf.mul(vlb, vlbWeight * schedule.numTrainTimesteps));
    }
    if (sampleWeights) perSample = tf.mul(perSample, sampleWeights);
    return { loss: tf.mean(perSample), perSample, parts: { simple, vlb } };
  });
}

/**
 * Offset noise: adds `strength` times one number a sample and channel to the noise, so that a model can learn to
 * change mean colours. noise [B, …, C], offset standard normal and broadcastable, e.g. [B, 1, 1, 1, C].
 */
export function offsetNoise(noise: Tensor, offset: Tensor, strength: number): Tensor {
  return tf.tidy(() => tf.add(noise, tf.mul(offset, strength)));
}

/** Min-SNR-γ factor on the squared error at every t, [T] (Hang et al. 2023, section 3.4); ones without γ. */
export function minSnrWeights(
  schedule: NoiseSchedule,
  predictionType: PredictionType,
  gamma?: number | null,
): Float64Array {
  const snr = signalToNoise(schedule);
  if (gamma == null) return snr.fill(1);
  if (!(gamma > 0)) {
    throw new InputError(`min-SNR gamma is ${gamma}; it must be positive, or null for no weighting`, {
      code: 'diffusion.min-snr-gamma',
      value: gamma,
    });
  }
  return snr.map(ratio => {
    const clamped = Math.min(ratio, gamma);
    if (predictionType === 'sample') return clamped;
    if (predictionType === 'v_prediction') return clamped / (ratio + 1);
    return ratio <= gamma ? 1 : gamma / ratio; // also right at SNR 0
  });
}

const COLUMNS = ['alpha', 'sigma', 'weight', 'isFirst', 'x0Error', 'posterior', 'minLog', 'maxLog'] as const;
type Columns<V> = Record<(typeof COLUMNS)[number], V>;

/** The constants of every timestep, [T, columns], computed in double from the float32 schedule. */
function lossTable({ schedule, predictionType, learnedVariance = false, minSnrGamma }: LossOptions): Float32Array {
  if (!PREDICTION_TYPES.includes(predictionType)) {
    throw new InputError(
      `prediction type is ${JSON.stringify(predictionType)}; allowed: ${PREDICTION_TYPES.join(', ')}`,
      {
        code: 'diffusion.prediction-type',
        value: predictionType,
      },
    );
  }
  const { alphasCumprod, betas, numTrainTimesteps: T } = schedule;
  const [alphas, sigmas] = [signalRoots(schedule), noiseRoots(schedule)];
  const weights = minSnrWeights(schedule, predictionType, minSnrGamma);
  const posteriorVariance = (t: number): number => {
    const previous = t > 0 ? alphasCumprod[t - 1]! : 1;
    return (betas[t]! * (1 - previous)) / (1 - alphasCumprod[t]!);
  };
  const table = new Float32Array(T * COLUMNS.length);
  for (let t = 0; t < T; t++) {
    const previous = t > 0 ? alphasCumprod[t - 1]! : 1;
    // Posterior mean = c x_0 + … x_t, so its error is c times that of x_0, and that is a factor times the prediction's.
    const c = (Math.sqrt(previous) * betas[t]!) / (1 - alphasCumprod[t]!);
    const x0Error = { epsilon: c * (sigmas[t]! / alphas[t]!), v_prediction: c * sigmas[t]!, sample: -c }[
      predictionType
    ];
    if (learnedVariance && !Number.isFinite(x0Error)) {
      throw new InputError(
        `timestep ${t} holds no signal: a learned variance with epsilon prediction needs a schedule without zero terminal SNR; use v_prediction`,
        { code: 'diffusion.no-signal', value: t },
      );
    }
    // The posterior variance is 0 at t = 0: there its successor's stands in, as in OpenAI's code.
    const minLog = Math.log(posteriorVariance(Math.max(t, Math.min(1, T - 1))));
    const row: Columns<number> = {
      alpha: alphas[t]!,
      sigma: sigmas[t]!,
      weight: weights[t]!,
      isFirst: t === 0 ? 1 : 0,
      x0Error: learnedVariance ? x0Error : 0,
      posterior: minLog,
      minLog,
      maxLog: Math.log(betas[t]!),
    };
    COLUMNS.forEach((column, i) => {
      table[t * COLUMNS.length + i] = row[column];
    });
  }
  return table;
}

/** The rows of the table at the timesteps, one tensor [B, 1, …] a column. */
function lookUp(table: Float32Array, timesteps: Tensor, rank: number): Columns<Tensor> {
  const rows = tableRows(table, COLUMNS.length, timesteps);
  const B = timesteps.size;
  const shape = [B, ...new Array<number>(rank - 1).fill(1)];
  const columns = tf.split(rows, COLUMNS.length, 1).map(column => tf.reshape(column, shape));
  return Object.fromEntries(COLUMNS.map((name, i) => [name, columns[i]!])) as Columns<Tensor>;
}

function target(predictionType: PredictionType, x0: Tensor, noise: Tensor, at: Columns<Tensor>): Tensor {
  if (predictionType === 'epsilon') return noise;
  if (predictionType === 'sample') return x0;
  return tf.sub(tf.mul(at.alpha, noise), tf.mul(at.sigma, x0));
}

/** One term of L_vlb in bits a dimension, [B]. `error` is the prediction's, without gradient. */
function vlbTerm(x0: Tensor, error: Tensor, v: Tensor, at: Columns<Tensor>): Tensor {
  const fraction = tf.div(tf.add(v, 1), 2);
  const logVar = tf.add(tf.mul(fraction, at.maxLog), tf.mul(tf.sub(1, fraction), at.minLog)); // eq. 15
  const distance = tf.mul(error, at.x0Error); // true minus predicted mean; at t = 0 that is x_0 - mean
  const kl = gaussianKl(tf.square(distance), at.posterior, logVar);
  const nll = discretizedGaussianNll(x0, distance, logVar);
  const term = tf.add(tf.mul(nll, at.isFirst), tf.mul(kl, tf.sub(1, at.isFirst)));
  return tf.div(meanPerSample(term), Math.LN2);
}

/** Mean squared φ(error) of each video. error [B, F, H, W, C] -> [B] */
function debiasedError(error: Tensor, { anchors, beta }: AppearanceDebias): Tensor {
  const [B, F] = error.shape as [number, number];
  const anchor = tf.sum(tf.mul(error, tf.reshape(anchors, [B, F, 1, 1, 1])), 1, true); // [B, 1, H, W, C]
  return meanPerSample(tf.square(tf.sub(tf.mul(error, Math.sqrt(beta * beta + 1)), tf.mul(anchor, beta))));
}

/** Mean over all axes but the first: [B, …] -> [B]. */
const meanPerSample = (x: Tensor): Tensor => tf.mean(tf.reshape(x, [x.shape[0]!, -1]), 1);

function checkShapes(modelOutput: Tensor, x0: Tensor, timesteps: Tensor, learnedVariance: boolean): void {
  const last = x0.rank - 1;
  const expected = x0.shape.map((size, i) => (i === last && learnedVariance ? 2 * size : size));
  if (modelOutput.rank !== x0.rank || modelOutput.shape.some((size, i) => size !== expected[i])) {
    throw new InputError(
      `the model output has shape [${modelOutput.shape}] but the loss needs [${expected}]` +
        (learnedVariance ? ' (prediction and learned variance)' : ''),
      { code: 'diffusion.output-shape', modelOutput: modelOutput.shape, expected },
    );
  }
  if (timesteps.size !== x0.shape[0]) {
    throw new InputError(`${timesteps.size} timesteps for a batch of ${x0.shape[0]}; give one a sample`, {
      code: 'diffusion.timesteps-size',
      timesteps: timesteps.size,
      batch: x0.shape[0],
    });
  }
}
