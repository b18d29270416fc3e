/** Histograms with TensorFlow's default buckets (tensorflow/tsl/lib/histogram/histogram.cc). */
import type { HistogramValue } from './event-proto.js';

const SMALLEST = 1e-12;
const LARGEST = 1e20;
const GROWTH = 1.1;

/** Upper edges: …, −1.1e-12, −1e-12, 0, 1e-12, 1.1e-12, … up to 1e20, then the largest double. */
const LIMITS: readonly number[] = (() => {
  const positive: number[] = [];
  for (let edge = SMALLEST; edge < LARGEST; edge *= GROWTH) positive.push(edge);
  positive.push(Number.MAX_VALUE);
  return [...positive.map(edge => -edge).reverse(), 0, ...positive];
})();

const ZERO = LIMITS.indexOf(0);
const LOG_GROWTH = Math.log(GROWTH);

/** Index of the first edge above `value`: where TensorFlow counts it. */
function bucketOf(value: number): number {
  const size = Math.abs(value);
  const steps = size < SMALLEST ? 0 : Math.round(Math.log(size / SMALLEST) / LOG_GROWTH);
  let index = value >= 0 ? ZERO + 1 + steps : ZERO - 1 - steps;
  index = Math.min(Math.max(index, 0), LIMITS.length - 1);
  while (index > 0 && LIMITS[index - 1]! > value) index--;
  while (index < LIMITS.length - 1 && LIMITS[index]! <= value) index++;
  return index;
}

/**
 * Counts the finite values; NaN and infinities are left out. Undefined when no value is finite.
 * Runs of empty buckets are merged into one, as TensorFlow stores them; those at the two ends are dropped, since
 * TensorBoard takes `min` and `max` for the outer edges.
 */
export function makeHistogram(values: ArrayLike<number>): HistogramValue | undefined {
  const counts = new Float64Array(LIMITS.length);
  let [min, max, num, sum, sumSquares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    counts[bucketOf(value)]!++;
    if (value < min) min = value;
    if (value > max) max = value;
    num++;
    sum += value;
    sumSquares += value * value;
  }
  if (num === 0) return undefined;
  const first = counts.findIndex(count => count > 0);
  const last = counts.findLastIndex(count => count > 0);
  const bucketLimit: number[] = [];
  const bucket: number[] = [];
  for (let i = first; i <= last; i++) {
    const count = counts[i]!;
    if (count === 0 && bucket.at(-1) === 0) bucketLimit[bucketLimit.length - 1] = LIMITS[i]!;
    else {
      bucketLimit.push(LIMITS[i]!);
      bucket.push(count);
    }
  }
  return { min, max, num, sum, sumSquares, bucketLimit, bucket };
}
