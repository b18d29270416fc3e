/** Cuts the gradient: what TF.js has no op for. */
import { type Tensor, tf } from '../engine/tf.js';

/** x, as a constant for the backward pass: its gradient is zero. */
export function stopGradient(x: Tensor): Tensor {
  return tf.customGrad((value: unknown) => ({
    value: tf.clone(value as Tensor),
    gradFunc: (dy: Tensor) => tf.zerosLike(dy),
  }))(x);
}
