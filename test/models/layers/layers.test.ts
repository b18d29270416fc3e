import { describe, expect, it } from 'vitest';
import { rngKey, type Tensor, tf, valueAndGrads, withDropout } from '../../../src/engine/index.js';
import {
  AddedKVAttention,
  activate,
  activationName,
  type Block,
  Downsample2D,
  FeedForward,
  GroupNorm,
  LayerNorm,
  ResnetBlock2D,
  type ResnetBlockConfig,
  repeatForFrames,
  TemporalConvLayer,
  TextTimeEmbedding,
  TimestepEmbedding,
  Transformer2DModel,
  TransformerTemporalModel,
  Upsample2D,
} from '../../../src/models/layers/index.js';
import { checkGradients, sample } from '../../engine/finite-difference.js';

/** Random values everywhere, also where a fresh layer has zeros. */
function fill<B extends Block>(block: B): B {
  block.initialize(1);
  let seed = 10;
  for (const p of block.parameters().values()) tf.tidy(() => p.assign(p.value().add(sample(p.shape, seed++).mul(0.1))));
  return block;
}

const maxDifference = (a: Tensor, b: Tensor) => a.sub(b).abs().max().dataSync()[0]!;

/** Values of frame f of [B·F, ...]. */
const frame = (x: Tensor, f: number, frames: number) =>
  x.reshape([x.shape[0]! / frames, frames, -1]).slice([0, f, 0], [-1, 1, -1]);

/** [B·F, ...] with the frames of each video in another order. */
const reorder = (x: Tensor, order: number[]) => {
  const videos = x.reshape([x.shape[0]! / order.length, order.length, ...x.shape.slice(1)]);
  return tf.gather(videos, tf.tensor1d(order, 'int32'), 1).reshape(x.shape);
};

const resnet = (options: Partial<ResnetBlockConfig> = {}) =>
  fill(new ResnetBlock2D({ inChannels: 8, outChannels: 12, tembChannels: 5, groups: 4, eps: 1e-5, ...options }));
const addedKV = (onlyCrossAttention: boolean) =>
  fill(
    new AddedKVAttention({
      ...{ channels: 8, heads: 2, headDim: 4, textDim: 32, normGroups: 4 },
      ...{ onlyCrossAttention, crossAttentionNorm: 'group_norm' },
    }),
  );
const transformer2d = (useLinearProjection: boolean, onlyCrossAttention = false) =>
  fill(
    new Transformer2DModel({
      ...{ channels: 8, heads: 2, headDim: 3, layers: 2, normGroups: 4, crossAttentionDim: 5 },
      ...{ useLinearProjection, onlyCrossAttention },
    }),
  );
const temporal = () => fill(new TransformerTemporalModel({ channels: 8, heads: 2, headDim: 4, normGroups: 4 }));

const image = sample([6, 4, 5, 8]); // 2 videos of 3 frames
const temb = sample([2, 5], 2);
const text32 = sample([2, 3, 32], 3);
const text5 = sample([2, 3, 5], 3);

