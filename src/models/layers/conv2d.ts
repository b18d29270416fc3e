import { conv2d, type Padding2d, type Tensor } from '../../engine/index.js';
import { Block } from './block.js';
import { fanIn } from './initializers.js';
import type { Parameter } from './parameter.js';

export interface Conv2dLayerOptions {
  /** Default 1. */
  stride?: number;
  /** Zeros at each side, or [[top, bottom], [left, right]] (default: what keeps the size at stride 1). */
  padding?: number | Padding2d;
}

/** 2-D convolution with a square kernel (`nn.Conv2d`). Parameters `weight`, `bias`. */
export class Conv2d extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter;
  private readonly stride: number;
  private readonly padding: number | Padding2d;

  constructor(
    inChannels: number,
    readonly outChannels: number,
    readonly kernel: number,
    { stride = 1, padding = Math.floor((kernel - 1) / 2) }: Conv2dLayerOptions = {},
  ) {
    super();
    const init = fanIn(inChannels * kernel * kernel);
    this.weight = this.param('weight', [outChannels, inChannels, kernel, kernel], { layout: 'conv2d', init });
    this.bias = this.param('bias', [outChannels], { init });
    this.stride = stride;
    this.padding = padding;
  }

  /** x [N, H, W, in] -> [N, H', W', out] */
  override forward(x: Tensor): Tensor {
    const { stride, padding } = this;
    return conv2d(x, this.weight.value(), this.bias.value(), { stride, padding });
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    const { kernel, stride, padding } = this;
    const [rows, columns] = typeof padding === 'number' ? [2 * padding, 2 * padding] : padding.map(([a, b]) => a + b);
    const size = (length: number | null | undefined, pad: number) =>
      length == null ? null : Math.floor((length + pad - kernel) / stride) + 1;
    return [inputShape[0] ?? null, size(inputShape[1], rows!), size(inputShape[2], columns!), this.outChannels];
  }
}
