/** Layer normalisation (Ba et al. 2016) over the last axis, closed-form backward. */
import { defineOp } from '../define-op.js';
import { nativeKernels } from '../native-kernels.js';
import { floatAttr, rawMany } from '../raw.js';
import type { Tensor } from '../tf.js';

const native = defineOp<'x' | 'gamma' | 'beta', { eps: number }>({
  name: 'Show1NativeLayerNorm',
  inputs: ['x', 'gamma', 'beta'],
  save: ['x', 'gamma'],
  extraOutputs: 2,
  forward: ({ x, gamma, beta }, { eps }) => rawMany('Show1LayerNorm', [floatAttr('epsilon', eps)], [x, gamma, beta], 3),
  backward: (dy, { x, gamma }, [mean, rstd]) => {
    const [dx, dgamma, dbeta] = rawMany('Show1LayerNormGrad', [], [dy, x, gamma, mean!, rstd!], 3);
    return { x: () => dx!, gamma: () => dgamma!, beta: () => dbeta! };
  },
});

const composed = defineOp<'x' | 'gamma' | 'beta', { eps: number }>({
  name: 'Show1LayerNorm',
  inputs: ['x', 'gamma', 'beta'],
  save: ['x', 'gamma'],
  extraOutputs: 2,
  forward: ({ x, gamma, beta }, { eps }) => {
    const mean = x.mean(1, true); // x [M, C] -> [M, 1]
    const centred = x.sub(mean);
    const rstd = centred.square().mean(1, true).add(eps).rsqrt();
    return [centred.mul(rstd).mul(gamma).add(beta), mean, rstd];
  },
  backward: (dy, { x, gamma }, [mean, rstd]) => {
    const xhat = x.sub(mean!).mul(rstd!);
    return {
      gamma: () => dy.mul(xhat).sum(0),
      beta: () => dy.sum(0),
      x: () => {
        const g = dy.mul(gamma);
        return g
          .sub(g.mean(1, true))
          .sub(xhat.mul(g.mul(xhat).mean(1, true)))
          .mul(rstd!);
      },
    };
  },
});

/** @param x [..., C]  @param gamma [C]  @param beta [C]  @returns the shape of `x` */
export function layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, eps: number): Tensor {
  const channels = x.shape.at(-1) as number;
  if (gamma.size !== channels)
    throw new Error(`layerNorm: [${x.shape}] has ${channels} channels, the weight ${gamma.size}`);
  const run = nativeKernels() ? native : composed;
  return run({ x: x.reshape([-1, channels]), gamma, beta }, { eps }).reshape(x.shape);
}
