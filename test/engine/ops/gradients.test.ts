import { describe, expect, it } from 'vitest';
import {
  attention,
  avgPool2x,
  conv2d,
  geglu,
  gelu,
  geluTanh,
  groupNorm,
  layerNorm,
  linear,
  quickGelu,
  resizeBicubic,
  resizeBilinear,
  rmsNorm,
  silu,
  type Tensor,
  temporalAttention,
  temporalConv,
  tf,
  upsampleNearest,
  upsampleNearest2x,
} from '../../../src/engine/index.js';
import { checkGradients, sample } from '../finite-difference.js';

const cases: Record<string, [(...xs: Tensor[]) => Tensor, Tensor[]]> = {
  linear: [(x, w, b) => linear(x, w, b), [sample([2, 3, 5]), sample([4, 5], 2), sample([4], 3)]],
  'conv2d pad 1': [
    (x, w, b) => conv2d(x, w, b, { padding: 1 }),
    [sample([2, 5, 4, 3]), sample([3, 3, 3, 2], 2), sample([2], 3)],
  ],
  'conv2d stride 2 pad 1, even size': [
    (x, w) => conv2d(x, w, null, { padding: 1, stride: 2 }),
    [sample([1, 6, 4, 3]), sample([3, 3, 3, 2], 2)],
  ],
  'conv2d stride 2 asymmetric': [
    (x, w) =>
      conv2d(x, w, null, {
        padding: [
          [0, 1],
          [0, 1],
        ],
        stride: 2,
      }),
    [sample([1, 6, 4, 3]), sample([3, 3, 3, 2], 2)],
  ],
  temporalConv: [
    (x, w, b) => temporalConv(x, w, b),
    [sample([2, 3, 2, 2, 4]), sample([3, 1, 4, 5], 2), sample([5], 3)],
  ],
  'groupNorm none': [
    (x, g, b) => groupNorm(x, g, b, { groups: 2, eps: 1e-5 }),
    [sample([2, 3, 2, 4]), sample([4], 2), sample([4], 3)],
  ],
  'groupNorm silu': [
    (x, g, b) => groupNorm(x, g, b, { groups: 2, eps: 1e-5, act: 'silu' }),
    [sample([2, 3, 2, 4]), sample([4], 2), sample([4], 3)],
  ],
  'groupNorm gelu': [
    (x, g, b) => groupNorm(x, g, b, { groups: 4, eps: 1e-5, act: 'gelu' }),
    [sample([1, 5, 8]), sample([8], 2), sample([8], 3)],
  ],
  layerNorm: [(x, g, b) => layerNorm(x, g, b, 1e-5), [sample([3, 2, 6]), sample([6], 2), sample([6], 3)]],
  rmsNorm: [(x, g) => rmsNorm(x, g, 1e-6), [sample([3, 6]), sample([6], 2)]],
  silu: [silu, [sample([3, 7])]],
  gelu: [gelu, [sample([3, 7])]],
  geluTanh: [geluTanh, [sample([3, 7])]],
  quickGelu: [quickGelu, [sample([3, 7])]],
  geglu: [geglu, [sample([3, 8])]],
  attention: [
    (q, k, v) => attention(q, k, v, { heads: 2 }),
    [sample([2, 3, 4]), sample([2, 5, 4], 2), sample([2, 5, 4], 3)],
  ],
  'attention with bias': [
    (q, k, v, bias) => attention(q, k, v, { heads: 2, scale: 1, bias }),
    [sample([2, 3, 4]), sample([2, 5, 4], 2), sample([2, 5, 4], 3), sample([1, 2, 3, 5], 4)],
  ],
  'attention in chunks of one query': [
    (q, k, v, bias) => attention(q, k, v, { heads: 2, bias, budgetBytes: 1 }),
    [sample([2, 3, 4]), sample([2, 5, 4], 2), sample([2, 5, 4], 3), sample([2, 1, 1, 5], 4)],
  ],
  temporalAttention: [
    (q, k, v) => temporalAttention(q, k, v, { heads: 2 }),
    [sample([2, 3, 2, 4]), sample([2, 3, 2, 4], 2), sample([2, 3, 2, 4], 3)],
  ],
  upsampleNearest2x: [upsampleNearest2x, [sample([2, 3, 2, 3])]],
  'upsampleNearest 4->7': [x => upsampleNearest(x, [7, 5]), [sample([1, 4, 3, 2])]],
  avgPool2x: [avgPool2x, [sample([2, 5, 4, 3])]],
  'bilinear aligned': [x => resizeBilinear(x, [7, 9], { alignCorners: true }), [sample([1, 4, 3, 2])]],
  'bilinear half-pixel': [x => resizeBilinear(x, [7, 9]), [sample([1, 4, 3, 2])]],
  bicubic: [x => resizeBicubic(x, [8, 6]), [sample([1, 4, 3, 2])]],
};

describe('gradients agree with finite differences', () => {
  for (const [name, [f, inputs]] of Object.entries(cases)) it(name, () => checkGradients(f, inputs));
});

describe('memory', () => {
  it('every op leaves no tensor behind, forward and backward', () => {
    for (const [name, [f, inputs]] of Object.entries(cases)) {
      const before = tf.memory().numTensors;
      tf.tidy(() => {
        const g = tf.grads((...xs: Tensor[]) => f(...xs).sum());
        g(inputs);
      });
      expect(tf.memory().numTensors, name).toBe(before);
    }
  });
});

describe('chunked attention', () => {
  it('equals unchunked attention whatever the budget', () => {
    const [q, k, v] = [sample([2, 7, 8]), sample([2, 5, 8], 2), sample([2, 5, 8], 3)];
    const whole = attention(q, k, v, { heads: 2 }).dataSync();
    for (const budgetBytes of [1, 200, 500]) {
      const chunked = attention(q, k, v, { heads: 2, budgetBytes }).dataSync();
      chunked.forEach((value, i) => expect(value).toBeCloseTo(whole[i]!, 5));
    }
  });
});
