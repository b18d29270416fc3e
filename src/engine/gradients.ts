import { type Tensor, tf, type Variable } from './tf.js';

/**
 * Value and gradients of a scalar function with respect to variables or tensors used inside it, in the order given.
 * A variable without a path to the value gets a zero gradient (TF.js's own `variableGrads` drops it silently).
 */
export function valueAndGrads(f: () => Tensor, xs: (Tensor | Variable)[]): { value: Tensor; grads: Tensor[] } {
  const { value, grads } = tf.engine().gradients(f as never, xs as Tensor[], null as never, true);
  return { value, grads: grads.map((g, i) => g ?? tf.zerosLike(xs[i]!)) };
}
