import { attention, type Tensor, temporalAttention } from '../../engine/index.js';
import { Block } from './block.js';
import { framesPerVideo } from './frames.js';
import { Linear } from './linear.js';

export interface AttentionConfig {
  /** Channels of the queries' side, and of the output. */
  queryDim: number;
  heads: number;
  headDim: number;
  /** Channels of the keys' and values' side (default `queryDim`). */
  contextDim?: number | null;
  /** Bias of the q, k, v projections (default false); the output projection always has one. */
  bias?: boolean;
}

/** Multi-head attention without norm and residual. Parameters `to_q`, `to_k`, `to_v`, `to_out.0`. */
export class Attention extends Block {
  private readonly toQ: Linear;
  private readonly toK: Linear;
  private readonly toV: Linear;
  private readonly toOut: Linear;
  private readonly heads: number;

  constructor({ queryDim, heads, headDim, contextDim, bias = false }: AttentionConfig) {
    super();
    const inner = heads * headDim;
    this.heads = heads;
    this.toQ = this.child('to_q', new Linear(queryDim, inner, { bias }));
    this.toK = this.child('to_k', new Linear(contextDim ?? queryDim, inner, { bias }));
    this.toV = this.child('to_v', new Linear(contextDim ?? queryDim, inner, { bias }));
    this.toOut = this.child('to_out.0', new Linear(inner, queryDim));
  }

  /**
   * @param x frames' tokens [B·F, S, C]
   * @param context [B, L, contextDim], shared by the frames of a video; without it, self-attention within a frame
   * @returns the shape of `x`
   */
  override forward(x: Tensor, context?: Tensor | null): Tensor {
    const { heads } = this;
    const q = this.toQ.forward(x); // [B·F, S, inner]
    const k = this.toK.forward(context ?? x);
    const v = this.toV.forward(context ?? x);
    if (!context) return this.toOut.forward(attention(q, k, v, { heads }));
    const [, S, inner] = q.shape as [number, number, number];
    // All frames of a video ask the same keys: they are one long query.
    const joined = q.reshape([context.shape[0]!, framesPerVideo(x, context) * S, inner]);
    return this.toOut.forward(attention(joined, k, v, { heads }).reshape(q.shape));
  }

  /** Self-attention over the frames of each pixel: x [B, F, S, C] -> the same shape. */
  overFrames(x: Tensor): Tensor {
    const [q, k, v] = [this.toQ.forward(x), this.toK.forward(x), this.toV.forward(x)];
    return this.toOut.forward(temporalAttention(q, k, v, { heads: this.heads }));
  }
}