/** Every layer with its inputs and output shape. */
const LAYERS: [string, () => Block, Tensor[], (block: any, ...xs: Tensor[]) => Tensor, number[]][] = [
  ['resnet, default', () => resnet(), [image, temb], (b, x, t) => b.forward(x, t), [6, 4, 5, 12]],
  ...(['silu', 'gelu', 'mish'] as const).map(
    act =>
      [
        `resnet, scale and shift, ${act}`,
        () => resnet({ timeScaleShift: 'scale_shift', act, outputScaleFactor: 1.4 }),
        [image, temb],
        (b: ResnetBlock2D, x: Tensor, t: Tensor) => b.forward(x, t),
        [6, 4, 5, 12],
      ] as (typeof LAYERS)[number],
  ),
  ['resnet, down', () => resnet({ resample: 'down' }), [image, temb], (b, x, t) => b.forward(x, t), [6, 2, 2, 12]],
  [
    'resnet, up',
    () => resnet({ resample: 'up', outChannels: 8 }),
    [image, temb],
    (b, x, t) => b.forward(x, t),
    [6, 8, 10, 8],
  ],
  ['resnet, no time', () => resnet({ tembChannels: null }), [image], (b, x) => b.forward(x), [6, 4, 5, 12]],
  ['added-KV attention', () => addedKV(false), [image, text32], (b, x, t) => b.forward(x, t), [6, 4, 5, 8]],
  ['added-KV attention, text only', () => addedKV(true), [image, text32], (b, x, t) => b.forward(x, t), [6, 4, 5, 8]],
  ['spatial transformer', () => transformer2d(false), [image, text5], (b, x, t) => b.forward(x, t), [6, 4, 5, 8]],
  [
    'spatial transformer, linear',
    () => transformer2d(true, true),
    [image, text5],
    (b, x, t) => b.forward(x, t),
    [6, 4, 5, 8],
  ],
  ['temporal transformer', temporal, [image], (b, x) => b.forward(x, 3), [6, 4, 5, 8]],
  [
    'temporal convolution',
    () => fill(new TemporalConvLayer(64)),
    [sample([6, 2, 1, 64])],
    (b, x) => b.forward(x, 3),
    [6, 2, 1, 64],
  ],
  ['text embedding', () => fill(new TextTimeEmbedding(6, 4, 3)), [sample([2, 3, 6])], (b, x) => b.forward(x), [2, 4]],
  [
    'time embedding',
    () => fill(new TimestepEmbedding({ inChannels: 6, timeEmbedDim: 4 })),
    [sample([2, 6])],
    (b, x) => b.forward(x),
    [2, 4],
  ],
  ['downsampling', () => fill(new Downsample2D(8)), [image], (b, x) => b.forward(x), [6, 2, 3, 8]],
  [
    'downsampling, one-sided padding',
    () => fill(new Downsample2D(8, 0)),
    [image],
    (b, x) => b.forward(x),
    [6, 2, 2, 8],
  ],
  ['upsampling', () => fill(new Upsample2D(8)), [image], (b, x) => b.forward(x), [6, 8, 10, 8]],
  ['upsampling to a size', () => fill(new Upsample2D(8)), [image], (b, x) => b.forward(x, [7, 9]), [6, 7, 9, 8]],
  [
    'feed-forward',
    () => fill(new FeedForward(6, 'gelu-approximate')),
    [sample([2, 3, 6])],
    (b, x) => b.forward(x),
    [2, 3, 6],
  ],
  [
    'layer norm without weights',
    () => new LayerNorm(6, 1e-5, { affine: false }),
    [sample([2, 3, 6])],
    (b, x) => b.forward(x),
    [2, 3, 6],
  ],
];

describe.each(LAYERS)('%s', (_, make, inputs, run, shape) => {
  it('has the output shape, leaves no tensor behind, and right gradients', () => {
    const block = make();
    const before = tf.memory().numTensors;
    const out = tf.tidy(() => run(block, ...inputs));
    expect(out.shape).toEqual(shape);
    out.dispose();
    expect(tf.memory().numTensors).toBe(before);
    tf.tidy(() => checkGradients((...xs) => run(block, ...xs), inputs, { directions: 2 }));

    // Every parameter takes part.
    const parameters = [...block.parameters()];
    tf.tidy(() => {
      if (!parameters.length) return;
      const { grads } = valueAndGrads(
        () =>
          run(block, ...inputs)
            .mul(sample(shape, 7))
            .sum(),
        parameters.map(([, p]) => p.value()),
      );
      for (const [i, [name]] of parameters.entries()) {
        expect(grads[i]!.shape, name).toEqual(parameters[i]![1].shape);
        // A bias of keys shifts all scores alike: softmax does not see it.
        if (!/(to_k|add_k_proj|k_proj)\.bias$/.test(name))
          expect(grads[i]!.abs().max().dataSync()[0], name).toBeGreaterThan(1e-6);
      }
    });
    block.dispose();
    expect(tf.memory().numTensors).toBe(before - parameters.length);
  });
});

