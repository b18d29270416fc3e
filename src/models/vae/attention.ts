import { attention, type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { GroupNorm } from '../layers/group-norm.js';
import { Linear } from '../layers/linear.js';

/**
 * Self-attention of pixels with one head as wide as the channels, with norm and residual (diffusers' `Attention` as the
 * autoencoder uses it, once `AttentionBlock`). Parameters `group_norm`, `to_q`, `to_k`, `to_v`, `to_out.0`.
 */
export class PixelAttention extends Block {
  private readonly groupNorm: GroupNorm;
  private readonly toQ: Linear;
  private readonly toK: Linear;
  private readonly toV: Linear;
  private readonly toOut: Linear;

  constructor(channels: number, groups: number, eps: number) {
    super();
    this.groupNorm = this.child('group_norm', new GroupNorm(groups, channels, eps));
    this.toQ = this.child('to_q', new Linear(channels, channels));
    this.toK = this.child('to_k', new Linear(channels, channels));
    this.toV = this.child('to_v', new Linear(channels, channels));
    this.toOut = this.child('to_out.0', new Linear(channels, channels));
  }

  /** x [N, H, W, C] -> the same shape */
  override forward(x: Tensor): Tensor {
    const [N, H, W, C] = x.shape as [number, number, number, number];
    return tf.tidy(() => {
      const tokens = this.groupNorm.forward(x).reshape([N, H * W, C]);
      const [q, k, v] = [this.toQ, this.toK, this.toV].map(layer => layer.forward(tokens)) as [Tensor, Tensor, Tensor];
      return this.toOut
        .forward(attention(q, k, v, { heads: 1 }))
        .reshape(x.shape)
        .add(x);
    });
  }
}
