/** Pointwise activations, each with its closed-form derivative; only the input is kept for the backward pass. */
import { defineOp } from '../define-op.js';
import { nativeKernels } from '../native-kernels.js';
import { raw, stringAttr } from '../raw.js';
import { type Tensor, tf } from '../tf.js';

function pointwise(name: string, f: (x: Tensor) => Tensor, derivative: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  const run = defineOp<'x', object>({
    name,
    inputs: ['x'],
    forward: ({ x }) => [f(x)],
    backward: (dy, { x }) => ({ x: () => tf.tidy(() => dy.mul(derivative(x))) }),
  });
  return x => run({ x }, {});
}

/** The same as one native kernel where there is one: one pass over memory each way. */
function native(activation: 'silu' | 'gelu', composed: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  const attrs = [stringAttr('activation', activation)];
  const run = defineOp<'x', object>({
    name: `Show1Native${activation}`,
    inputs: ['x'],
    forward: ({ x }) => [raw('Show1Activation', attrs, [x])],
    backward: (dy, { x }) => ({ x: () => raw('Show1ActivationGrad', attrs, [dy, x]) }),
  });
  return x => (nativeKernels() ? run({ x }, {}) : composed(x));
}

const SQRT_HALF = Math.SQRT1_2;
const INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);
/** Standard normal distribution function. */
const normalCdf = (x: Tensor) => x.mul(SQRT_HALF).erf().add(1).mul(0.5);

/** `x · sigmoid(x)`. Also called swish. */
export const silu = native('silu', pointwise('Show1Silu', siluForward, siluDerivative));

/** Exact GELU, `x Φ(x)` with the error function (PyTorch's default). */
export const gelu = native('gelu', pointwise('Show1Gelu', geluForward, geluDerivative));

/** GELU's tanh form (T5's `gelu_new`). */
export const geluTanh = pointwise(
  'Show1GeluTanh',
  x => tf.tidy(() => x.mul(0.5).mul(tanhArgument(x).tanh().add(1))),
  x =>
    tf.tidy(() => {
      const t = tanhArgument(x).tanh();
      const inner = x
        .square()
        .mul(3 * 0.044715)
        .add(1)
        .mul(Math.sqrt(2 / Math.PI));
      return t
        .add(1)
        .mul(0.5)
        .add(x.mul(0.5).mul(tf.scalar(1).sub(t.square())).mul(inner));
    }),
);

/** `x · sigmoid(1.702 x)` (OpenAI CLIP). */
export const quickGelu = pointwise(
  'Show1QuickGelu',
  x => tf.tidy(() => x.mul(x.mul(1.702).sigmoid())),
  x =>
    tf.tidy(() => {
      const s = x.mul(1.702).sigmoid();
      return s.add(x.mul(1.702).mul(s).mul(tf.scalar(1).sub(s)));
    }),
);

function tanhArgument(x: Tensor): Tensor {
  return x.add(x.square().mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
}

export function siluForward(x: Tensor): Tensor {
  return tf.tidy(() => x.mul(x.sigmoid()));
}

export function siluDerivative(x: Tensor): Tensor {
  return tf.tidy(() => {
    const s = x.sigmoid();
    return s.mul(x.mul(tf.scalar(1).sub(s)).add(1));
  });
}

export function geluForward(x: Tensor): Tensor {
  return tf.tidy(() => x.mul(normalCdf(x)));
}

export function geluDerivative(x: Tensor): Tensor {
  return tf.tidy(() => normalCdf(x).add(x.mul(x.square().mul(-0.5).exp().mul(INV_SQRT_2PI))));
}
