import { groupNorm, type Tensor } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { type ActivationName, activate } from './activation.js';
import { Block } from './block.js';
import { ones, zeros } from './initializers.js';
import type { Parameter } from './parameter.js';

/**
 * Group normalisation (`nn.GroupNorm`), optionally followed by an activation in the same op. Parameters `weight`, `bias`.
 * @throws InputError when the channels do not divide into the groups
 */
export class GroupNorm extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter;

  constructor(
    readonly groups: number,
    channels: number,
    readonly eps: number,
  ) {
    super();
    if (channels % groups !== 0) {
      throw new InputError(
        `Group normalisation: ${channels} channels do not divide into ${groups} groups. Choose channel counts that are multiples of ${groups}.`,
        { code: 'model.groups', channels, groups },
      );
    }
    this.weight = this.param('weight', [channels], { init: ones });
    this.bias = this.param('bias', [channels], { init: zeros });
  }

  /** x [N, ..., C] -> the same shape; one set of statistics for each N and group, over all middle axes. */
  override forward(x: Tensor, activation?: ActivationName): Tensor {
    const { groups, eps } = this;
    const act = activation === 'silu' || activation === 'gelu' ? activation : 'none'; // the ones that the op fuses
    const y = groupNorm(x, this.weight.value(), this.bias.value(), { groups, eps, act });
    return activation && act === 'none' ? activate(activation, y) : y;
  }
}
