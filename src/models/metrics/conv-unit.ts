/**
 * Convolution, bias, ReLU in two and three dimensions. Batch norm in inference form is an affine map of each channel, so
 * conversion folds it into weight and bias (`convert/metrics`): at run time there is none.
 */
import { biasAdd, conv2d, linear, type Padding2d, type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { normal, zeros } from '../layers/initializers.js';
import type { Parameter } from '../layers/parameter.js';

type Tensor5D = ReturnType<typeof tf.tensor5d>;

/** Deviation that keeps the scale of activations through a ReLU (He et al. 2015). */
const he = (inputs: number) => normal(Math.sqrt(2 / inputs));

export interface ConvUnit3dOptions {
  /** Of all three axes (default 1). */
  stride?: number;
  /** Default true. */
  relu?: boolean;
}

/** Cubic kernel, TensorFlow's SAME padding. Parameters `weight`, `bias`. */
export class ConvUnit3d extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter;
  private readonly stride: number;
  private readonly relu: boolean;

  constructor(
    inChannels: number,
    readonly outChannels: number,
    private readonly kernel: number,
    { stride = 1, relu = true }: ConvUnit3dOptions = {},
  ) {
    super();
    const shape = [outChannels, inChannels, kernel, kernel, kernel];
    const layout = kernel === 1 ? 'linear' : 'conv3d';
    this.weight = this.param('weight', shape, { layout, init: he(inChannels * kernel ** 3), trainable: false });
    this.bias = this.param('bias', [outChannels], { init: zeros, trainable: false });
    this.stride = stride;
    this.relu = relu;
  }

  /** x [B, T, H, W, in] -> [B, T', H', W', out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const y = this.affine(x);
      return this.relu ? tf.relu(y) : y;
    });
  }

  private affine(x: Tensor): Tensor {
    const { kernel, stride } = this;
    const [weight, bias] = [this.weight.value(), this.bias.value()];
    if (kernel === 1) return linear(x, weight, bias);
    const strides = [stride, stride, stride] as [number, number, number];
    return biasAdd(tf.conv3d(x as Tensor5D, weight as unknown as Tensor5D, strides, 'same'), bias);
  }
}

export interface ConvUnit2dOptions {
  /** Of both axes (default 1). */
  stride?: number;
  /** Zeros that keep the size at stride 1 (default), or none. */
  padding?: 'same' | 'valid';
}

/** Kernel of any two sizes. Parameters `weight`, `bias`. */
export class ConvUnit2d extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter;
  private readonly stride: number;
  private readonly padding: Padding2d;

  constructor(
    inChannels: number,
    readonly outChannels: number,
    private readonly kernel: readonly [number, number],
    { stride = 1, padding = 'same' }: ConvUnit2dOptions = {},
  ) {
    super();
    const [rows, columns] = kernel;
    const layout = rows * columns === 1 ? 'linear' : 'conv2d';
    const init = he(inChannels * rows * columns);
    this.weight = this.param('weight', [outChannels, inChannels, rows, columns], { layout, init, trainable: false });
    this.bias = this.param('bias', [outChannels], { init: zeros, trainable: false });
    this.stride = stride;
    const half = (size: number) => (padding === 'same' ? (size - 1) / 2 : 0);
    this.padding = [
      [half(rows), half(rows)],
      [half(columns), half(columns)],
    ];
  }

  /** x [N, H, W, in] -> [N, H', W', out] */
  override forward(x: Tensor): Tensor {
    const { kernel, stride, padding } = this;
    const [weight, bias] = [this.weight.value(), this.bias.value()];
    return tf.tidy(() => {
      const plain = kernel[0] * kernel[1] === 1;
      return tf.relu(plain ? linear(x, weight, bias) : conv2d(x, weight, bias, { stride, padding }));
    });
  }
}
