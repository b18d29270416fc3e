/**
 * The autoencoder's layers on images in strips. The results are those of the layers on whole images up to rounding, for
 * any weights: normalisations use the statistics of the whole image, convolutions see the rows around their strip. A layer
 * frees its input as it goes, so that about one image in and one out are held at a time.
 */
import { conv2d, type Tensor, tf, upsampleNearest2x } from '../../engine/index.js';
import { type ActivationName, activate } from '../layers/activation.js';
import type { Block } from '../layers/block.js';
import type { Conv2d } from '../layers/conv2d.js';
import type { GroupNorm } from '../layers/group-norm.js';
import type { Linear } from '../layers/linear.js';
import type { ResnetBlock2D } from '../layers/resnet-block.js';
import type { Downsample2D, Upsample2D } from '../layers/samplers.js';
import { Strips } from './strips.js';

/** A layer's part by its name in checkpoints. */
function part<B extends Block>(block: Block, name: string): B | null {
  for (const [path, found] of block.blocks()) if (path === name) return found as B;
  return null;
}

const parameter = (block: Block, name: string): Tensor => block.parameters().get(name)!.value();

/** Applies a normalisation, whose statistics are already known, and an activation to some rows. */
type Normalize = (rows: Tensor) => Tensor;

/** Runs `fn` with the normalisation of `x`; what it holds is freed afterwards. */
function withNorm<R>(x: Strips, norm: GroupNorm, act: ActivationName, fn: (normalize: Normalize) => R): R {
  const [gamma, beta] = [parameter(norm, 'weight'), parameter(norm, 'bias')];
  const [mean, factor] = tf.tidy(() => {
    const moments = groupMoments(x, norm.groups); // [N, G]
    const perChannel = (value: Tensor) => spread(value, gamma.size).expandDims(1); // [N, 1, 1, C]
    return [perChannel(moments.mean), perChannel(moments.variance.add(norm.eps).rsqrt()).mul(gamma)];
  }) as [Tensor, Tensor];
  const result = fn(rows => tf.tidy(() => activate(act, rows.sub(mean).mul(factor).add(beta))));
  tf.dispose([mean, factor]);
  return result;
}

/** A value a group [N, G] -> the same a channel [N, 1, C] */
function spread(value: Tensor, channels: number): Tensor {
  const [N, G] = value.shape as [number, number];
  return tf.tile(value.expandDims(2), [1, 1, channels / G]).reshape([N, 1, channels]);
}

interface Moments {
  count: number;
  /** [N, G] */
  mean: Tensor;
  /** Sum of squared deviations [N, G]. */
  squares: Tensor;
}

/** Mean and variance [N, G] of each group over the whole image. */
function groupMoments(x: Strips, groups: number): { mean: Tensor; variance: Tensor } {
  const { count, mean, squares } = x
    .tensors()
    .map(strip => stripMoments(strip, groups))
    .reduce(joinMoments);
  return { mean, variance: squares.div(count) };
}

function stripMoments(strip: Tensor, groups: number): Moments {
  const [N, H, W, C] = strip.shape as [number, number, number, number];
  const count = (H * W * C) / groups;
  const perGroup = (sums: Tensor) => sums.reshape([N, groups, C / groups]).sum(2); // [N, C] -> [N, G]
  const [mean, squares] = tf.tidy(() => {
    const flat = strip.reshape([N, H * W, C]);
    const average = perGroup(flat.sum(1)).div(count);
    return [average, perGroup(flat.sub(spread(average, C)).square().sum(1))];
  }) as [Tensor, Tensor];
  return { count, mean, squares };
}

/** Moments of two sets together (Chan et al. 1983), which keeps its digits where E[x²] - E[x]² cancels. */
function joinMoments(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  const apart = b.mean.sub(a.mean);
  return {
    count,
    mean: a.mean.add(apart.mul(b.count / count)),
    squares: a.squares.add(b.squares).add(apart.square().mul((a.count * b.count) / count)),
  };
}

/** Rows [from, to) of a 3×3 convolution that keeps the size; `before` is applied to the rows it reads, not to its padding. */
function convRows(x: Strips, conv: Conv2d, from: number, to: number, before: Normalize = rows => rows): Tensor {
  return tf.tidy(() => {
    const input = before(x.rows(Math.max(0, from - 1), Math.min(x.height, to + 1)));
    return convWith(conv, input, from === 0, to === x.height);
  });
}

