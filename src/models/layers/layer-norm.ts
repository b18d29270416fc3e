import { layerNorm, type Tensor, tf } from '../../engine/index.js';
import { Block } from './block.js';
import { ones, zeros } from './initializers.js';
import type { Parameter } from './parameter.js';

/** Layer normalisation over the last axis (`nn.LayerNorm`). Parameters `weight`, `bias`, unless `affine` is false. */
export class LayerNorm extends Block {
  private readonly weight: Parameter | null;
  private readonly bias: Parameter | null;

  constructor(
    readonly features: number,
    readonly eps = 1e-5,
    { affine = true }: { affine?: boolean } = {},
  ) {
    super();
    this.weight = affine ? this.param('weight', [features], { init: ones }) : null;
    this.bias = affine ? this.param('bias', [features], { init: zeros }) : null;
  }

  /** x [..., features] -> the same shape */
  override forward(x: Tensor): Tensor {
    const gamma = this.weight?.value() ?? tf.ones([this.features]);
    const beta = this.bias?.value() ?? tf.zeros([this.features]);
    return layerNorm(x, gamma, beta, this.eps);
  }
}
