/**
 * Counter-based random numbers: every draw is a pure function of (seed, step, purpose), so noise never depends on what
 * was drawn before, and a resumed run draws what the uninterrupted run would have drawn. The numbers come from
 * TensorFlow's stateless (Philox) generators, which also work inside a compiled step, with the key as an input.
 */
import { DType, raw, typeAttr } from './raw.js';
import { type Tensor, tf } from './tf.js';

/** 32-bit mixing of `state` with one more word (murmur3's finaliser over a Weyl sequence). */
function mix(state: number, word: number): number {
  let h = Math.imul(state ^ word, 0x9e3779b1) + 0x7f4a7c15;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The two 32-bit words that key all draws of one purpose at one step. */
export function rngKeyWords(seed: number, step: number, purpose: string): [number, number] {
  let a = mix(0x243f6a88, seed | 0);
  let b = mix(0x13198a2e, seed / 2 ** 32);
  for (const word of [step | 0, Math.floor(step / 2 ** 32)]) [a, b] = [mix(a, word), mix(b ^ 0x5bd1e995, word)];
  for (let i = 0; i < purpose.length; i++) {
    const code = purpose.charCodeAt(i);
    [a, b] = [mix(a, code), mix(b + 0x27d4eb2f, code)];
  }
  return [a | 0, b | 0];
}

/** A [2] int32 tensor that keys `randomNormal` and `randomUniform`; pass it into a compiled step as an input. */
export function rngKey(seed: number, step: number, purpose: string): Tensor {
  return tf.tensor1d(rngKeyWords(seed, step, purpose), 'int32');
}

function stateless(op: string, shape: number[], key: Tensor): Tensor {
  return raw(
    op,
    [typeAttr('dtype', DType.float32), typeAttr('T', DType.int32), typeAttr('Tseed', DType.int32)],
    [tf.tensor1d(shape, 'int32'), key],
  );
}

/** Standard normal numbers of the given shape. */
export function randomNormal(shape: number[], key: Tensor): Tensor {
  return tf.tidy(() => stateless('StatelessRandomNormal', shape, key));
}

/** Uniform numbers in [0, 1). */
export function randomUniform(shape: number[], key: Tensor): Tensor {
  return tf.tidy(() => stateless('StatelessRandomUniform', shape, key));
}

/** A further key derived from `key`; the same `index` gives the same key. */
export function foldKey(key: Tensor, index: number): Tensor {
  return tf.tidy(() => key.add(tf.tensor1d(rngKeyWords(0x51ed270b, index, 'fold'), 'int32')));
}
