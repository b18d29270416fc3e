import { attention, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from './block.js';
import { normal } from './initializers.js';
import { LayerNorm } from './layer-norm.js';
import { Linear } from './linear.js';
import type { Parameter } from './parameter.js';

/**
 * Pools text tokens by attention of one class token (DeepFloyd IF): the token is the mean of all plus a learned
 * embedding, it alone asks, and it and all tokens answer. No output projection.
 */
class AttentionPooling extends Block {
  private readonly positionalEmbedding: Parameter;
  private readonly kProj: Linear;
  private readonly qProj: Linear;
  private readonly vProj: Linear;

  constructor(
    private readonly heads: number,
    dim: number,
  ) {
    super();
    if (dim % heads !== 0) {
      throw new InputError(`addition_embed_type_num_heads: ${dim} text channels do not divide into ${heads} heads.`, {
        code: 'model.heads',
        dim,
        heads,
      });
    }
    this.positionalEmbedding = this.param('positional_embedding', [1, dim], { init: normal(dim ** -0.5) });
    this.kProj = this.child('k_proj', new Linear(dim, dim));
    this.qProj = this.child('q_proj', new Linear(dim, dim));
    this.vProj = this.child('v_proj', new Linear(dim, dim));
  }

  /** x [B, L, D] -> [B, D] */
  override forward(x: Tensor): Tensor {
    const [B, , D] = x.shape as [number, number, number];
    const token = x.mean(1, true).add(this.positionalEmbedding.value()); // [B, 1, D]
    const all = tf.concat([token, x], 1); // [B, 1 + L, D]
    const [q, k, v] = [this.qProj.forward(token), this.kProj.forward(all), this.vProj.forward(all)];
    return attention(q, k, v, { heads: this.heads }).reshape([B, D]);
  }
}

/** Text tokens to one vector of the time embedding's width. Parameters `norm1`, `pool.*`, `proj`, `norm2`. */
export class TextTimeEmbedding extends Block {
  private readonly norm1: LayerNorm;
  private readonly pool: AttentionPooling;
  private readonly proj: Linear;
  private readonly norm2: LayerNorm;

  /** @throws InputError when `encoderDim` does not divide into `heads` */
  constructor(encoderDim: number, timeEmbedDim: number, heads = 64) {
    super();
    this.norm1 = this.child('norm1', new LayerNorm(encoderDim));
    this.pool = this.child('pool', new AttentionPooling(heads, encoderDim));
    this.proj = this.child('proj', new Linear(encoderDim, timeEmbedDim));
    this.norm2 = this.child('norm2', new LayerNorm(timeEmbedDim));
  }

  /** text [B, L, encoderDim] -> [B, timeEmbedDim] */
  override forward(text: Tensor): Tensor {
    return tf.tidy(() => this.norm2.forward(this.proj.forward(this.pool.forward(this.norm1.forward(text)))));
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.proj.outFeatures];
  }
}
