import { type Tensor, tf } from '../../engine/index.js';
import { Block } from './block.js';
import { unfoldFrames } from './frames.js';
import { GroupNorm } from './group-norm.js';
import { Linear } from './linear.js';
import { TransformerBlock } from './transformer-block.js';

export interface TemporalTransformerConfig {
  channels: number;
  heads: number;
  headDim: number;
  /** Number of transformer blocks (default 1). */
  layers?: number;
  /** Default 32. */
  normGroups?: number;
  /** Without `doubleSelfAttention`: width that the second attention's keys are read from; null leaves it out. */
  crossAttentionDim?: number | null;
  /** Default true. */
  doubleSelfAttention?: boolean;
  attentionBias?: boolean;
  activation?: string;
  normAffine?: boolean;
}

/**
 * Transformer over the frames of each pixel (diffusers' `TransformerTemporalModel`): no position encoding, no text. The
 * norm's statistics run over all frames of a video.
 */
export class TransformerTemporalModel extends Block {
  private readonly norm: GroupNorm;
  private readonly projIn: Linear;
  private readonly transformerBlocks: TransformerBlock[];
  private readonly projOut: Linear;

  constructor(config: TemporalTransformerConfig) {
    super();
    const { channels, heads, headDim, layers = 1, normGroups = 32, crossAttentionDim = null, ...rest } = config;
    const block = { doubleSelfAttention: true, ...rest, crossAttentionDim };
    const dim = heads * headDim;
    this.norm = this.child('norm', new GroupNorm(normGroups, channels, 1e-6));
    this.projIn = this.child('proj_in', new Linear(channels, dim));
    this.transformerBlocks = this.list(
      'transformer_blocks',
      Array.from({ length: layers }, () => new TransformerBlock({ ...block, dim, heads, headDim })),
    );
    this.projOut = this.child('proj_out', new Linear(dim, channels));
  }

  /** x frames [B·F, H, W, C], `frames` of them a video -> the same shape */
  override forward(x: Tensor, frames: number): Tensor {
    return tf.tidy(() => {
      const [B, F, H, W, C] = unfoldFrames(x, frames).shape as [number, number, number, number, number];
      let h = this.projIn.forward(this.norm.forward(x.reshape([B, F, H * W, C]))); // [B, F, S, dim]
      for (const block of this.transformerBlocks) h = block.overFrames(h);
      return this.projOut.forward(h).reshape(x.shape).add(x);
    });
  }
}
