import { attention, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from './block.js';
import { framesPerVideo, repeatForFrames } from './frames.js';
import { GroupNorm } from './group-norm.js';
import { LayerNorm } from './layer-norm.js';
import { Linear } from './linear.js';

export interface AddedKVAttentionConfig {
  channels: number;
  heads: number;
  headDim: number;
  /** Width of the text tokens. */
  textDim: number;
  normGroups: number;
  /** Keys and values from the text alone (default false). */
  onlyCrossAttention?: boolean;
  /** Normalisation of the text before its projection (default none). */
  crossAttentionNorm?: 'group_norm' | 'layer_norm' | null;
  /** Bias of the q, k, v projections of the image (default true). */
  bias?: boolean;
  eps?: number;
}

/** Groups of `norm_cross`, hard-coded upstream. */
const CROSS_NORM_GROUPS = 32;

/**
 * Attention of pixels to text and to each other (DeepFloyd IF): keys and values are the text's, projected by
 * `add_k_proj` and `add_v_proj`, followed by the image's own. Includes the residual.
 */
export class AddedKVAttention extends Block {
  private readonly groupNorm: GroupNorm;
  private readonly normCross: GroupNorm | LayerNorm | null;
  private readonly toQ: Linear;
  private readonly toK: Linear | null;
  private readonly toV: Linear | null;
  private readonly addKProj: Linear;
  private readonly addVProj: Linear;
  private readonly toOut: Linear;
  private readonly heads: number;

  /** @throws InputError when heads × head size is not the number of channels */
  constructor(config: AddedKVAttentionConfig) {
    super();
    const { channels, heads, headDim, textDim, normGroups, eps = 1e-5, bias = true } = config;
    const { onlyCrossAttention = false, crossAttentionNorm = null } = config;
    if (heads * headDim !== channels) {
      throw new InputError(
        `attention_head_dim: ${channels} channels do not divide into heads of ${headDim}; choose a divisor of ${channels}.`,
        { code: 'model.heads', channels, heads, headDim },
      );
    }
    if (crossAttentionNorm === 'layer_norm' && textDim !== channels) {
      throw new InputError(
        `cross_attention_norm "layer_norm" needs text as wide as the image (${channels} channels), not ${textDim}.`,
        { code: 'model.cross-norm', channels, textDim },
      );
    }
    this.heads = heads;
    this.groupNorm = this.child('group_norm', new GroupNorm(normGroups, channels, eps));
    this.normCross =
      crossAttentionNorm === 'group_norm'
        ? this.child('norm_cross', new GroupNorm(CROSS_NORM_GROUPS, textDim, 1e-5))
        : crossAttentionNorm === 'layer_norm'
          ? this.child('norm_cross', new LayerNorm(channels))
          : null;
    this.toQ = this.child('to_q', new Linear(channels, channels, { bias }));
    this.toK = onlyCrossAttention ? null : this.child('to_k', new Linear(channels, channels, { bias }));
    this.toV = onlyCrossAttention ? null : this.child('to_v', new Linear(channels, channels, { bias }));
    this.addKProj = this.child('add_k_proj', new Linear(textDim, channels));
    this.addVProj = this.child('add_v_proj', new Linear(textDim, channels));
    this.toOut = this.child('to_out.0', new Linear(channels, channels));
  }

  /**
   * @param x frames [B·F, H, W, C]
   * @param text [B, L, textDim]; projected once a video
   * @returns the shape of `x`
   */
  override forward(x: Tensor, text: Tensor): Tensor {
    return tf.tidy(() => {
      const [N, H, W, C] = x.shape as [number, number, number, number];
      const frames = framesPerVideo(x, text);
      const cross = this.normCross ? this.normCross.forward(text) : text; // [B, L, textDim]
      const textKey = this.addKProj.forward(cross); // [B, L, C]
      const textValue = this.addVProj.forward(cross);
      const hidden = this.groupNorm.forward(x).reshape([N, H * W, C]);
      const q = this.toQ.forward(hidden);
      const { heads } = this;
      let out: Tensor;
      if (this.toK && this.toV) {
        const k = tf.concat([repeatForFrames(textKey, frames), this.toK.forward(hidden)], 1); // [B·F, L + H·W, C]
        const v = tf.concat([repeatForFrames(textValue, frames), this.toV.forward(hidden)], 1);
        out = attention(q, k, v, { heads });
      } else {
        // All frames of a video ask the same keys: they are one long query.
        out = attention(q.reshape([N / frames, frames * H * W, C]), textKey, textValue, { heads });
      }
      return this.toOut.forward(out.reshape([N, H, W, C])).add(x);
    });
  }
}