describe('what the frames of a video share', () => {
  const perFrame = (x: Tensor) => repeatForFrames(x.reshape([x.shape[0]!, -1, x.shape.at(-1)!]), 3);

  it('text and time given once a video equal text and time given once a frame', () => {
    tf.tidy(() => {
      const pairs: [Block, Tensor, Tensor][] = [
        [addedKV(false), text32, perFrame(text32)],
        [addedKV(true), text32, perFrame(text32)],
        [transformer2d(true), text5, perFrame(text5)],
        [resnet(), temb, perFrame(temb).reshape([6, 5])],
        [resnet({ timeScaleShift: 'scale_shift' }), temb, perFrame(temb).reshape([6, 5])],
      ];
      for (const [block, once, repeated] of pairs) {
        expect(maxDifference(block.forward(image, once), block.forward(image, repeated))).toBeLessThan(1e-5);
      }
    });
  });

  it('spatial layers keep frames apart', () => {
    tf.tidy(() => {
      const block = transformer2d(true);
      const changed = tf.concat([image.slice([0, 0, 0, 0], [5, -1, -1, -1]), sample([1, 4, 5, 8], 50)], 0);
      const [a, b] = [block.forward(image, text5), block.forward(changed, text5)];
      expect(maxDifference(a.slice(0, 5), b.slice(0, 5))).toBe(0);
      expect(maxDifference(a.slice(5, 1), b.slice(5, 1))).toBeGreaterThan(0.1);
    });
  });

  it('temporal attention sees all frames, but not their order; temporal convolution sees the order', () => {
    tf.tidy(() => {
      const order = [2, 0, 1];
      const attention = temporal();
      const straight = attention.forward(image, 3);
      expect(maxDifference(reorder(straight, order), attention.forward(reorder(image, order), 3))).toBeLessThan(1e-5);
      const other = tf.concat([image.slice(0, 2), sample([1, 4, 5, 8], 60), image.slice(3, 3)], 0); // last frame of video 0
      const moved = attention.forward(other, 3);
      expect(maxDifference(frame(straight, 0, 3).slice(0, 1), frame(moved, 0, 3).slice(0, 1))).toBeGreaterThan(1e-3);
      expect(maxDifference(straight.slice(3, 3), moved.slice(3, 3))).toBe(0); // the other video

      const convolution = fill(new TemporalConvLayer(32));
      const x = sample([6, 2, 2, 32]);
      const both = [reorder(convolution.forward(x, 3), order), convolution.forward(reorder(x, order), 3)] as const;
      expect(maxDifference(...both)).toBeGreaterThan(0.01);
    });
  });
});

describe('details', () => {
  it('a fresh temporal convolution is the identity, and drops out only when told to', () => {
    tf.tidy(() => {
      const layer = new TemporalConvLayer(32, 32, 0.5);
      layer.initialize(1);
      const x = sample([4, 2, 3, 32]);
      expect(maxDifference(layer.forward(x, 4), x)).toBe(0);
      fill(layer);
      const plain = layer.forward(x, 4);
      expect(maxDifference(plain, layer.forward(x, 4))).toBe(0);
      const dropped = withDropout(rngKey(1, 0, 'dropout'), () => layer.forward(x, 4));
      expect(maxDifference(plain, dropped)).toBeGreaterThan(1e-3);
    });
  });

  it('reads activations by their upstream names', () => {
    expect(activationName('swish', 'act_fn')).toBe('silu');
    expect(() => activationName('relu6', 'act_fn')).toThrow(/act_fn: "relu6".*silu, swish, gelu, mish/);
    const y = activate('mish', tf.tensor1d([-1, 0, 2])).dataSync();
    const mish = (x: number) => x * Math.tanh(Math.log1p(Math.exp(x)));
    for (const [i, x] of [-1, 0, 2].entries()) expect(y[i]).toBeCloseTo(mish(x), 6);
  });

  it('explains sizes that do not divide', () => {
    expect(() => new GroupNorm(32, 48, 1e-5)).toThrow('48 channels do not divide into 32 groups');
    expect(() => new AddedKVAttention({ channels: 12, heads: 2, headDim: 5, textDim: 32, normGroups: 4 })).toThrow(
      'attention_head_dim: 12 channels do not divide into heads of 5',
    );
    expect(() => new TextTimeEmbedding(10, 4, 3)).toThrow('addition_embed_type_num_heads');
    expect(() => new FeedForward(4, 'relu')).toThrow('activation_fn: "relu"');
    expect(() => tf.tidy(() => temporal().forward(sample([5, 2, 2, 8]), 3))).toThrow(
      '5 frames do not divide into videos of 3',
    );
    expect(() => tf.tidy(() => resnet().forward(sample([5, 2, 2, 8]), temb))).toThrow(
      '5 frames do not divide into 2 videos',
    );
  });
});
