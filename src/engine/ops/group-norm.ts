/**
 * Group normalisation (Wu & He 2018) with an optional activation behind it, as one op with a closed-form backward pass:
 * only the input and two numbers a group are kept, and the activation is recomputed.
 */
import { defineOp } from '../define-op.js';
import { nativeKernels } from '../native-kernels.js';
import { floatAttr, intAttr, rawMany, stringAttr } from '../raw.js';
import type { Tensor } from '../tf.js';
import { geluDerivative, geluForward, siluDerivative, siluForward } from './activations.js';

export type NormActivation = 'silu' | 'gelu' | 'none';

export interface GroupNormOptions {
  groups: number;
  eps: number;
  /** Applied to the normalised output (default 'none'). */
  act?: NormActivation;
  /** [N, C]: the normalised output is multiplied by 1 + scale and moved by shift before the activation. */
  modulation?: { scale: Tensor; shift: Tensor };
}

interface Attrs {
  groups: number;
  eps: number;
  act: NormActivation;
}

const activate = { silu: siluForward, gelu: geluForward, none: (a: Tensor) => a };
const slope = { silu: siluDerivative, gelu: geluDerivative, none: null };

/** Sums [N, C] over the channels of each group -> [N, G, 1]. */
const perGroup = (x: Tensor, groups: number) => x.reshape([x.shape[0]!, groups, x.shape[1]! / groups]).sum(2, true);

/** Spreads [N, G, 1] over the channels of each group -> [N, 1, C]. */
const perChannel = (x: Tensor, channels: number) =>
  x.tile([1, 1, channels / x.shape[1]!]).reshape([x.shape[0]!, 1, channels]);

/** [C] or [N, C] -> [1 or N, 1, C] */
const asRows = (parameter: Tensor) => parameter.reshape([-1, 1, parameter.shape.at(-1)!]);

/** y = a·x + b with a, b of shape [N, 1, C] made from the statistics and the affine parameters. */
function scaleAndShift(mean: Tensor, rstd: Tensor, gamma: Tensor, beta: Tensor): [Tensor, Tensor] {
  const channels = gamma.shape.at(-1)!;
  const scale = perChannel(rstd, channels).mul(asRows(gamma)); // [N, 1, C]
  return [scale, asRows(beta).sub(perChannel(mean, channels).mul(scale))];
}

/** x [N, S, C]; gamma and beta [C], or [N, C] where every sample has its own. */
const native = defineOp<'x' | 'gamma' | 'beta', Attrs>({
  name: 'Show1NativeGroupNorm',
  inputs: ['x', 'gamma', 'beta'],
  extraOutputs: 2,
  forward: ({ x, gamma, beta }, { groups, eps, act }) => {
    const attrs = [intAttr('groups', groups), floatAttr('epsilon', eps), stringAttr('activation', act)];
    return rawMany('Show1GroupNormAct', attrs, [x, gamma, beta], 3);
  },
  backward: (dy, { x, gamma, beta }, [mean, rstd], { act }) => {
    const inputs = [dy, x, gamma, beta, mean!, rstd!];
    const [dx, dgamma, dbeta] = rawMany('Show1GroupNormActGrad', [stringAttr('activation', act)], inputs, 3);
    return { x: () => dx!, gamma: () => dgamma!, beta: () => dbeta! };
  },
});

const composed = defineOp<'x' | 'gamma' | 'beta', Attrs>({
  name: 'Show1GroupNorm',
  inputs: ['x', 'gamma', 'beta'],
  extraOutputs: 2,
  forward: ({ x, gamma, beta }, { groups, eps, act }) => {
    const [, S, C] = x.shape as [number, number, number]; // x [N, S, C]
    const count = (S * C) / groups;
    const mean = perGroup(x.sum(1), groups).div(count); // [N, G, 1]
    const centred = x.sub(perChannel(mean, C)); // two passes: E[x²]-E[x]² cancels when the mean is large
    const rstd = perGroup(centred.square().sum(1), groups).div(count).add(eps).rsqrt();
    const [scale, shift] = scaleAndShift(mean, rstd, gamma, beta);
    return [activate[act](x.mul(scale).add(shift)), mean, rstd];
  },
  backward: (dy, { x, gamma, beta }, [mean, rstd], { groups, act }) => {
    const [, S, C] = x.shape as [number, number, number];
    const count = (S * C) / groups;
    const [scale, shift] = scaleAndShift(mean!, rstd!, gamma, beta);
    const slopeOf = slope[act];
    const da = slopeOf ? dy.mul(slopeOf(x.mul(scale).add(shift))) : dy; // [N, S, C]
    const sum = da.sum(1); // [N, C]
    const centredMean = perChannel(mean!, C).reshape([-1, C]);
    const sumXhat = da
      .mul(x)
      .sum(1)
      .sub(sum.mul(centredMean))
      .mul(perChannel(rstd!, C).reshape([-1, C])); // Σ da·x̂
    return {
      gamma: () => (gamma.rank === 2 ? sumXhat.clone() : sumXhat.sum(0)),
      beta: () => (beta.rank === 2 ? sum.clone() : sum.sum(0)),
      x: () => {
        // dx = scale·da − rstd·(mean_g(γ·da) + x̂·mean_g(γ·da·x̂)), written as scale·da + k·x + d.
        const c1 = perGroup(sum.mul(gamma), groups).div(count); // [N, G, 1]
        const c2 = perGroup(sumXhat.mul(gamma), groups).div(count);
        const k = c2.mul(rstd!).mul(rstd!).neg();
        const d = c1.mul(rstd!).neg().sub(k.mul(mean!));
        return da.mul(scale).add(x.mul(perChannel(k, C)).add(perChannel(d, C)));
      },
    };
  },
});

/**
 * @param x [N, ..., C]; the statistics of a group run over all middle axes and C / groups channels
 * @param gamma [C]
 * @param beta [C]
 * @returns the shape of `x`
 */
export function groupNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  { groups, eps, act = 'none', modulation }: GroupNormOptions,
): Tensor {
  const channels = x.shape.at(-1) as number;
  if (channels % groups !== 0 || gamma.size !== channels) {
    throw new Error(
      `groupNorm: ${channels} channels ([${x.shape}]) do not divide into ${groups} groups, or the weight has ${gamma.size} entries`,
    );
  }
  const flat = x.reshape([x.shape[0]!, x.size / channels / x.shape[0]!, channels]); // [N, S, C]
  const run = nativeKernels() ? native : composed;
  if (!modulation) return run({ x: flat, gamma, beta }, { groups, eps, act }).reshape(x.shape);
  // (γ x̂ + β)(1 + scale) + shift is a normalisation whose parameters differ by sample.
  const factor = modulation.scale.add(1); // [N, C]
  const parameters = { gamma: factor.mul(gamma), beta: factor.mul(beta).add(modulation.shift) };
  return run({ x: flat, ...parameters }, { groups, eps, act }).reshape(x.shape);
}
