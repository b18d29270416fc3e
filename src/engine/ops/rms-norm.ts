/** Root-mean-square normalisation (Zhang & Sennrich 2019), as T5 uses it: no mean, no bias. */
import { defineOp } from '../define-op.js';
import type { Tensor } from '../tf.js';

const run = defineOp<'x' | 'gamma', { eps: number }>({
  name: 'Show1RmsNorm',
  inputs: ['x', 'gamma'],
  extraOutputs: 1,
  forward: ({ x, gamma }, { eps }) => {
    const rstd = x.square().mean(1, true).add(eps).rsqrt(); // x [M, C] -> [M, 1]
    return [x.mul(rstd).mul(gamma), rstd];
  },
  backward: (dy, { x, gamma }, [rstd]) => {
    const xhat = x.mul(rstd!);
    return {
      gamma: () => dy.mul(xhat).sum(0),
      x: () => {
        const g = dy.mul(gamma);
        return g.sub(xhat.mul(g.mul(xhat).mean(1, true))).mul(rstd!);
      },
    };
  },
});

/** @param x [..., C]  @param gamma [C]  @returns the shape of `x` */
export function rmsNorm(x: Tensor, gamma: Tensor, eps: number): Tensor {
  const channels = x.shape.at(-1) as number;
  if (gamma.size !== channels)
    throw new Error(`rmsNorm: [${x.shape}] has ${channels} channels, the weight ${gamma.size}`);
  return run({ x: x.reshape([-1, channels]), gamma }, { eps }).reshape(x.shape);
}
