import { foldKey, randomUniform } from '../random.js';
import { type Tensor, tf } from '../tf.js';

/** The key of all masks, and the position of the next one in the call order. */
interface DropoutState {
  key: Tensor;
  next: number;
}

let active: DropoutState | null = null;

/** What the next calls of `dropout` will draw from; null while dropout is off. */
export const dropoutState = (): DropoutState | null => active && { ...active };

/** Runs `fn` with the masks that follow `state`. */
export function withDropoutState<R>(state: DropoutState | null, fn: () => R): R {
  const outer = active;
  active = state && { ...state };
  try {
    return fn();
  } finally {
    active = outer;
  }
}

/** Runs `fn` with dropout switched on; each call of `dropout` inside draws from `key` and its own position in the call order. */
export function withDropout<R>(key: Tensor, fn: () => R): R {
  return withDropoutState({ key, next: 0 }, fn);
}

/** Zeroes a share `rate` of the elements and scales the rest by 1 / (1 - rate); the identity outside `withDropout`. */
export function dropout(x: Tensor, rate: number): Tensor {
  if (!active || rate === 0) return x;
  const key = active.key;
  const index = active.next++;
  const mask = tf.tidy(() => tf.step(randomUniform(x.shape, foldKey(key, index)).sub(rate)).div(1 - rate));
  return x.mul(mask);
}
