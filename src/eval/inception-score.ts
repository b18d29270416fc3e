/** Inception score (Salimans et al. 2016): exp(mean over samples of KL(p(y|x) ‖ p(y))), p(y) being the mean of p(y|x). */
import { InputError } from '../errors.js';
import { NumpyRandomState } from './numpy-random.js';

export interface InceptionScoreOptions {
  /** Parts of the samples that are scored alone; the score is their mean, std their spread. Default 1. */
  splits?: number;
  /** Shuffles the samples first, as numpy's `RandomState(seed).shuffle` does. Default: the order given. */
  seed?: number;
  /** The samples are so many runs one after the other, scored alone; mean and spread are then over runs. Default 1. */
  repeats?: number;
  /** Added to every probability. Default 0. */
  eps?: number;
}

export interface InceptionScore {
  mean: number;
  /** Standard deviation (over n, as numpy's) of the splits, or of the repeats where there are several. */
  std: number;
}

/**
 * The protocols of the public video scripts. `tgan2` (evaluations/inception_score.py): 10 runs of 2048 samples in the paper, pass
 * `repeats`; `stylegan-v` (src/metrics/video_inception_score.py): 2048 samples in 10 parts, shuffled.
 */
export const INCEPTION_SCORES = {
  tgan2: { splits: 1, eps: 1e-20 },
  'stylegan-v': { splits: 10, seed: 42 },
} as const satisfies Record<string, InceptionScoreOptions>;

/** Rows of logits [n, classes] -> probabilities, in float64. */
function softmax(logits: ArrayLike<number>, n: number, classes: number): Float64Array {
  const out = new Float64Array(n * classes);
  for (let at = 0; at < out.length; at += classes) {
    let max = Number.NEGATIVE_INFINITY;
    for (let j = at; j < at + classes; j++) max = Math.max(max, logits[j]!);
    let sum = 0;
    for (let j = at; j < at + classes; j++) sum += out[j] = Math.exp(logits[j]! - max);
    for (let j = at; j < at + classes; j++) out[j]! /= sum;
  }
  return out;
}

/** Score of the rows of p [n, classes] that `rows` names. */
function scoreOf(p: Float64Array, classes: number, rows: Uint32Array, eps: number): number {
  const marginal = new Float64Array(classes);
  for (const row of rows) for (let j = 0; j < classes; j++) marginal[j]! += p[row * classes + j]! + eps;
  const logs = marginal.map(sum => Math.log(sum / rows.length));
  let total = 0;
  for (const row of rows) {
    for (let j = 0; j < classes; j++) {
      const value = p[row * classes + j]! + eps;
      if (value > 0) total += value * (Math.log(value) - logs[j]!); // x·log x is 0 at 0, where numpy says NaN
    }
  }
  return Math.exp(total / rows.length);
}

function spread(values: readonly number[]): InceptionScore {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

/**
 * Between 1 (all samples alike, or none decided) and the number of classes.
 * @param logits [n, classes], before the softmax
 * @throws InputError `eval.inception-score` when shapes or options do not fit, or a logit is not finite
 */
export function inceptionScore(
  logits: Float32Array | Float64Array,
  n: number,
  classes: number,
  { splits = 1, seed, repeats = 1, eps = 0 }: InceptionScoreOptions = {},
): InceptionScore {
  const refuse = (what: string): never => {
    throw new InputError(`Inception score: ${what}`, { code: 'eval.inception-score', n, classes, splits, repeats });
  };
  if (!(n >= 1) || !(classes >= 1) || logits.length !== n * classes) {
    refuse(`${logits.length} logits are not ${n} samples of ${classes} classes`);
  }
  for (const [name, value] of Object.entries({ splits, repeats })) {
    if (!Number.isInteger(value) || value < 1) refuse(`${name} must be a positive integer, got ${value}`);
  }
  const count = n / repeats;
  if (!Number.isInteger(count)) refuse(`${n} samples are not ${repeats} runs of equal length`);
  if (count < splits) refuse(`${count} samples cannot be cut into ${splits} parts; ask for fewer splits`);
  const bad = logits.findIndex(value => !Number.isFinite(value));
  if (bad >= 0) {
    refuse(`logit ${bad % classes} of sample ${Math.floor(bad / classes)} (counted from 0) is ${logits[bad]}`);
  }

  const p = softmax(logits, n, classes);
  const runs = Array.from({ length: repeats }, (_, run) => {
    const shuffled = seed === undefined ? undefined : new NumpyRandomState(seed).permutation(count);
    const order = Uint32Array.from({ length: count }, (_, i) => run * count + (shuffled ? shuffled[i]! : i));
    return spread(
      Array.from({ length: splits }, (_, i) => {
        const [from, to] = [i, i + 1].map(k => Math.floor((k * count) / splits)) as [number, number];
        return scoreOf(p, classes, order.subarray(from, to), eps);
      }),
    );
  });
  return repeats === 1 ? runs[0]! : spread(runs.map(run => run.mean));
}
