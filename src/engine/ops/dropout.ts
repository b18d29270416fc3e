import { foldKey, randomUniform } from '../random.js';
import { type Tensor, tf } from '../tf.js';

let active: { key: Tensor; next: number } | null = null;

/** Runs `fn` with dropout switched on; each call of `dropout` inside draws from `key` and its own position in the call order. */
export function withDropout<R>(key: Tensor, fn: () => R): R {
  const outer = active;
  active = { key, next: 0 };
  try {
    return fn();
  } finally {
    active = outer;
  }
}

/** Zeroes a share `rate` of the elements and scales the rest by 1 / (1 - rate); the identity outside `withDropout`. */
export function dropout(x: Tensor, rate: number): Tensor {
  if (!active || rate === 0) return x;
  const key = active.key;
  const index = active.next++;
  const mask = tf.tidy(() => tf.step(randomUniform(x.shape, foldKey(key, index)).sub(rate)).div(1 - rate));
  return x.mul(mask);
}
