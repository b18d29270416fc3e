import { type Tensor, tf, type Variable } from './tf.js';

export interface ValueAndGrads {
  value: Tensor;
  /** In the order of `xs`. */
  grads: Tensor[];
  /** Further results of the function, without gradients. */
  aux: Tensor[];
}

/**
 * Value and gradients of a scalar function with respect to variables or tensors used inside it.
 * A variable without a path to the value gets a zero gradient (TF.js's own `variableGrads` drops it silently).
 * @param f returns the scalar, or the scalar and further tensors to hand out
 */
export function valueAndGrads(f: () => Tensor | [Tensor, ...Tensor[]], xs: (Tensor | Variable)[]): ValueAndGrads {
  let kept: Tensor[] = [];
  const objective = () => {
    const result = f();
    if (!Array.isArray(result)) return result;
    kept = result.slice(1).map(t => tf.keep(t.clone())); // the tape's own scope would dispose them
    return result[0];
  };
  const { value, grads } = tf.engine().gradients(objective as never, xs as Tensor[], null as never, true);
  const aux = kept.map(t => t.clone()); // belongs to the caller's scope
  tf.dispose(kept);
  return { value, grads: grads.map((g, i) => g ?? tf.zerosLike(xs[i]!)), aux };
}
