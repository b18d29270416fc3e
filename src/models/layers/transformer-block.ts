import type { Tensor } from '../../engine/index.js';
import { Attention } from './attention.js';
import { Block } from './block.js';
import { FeedForward } from './feed-forward.js';
import { LayerNorm } from './layer-norm.js';

export interface TransformerBlockConfig {
  dim: number;
  heads: number;
  headDim: number;
  /** Width of the text tokens; null with `doubleSelfAttention` false leaves out the second attention. */
  crossAttentionDim: number | null;
  /** Bias of the q, k, v projections (default false). */
  attentionBias?: boolean;
  /** The first attention is to the text too (default false). */
  onlyCrossAttention?: boolean;
  /** The second attention is self-attention (default false). */
  doubleSelfAttention?: boolean;
  /** Default geglu. */
  activation?: string;
  /** Norms have weights (default true). */
  normAffine?: boolean;
}

/**
 * LayerNorm and attention, twice, then LayerNorm and feed-forward, each with a residual (diffusers'
 * `BasicTransformerBlock`). Parameters `norm1`, `attn1`, `norm2`, `attn2`, `norm3`, `ff`.
 */
export class TransformerBlock extends Block {
  private readonly norm1: LayerNorm;
  private readonly attn1: Attention;
  private readonly second: { norm: LayerNorm; attn: Attention } | null;
  private readonly norm3: LayerNorm;
  private readonly ff: FeedForward;
  private readonly onlyCrossAttention: boolean;
  private readonly doubleSelfAttention: boolean;

  constructor(config: TransformerBlockConfig) {
    super();
    const { dim, heads, headDim, crossAttentionDim, attentionBias: bias = false, activation, normAffine } = config;
    const { onlyCrossAttention = false, doubleSelfAttention = false } = config;
    const norm = () => new LayerNorm(dim, 1e-5, { affine: normAffine });
    const attn = (contextDim: number | null) => new Attention({ queryDim: dim, heads, headDim, contextDim, bias });
    this.norm1 = this.child('norm1', norm());
    this.attn1 = this.child('attn1', attn(onlyCrossAttention ? crossAttentionDim : null));
    this.second =
      crossAttentionDim !== null || doubleSelfAttention
        ? {
            norm: this.child('norm2', norm()),
            attn: this.child('attn2', attn(doubleSelfAttention ? null : crossAttentionDim)),
          }
        : null;
    this.norm3 = this.child('norm3', norm());
    this.ff = this.child('ff', new FeedForward(dim, activation));
    this.onlyCrossAttention = onlyCrossAttention;
    this.doubleSelfAttention = doubleSelfAttention;
  }

  /**
   * @param x frames' tokens [B·F, S, C]
   * @param text [B, L, D] or null
   * @returns the shape of `x`
   */
  override forward(x: Tensor, text: Tensor | null = null): Tensor {
    const first = this.onlyCrossAttention ? text : null;
    const second = this.doubleSelfAttention ? null : text;
    return this.run(x, (attn, h, i) => attn.forward(h, i === 0 ? first : second));
  }

  /** The same with both attentions over the frames of each pixel: x [B, F, S, C] -> the same shape. */
  overFrames(x: Tensor): Tensor {
    return this.run(x, (attn, h) => attn.overFrames(h));
  }

  private run(x: Tensor, attend: (attn: Attention, h: Tensor, index: 0 | 1) => Tensor): Tensor {
    let h = attend(this.attn1, this.norm1.forward(x), 0).add(x);
    if (this.second) h = attend(this.second.attn, this.second.norm.forward(h), 1).add(h);
    return this.ff.forward(this.norm3.forward(h)).add(h);
  }
}
