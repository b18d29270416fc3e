/** First values of parameters, as PyTorch's modules draw them. */
import { randomNormal, randomUniform, type Tensor, tf } from '../../engine/index.js';

/** Makes a tensor of the given shape; `key` is a random key of the parameter's own (engine `rngKey`). */
export type Initializer = (shape: number[], key: Tensor) => Tensor;

// `fill` runs natively; `tf.zeros` and `tf.ones` would make arrays in JavaScript.
export const zeros: Initializer = shape => tf.fill(shape, 0);
export const ones: Initializer = shape => tf.fill(shape, 1);

/** N(0, deviation²). */
export const normal =
  (deviation: number): Initializer =>
  (shape, key) =>
    tf.tidy(() => randomNormal(shape, key).mul(deviation));

/** U(-bound, bound). */
export const uniform =
  (bound: number): Initializer =>
  (shape, key) =>
    tf.tidy(() =>
      randomUniform(shape, key)
        .mul(2 * bound)
        .sub(bound),
    );

/**
 * PyTorch's default for the weights and biases of `nn.Linear` and `nn.Conv*d`: kaiming-uniform with a = √5, which is
 * U(±1/√fanIn).
 */
export const fanIn = (inputs: number): Initializer => uniform(1 / Math.sqrt(inputs));
