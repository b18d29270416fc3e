import { geglu, gelu, geluTanh, quickGelu, type Tensor } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from './block.js';
import { Linear } from './linear.js';

/** Inner activations, with the factor by which the first projection is wider than the inner size. */
const ACTIVATIONS: Record<string, { widen: number; apply: (x: Tensor) => Tensor }> = {
  geglu: { widen: 2, apply: geglu },
  gelu: { widen: 1, apply: gelu },
  'gelu-approximate': { widen: 1, apply: geluTanh },
  'geglu-approximate': { widen: 1, apply: quickGelu },
};

/** Transformer feed-forward with inner size 4 × dim. Parameters `net.0.proj`, `net.2`. */
export class FeedForward extends Block {
  private readonly proj: Linear;
  private readonly out: Linear;
  private readonly act: (x: Tensor) => Tensor;

  /** @throws InputError for an activation that diffusers does not have */
  constructor(dim: number, activation = 'geglu') {
    super();
    const known = ACTIVATIONS[activation];
    if (!known) {
      throw new InputError(
        `activation_fn: ${JSON.stringify(activation)} is no known feed-forward; use ${Object.keys(ACTIVATIONS).join(', ')}.`,
        { code: 'model.config-value', key: 'activation_fn', value: activation },
      );
    }
    this.proj = this.child('net.0.proj', new Linear(dim, 4 * dim * known.widen));
    this.out = this.child('net.2', new Linear(4 * dim, dim));
    this.act = known.apply;
  }

  /** x [..., dim] -> the same shape */
  override forward(x: Tensor): Tensor {
    return this.out.forward(this.act(this.proj.forward(x)));
  }
}