/** A 3×3 convolution of rows that already hold a row above and one below, except at the image's edges. */
function convWith(conv: Conv2d, rows: Tensor, atTop: boolean, atBottom: boolean): Tensor {
  return conv2d(rows, parameter(conv, 'weight'), parameter(conv, 'bias'), {
    padding: [
      [atTop ? 1 : 0, atBottom ? 1 : 0],
      [1, 1],
    ],
  });
}

/** A 3×3 convolution. */
export function stripConv(x: Strips, conv: Conv2d, rows: number): Strips {
  const y = Strips.build(x.height, rows, (from, to) => {
    x.releaseAbove(from - 1);
    return convRows(x, conv, from, to);
  });
  x.dispose();
  return y;
}

/** Normalisation, SiLU and a 3×3 convolution: the decoder's end. */
export function stripNormConv(x: Strips, norm: GroupNorm, conv: Conv2d, rows: number): Strips {
  const y = withNorm(x, norm, 'silu', normalize =>
    Strips.build(x.height, rows, (from, to) => {
      x.releaseAbove(from - 1);
      return convRows(x, conv, from, to, normalize);
    }),
  );
  x.dispose();
  return y;
}

/** A residual block without a time embedding. */
export function stripResnet(x: Strips, resnet: ResnetBlock2D, act: ActivationName, rows: number): Strips {
  const [norm1, norm2] = ['norm1', 'norm2'].map(name => part<GroupNorm>(resnet, name)!) as [GroupNorm, GroupNorm];
  const [conv1, conv2] = ['conv1', 'conv2'].map(name => part<Conv2d>(resnet, name)!) as [Conv2d, Conv2d];
  const shortcut = part<Linear>(resnet, 'conv_shortcut');
  // With a shortcut the first convolution uses up the input, whose projection takes its place.
  const [h, projected] = withNorm(x, norm1, act, normalize =>
    Strips.buildSeveral(x.height, rows, (from, to) => {
      const first = convRows(x, conv1, from, to, normalize);
      if (!shortcut) return [first];
      x.releaseAbove(from - 1);
      return [first, shortcut.forward(x.rows(from, to))];
    }),
  ) as [Strips, Strips | undefined];
  if (projected) x.dispose();
  const input = projected ?? x;
  const y = withNorm(h, norm2, act, normalize =>
    Strips.build(h.height, rows, (from, to) => {
      h.releaseAbove(from - 1);
      input.releaseAbove(from);
      return convRows(h, conv2, from, to, normalize).add(input.rows(from, to));
    }),
  );
  h.dispose();
  input.dispose();
  return y;
}

/** Doubling by nearest neighbours, then a 3×3 convolution. */
export function stripUpsample(x: Strips, sampler: Upsample2D, rows: number): Strips {
  const conv = part<Conv2d>(sampler, 'conv')!;
  const height = 2 * x.height;
  const y = Strips.build(height, rows, (from, to) => {
    const [low, high] = [Math.max(0, from - 1), Math.min(height, to + 1)]; // rows of the doubled image
    const first = Math.floor(low / 2);
    x.releaseAbove(first);
    const doubled = upsampleNearest2x(x.rows(first, Math.ceil(high / 2)));
    const needed = doubled.slice([0, low - 2 * first, 0, 0], [-1, high - low, -1, -1]);
    return convWith(conv, needed, from === 0, to === height);
  });
  x.dispose();
  return y;
}

/** Halving by a strided 3×3 convolution that pads one row below and one column right. */
export function stripDownsample(x: Strips, sampler: Downsample2D, rows: number): Strips {
  const conv = part<Conv2d>(sampler, 'conv')!;
  const height = Math.floor(x.height / 2);
  const y = Strips.build(height, rows, (from, to) => {
    x.releaseAbove(2 * from);
    const end = 2 * to + 1; // the last output row reads 2·to - 2 … 2·to
    const input = x.rows(2 * from, Math.min(x.height, end));
    return conv2d(input, parameter(conv, 'weight'), parameter(conv, 'bias'), {
      stride: 2,
      padding: [
        [0, end > x.height ? 1 : 0],
        [0, 1],
      ],
    });
  });
  x.dispose();
  return y;
}
