import { linear, type Tensor } from '../../engine/index.js';
import { Block } from './block.js';
import { fanIn } from './initializers.js';
import type { Parameter } from './parameter.js';

export interface LinearOptions {
  /** Default true. */
  bias?: boolean;
  /** The file holds the weight as a 1×1 convolution's [out, in, 1, 1] (default false). The arithmetic is the same. */
  conv1x1?: boolean;
}

/** Affine map of the last axis (`nn.Linear`, or a 1×1 `nn.Conv2d`). Parameters `weight`, `bias`. */
export class Linear extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, conv1x1 = false }: LinearOptions = {},
  ) {
    super();
    const init = fanIn(inFeatures);
    const shape = conv1x1 ? [outFeatures, inFeatures, 1, 1] : [outFeatures, inFeatures];
    this.weight = this.param('weight', shape, { layout: 'linear', init });
    this.bias = bias ? this.param('bias', [outFeatures], { init }) : null;
  }

  /** x [..., in] -> [..., out] */
  override forward(x: Tensor): Tensor {
    return linear(x, this.weight.value(), this.bias?.value());
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [...inputShape.slice(0, -1), this.outFeatures];
  }
}
