import { type Tensor, tf } from '../../engine/index.js';
import { Block } from './block.js';
import { GroupNorm } from './group-norm.js';
import { Linear } from './linear.js';
import { TransformerBlock } from './transformer-block.js';

export interface Transformer2DConfig {
  channels: number;
  heads: number;
  headDim: number;
  /** Number of transformer blocks (default 1). */
  layers?: number;
  normGroups: number;
  /** Width of the text tokens; null leaves out attention to text. */
  crossAttentionDim: number | null;
  /** Files hold proj_in and proj_out as matrices, else as 1×1 convolutions. */
  useLinearProjection: boolean;
  onlyCrossAttention?: boolean;
  attentionBias?: boolean;
  activation?: string;
  normAffine?: boolean;
}

/** Spatial transformer over the pixels of each frame, with text (diffusers' `Transformer2DModel`). */
export class Transformer2DModel extends Block {
  private readonly norm: GroupNorm;
  private readonly projIn: Linear;
  private readonly transformerBlocks: TransformerBlock[];
  private readonly projOut: Linear;

  constructor(config: Transformer2DConfig) {
    super();
    const { channels, heads, headDim, layers = 1, normGroups, useLinearProjection, ...block } = config;
    const dim = heads * headDim;
    const conv1x1 = !useLinearProjection;
    this.norm = this.child('norm', new GroupNorm(normGroups, channels, 1e-6));
    this.projIn = this.child('proj_in', new Linear(channels, dim, { conv1x1 }));
    this.transformerBlocks = this.list(
      'transformer_blocks',
      Array.from({ length: layers }, () => new TransformerBlock({ ...block, dim, heads, headDim })),
    );
    this.projOut = this.child('proj_out', new Linear(dim, channels, { conv1x1 }));
  }

  /**
   * @param x frames [B·F, H, W, C]
   * @param text [B, L, D] or null
   * @returns the shape of `x`
   */
  override forward(x: Tensor, text: Tensor | null = null): Tensor {
    return tf.tidy(() => {
      const [N, H, W, C] = x.shape as [number, number, number, number];
      let h = this.projIn.forward(this.norm.forward(x).reshape([N, H * W, C])); // [B·F, S, dim]
      for (const block of this.transformerBlocks) h = block.forward(h, text);
      return this.projOut.forward(h).reshape(x.shape).add(x);
    });
  }
}
