/** The parts of a T5 encoder (transformers' `modeling_t5.py`), under its names. */
import { attention, gatherRows, gelu, geluTanh, linear, rmsNorm, silu, type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { type Initializer, normal, ones } from '../layers/initializers.js';
import type { T5Activation, T5Config } from './t5-config.js';
import { relativePositionBuckets } from './t5-position.js';

const ACTIVATIONS: Record<T5Activation, (x: Tensor) => Tensor> = {
  relu: x => tf.relu(x),
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  silu,
  swish: silu,
};

/** The most negative float32, which transformers adds to the scores of masked keys. */
const MASKED = -3.4028234663852886e38;

/**
 * Position biases that also keep padding from being attended.
 * @param bias [1, heads, L, L]  @param attentionMask [B, L], 1 or 0  @returns [B, heads, L, L]
 */
export function maskedBias(bias: Tensor, attentionMask: Tensor): Tensor {
  const blocked = tf.scalar(1).sub(attentionMask.cast('float32')).mul(MASKED); // [B, L]
  return bias.add(blocked.expandDims(1).expandDims(1));
}

/** A matrix named `weight`: a linear map without bias, or a table of embeddings. Frozen. */
export class T5Matrix extends Block {
  private readonly weight;

  /** @param rows outputs (or ids)  @param columns inputs (or embedding width) */
  constructor(rows: number, columns: number, init: Initializer) {
    super();
    this.weight = this.param('weight', [rows, columns], { layout: 'linear', init, trainable: false });
  }

  /** [..., columns] -> [..., rows] */
  override forward(x: Tensor): Tensor {
    return linear(x, this.weight.value());
  }

  /** Rows of the table: ids of any shape -> [...ids, columns]. */
  lookUp(ids: Tensor): Tensor {
    return gatherRows(this.weight.value(), ids);
  }
}

/** RMS normalisation with a scale, no bias. */
export class T5LayerNorm extends Block {
  private readonly weight;

  constructor(
    width: number,
    private readonly eps: number,
  ) {
    super();
    this.weight = this.param('weight', [width], { init: ones, trainable: false });
  }

  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.value(), this.eps);
  }
}

/** Self-attention without scaling; the first block's also holds the position biases that all blocks use. */
export class T5Attention extends Block {
  private readonly q;
  private readonly k;
  private readonly v;
  private readonly o;
  private readonly biases;

  constructor(
    private readonly config: T5Config,
    hasRelativeBias: boolean,
  ) {
    super();
    const { dModel, dKv, numHeads } = config;
    const inner = numHeads * dKv;
    // transformers' initialisation: q is drawn smaller by sqrt(dKv), which stands in for the missing scaling
    this.q = this.child('q', new T5Matrix(inner, dModel, normal((dModel * dKv) ** -0.5)));
    this.k = this.child('k', new T5Matrix(inner, dModel, normal(dModel ** -0.5)));
    this.v = this.child('v', new T5Matrix(inner, dModel, normal(dModel ** -0.5)));
    this.o = this.child('o', new T5Matrix(dModel, inner, normal(inner ** -0.5)));
    const table = () => new T5Matrix(config.relativeAttentionNumBuckets, numHeads, normal(dModel ** -0.5));
    this.biases = hasRelativeBias ? this.child('relative_attention_bias', table()) : null;
  }

  /** Biases by relative position: [1, heads, L, L]. Only for the block that holds them. */
  positionBias(length: number): Tensor {
    const { relativeAttentionNumBuckets, relativeAttentionMaxDistance } = this.config;
    const buckets = relativePositionBuckets(length, relativeAttentionNumBuckets, relativeAttentionMaxDistance);
    const biases = this.biases!.lookUp(tf.tensor(buckets, [length, length], 'int32')); // [L, L, heads]
    return biases.transpose([2, 0, 1]).expandDims(0);
  }

  /**
   * @param x [B, L, dModel]
   * @param bias added to the scores, broadcastable to [B, heads, L, L]
   * @returns [B, L, dModel]
   */
  override forward(x: Tensor, bias: Tensor): Tensor {
    const [q, k, v] = [this.q.forward(x), this.k.forward(x), this.v.forward(x)];
    return this.o.forward(attention(q, k, v, { heads: this.config.numHeads, scale: 1, bias }));
  }
}

/** wo · act(wi x), or gated: wo · (act(wi_0 x) ∘ wi_1 x). */
export class T5FeedForward extends Block {
  private readonly gate;
  private readonly up;
  private readonly down;
  private readonly act;

  constructor({ dModel, dFf, activation, gated }: T5Config) {
    super();
    const inward = () => new T5Matrix(dFf, dModel, normal(dModel ** -0.5));
    this.gate = this.child(gated ? 'wi_0' : 'wi', inward());
    this.up = gated ? this.child('wi_1', inward()) : null;
    this.down = this.child('wo', new T5Matrix(dModel, dFf, normal(dFf ** -0.5)));
    this.act = ACTIVATIONS[activation];
  }

  /** [..., dModel] -> [..., dModel] */
  override forward(x: Tensor): Tensor {
    const hidden = this.act(this.gate.forward(x)); // [..., dFf]
    return this.down.forward(this.up ? hidden.mul(this.up.forward(x)) : hidden);
  }
}

/** One encoder block: x + attention(norm x), then x + feed-forward(norm x). */
export class T5Block extends Block {
  readonly attention;
  private readonly attentionNorm;
  private readonly feedForward;
  private readonly feedForwardNorm;

  constructor(config: T5Config, hasRelativeBias: boolean) {
    super();
    const { dModel, layerNormEpsilon } = config;
    this.attention = this.child('layer.0.SelfAttention', new T5Attention(config, hasRelativeBias));
    this.attentionNorm = this.child('layer.0.layer_norm', new T5LayerNorm(dModel, layerNormEpsilon));
    this.feedForward = this.child('layer.1.DenseReluDense', new T5FeedForward(config));
    this.feedForwardNorm = this.child('layer.1.layer_norm', new T5LayerNorm(dModel, layerNormEpsilon));
  }

  /** @param x [B, L, dModel]  @param bias as for `T5Attention`  @returns [B, L, dModel] */
  override forward(x: Tensor, bias: Tensor): Tensor {
    return tf.tidy(() => {
      const attended = x.add(this.attention.forward(this.attentionNorm.forward(x), bias));
      return attended.add(this.feedForward.forward(this.feedForwardNorm.forward(attended)));
    });
  }
}
