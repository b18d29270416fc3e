/** Gated GELU (Shazeer 2020, "GLU Variants Improve Transformer") as diffusers' GEGLU: first half value, second half gate. */
import { defineOp } from '../define-op.js';
import { nativeKernels } from '../native-kernels.js';
import { raw } from '../raw.js';
import { type Tensor, tf } from '../tf.js';
import { geluDerivative, geluForward } from './activations.js';

const halves = (x: Tensor) => tf.split(x, 2, -1) as [Tensor, Tensor];

const native = defineOp<'x', object>({
  name: 'Show1NativeGeglu',
  inputs: ['x'],
  forward: ({ x }) => [raw('Show1Geglu', [], [x])],
  backward: (dy, { x }) => ({ x: () => raw('Show1GegluGrad', [], [dy, x]) }),
});

const composed = defineOp<'x', object>({
  name: 'Show1Geglu',
  inputs: ['x'],
  forward: ({ x }) => {
    const [value, gate] = halves(x);
    return [value.mul(geluForward(gate))];
  },
  backward: (dy, { x }) => ({
    x: () =>
      tf.tidy(() => {
        const [value, gate] = halves(x);
        return tf.concat([dy.mul(geluForward(gate)), dy.mul(value).mul(geluDerivative(gate))], -1);
      }),
  }),
});

/** @param x [..., 2 D]  @returns [..., D]: `value · gelu(gate)` with the exact GELU. */
export function geglu(x: Tensor): Tensor {
  if ((x.shape.at(-1) as number) % 2 !== 0) throw new Error(`geglu: the last axis of [${x.shape}] is odd`);
  return (nativeKernels() ? native : composed)({ x }, {});
}
