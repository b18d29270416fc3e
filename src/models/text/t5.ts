/** The T5 encoder (Raffel et al. 2020; T5 1.1 as DeepFloyd IF and Show-1 use it), loading transformers' weights. */
import { type Tensor, tf } from '../../engine/index.js';
import { normal } from '../layers/initializers.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { WeightSource } from '../weights/source.js';
import { parseT5Config, type T5Config } from './t5-config.js';
import { maskedBias, T5Block, T5LayerNorm, T5Matrix } from './t5-layers.js';

/** Name of the embedding table, [vocabulary, dModel]. */
export const T5_EMBEDDING = 'shared.weight';

export class T5EncoderModel extends Model {
  protected readonly weightStem = 'model';
  readonly config: T5Config;
  private readonly json: JsonObject;
  private readonly embedding;
  /** The blocks in order; the first one holds the position biases of all. */
  readonly layers: readonly T5Block[];
  /** Applied to the last block's output. */
  readonly finalNorm: T5LayerNorm;

  /** @param json transformers' `config.json` @throws InputError naming the key that is wrong */
  constructor(json: JsonObject) {
    super();
    const { _fixture, ...rest } = json;
    this.json = rest;
    this.config = parseT5Config(json);
    const { vocabSize, dModel, numLayers, layerNormEpsilon } = this.config;
    this.embedding = this.child('shared', new T5Matrix(vocabSize, dModel, normal(1)));
    const blocks = Array.from({ length: numLayers }, (_, i) => new T5Block(this.config, i === 0));
    this.layers = this.list('encoder.block', blocks);
    this.finalNorm = this.child('encoder.final_layer_norm', new T5LayerNorm(dModel, layerNormEpsilon));
  }

  override configJson(): JsonObject {
    return { ...this.json, architectures: ['T5EncoderModel'], model_type: 't5' };
  }

  /** Width of the output. */
  get width(): number {
    return this.config.dModel;
  }

  /**
   * @param inputIds [B, L] int32
   * @param attentionMask [B, L], 1 for tokens that may be attended, 0 for padding; left out: all may
   * @returns the last hidden states, [B, L, dModel], of padding too
   */
  override forward(inputIds: Tensor, attentionMask?: Tensor | null): Tensor {
    return tf.tidy(() => {
      const length = inputIds.shape[1] as number;
      const positions = this.layers[0]!.attention.positionBias(length); // [1, heads, L, L]
      const bias = attentionMask ? maskedBias(positions, attentionMask) : positions; // [B, heads, L, L]
      let hidden = this.embedding.lookUp(inputIds); // [B, L, dModel]
      for (const layer of this.layers) hidden = layer.forward(hidden, bias);
      return this.finalNorm.forward(hidden);
    });
  }

  /** As `t5Names` says. */
  protected override nameOf(tensor: string, source: WeightSource): string | null {
    return t5Names(source)(tensor);
  }
}

/**
 * From the names of a T5 file to those of the encoder: the alias `encoder.embed_tokens.weight` counts as `shared.weight`
 * where that is missing; a whole T5's decoder is left aside.
 * @param rename what is done to the other names
 */
export function t5Names(
  source: Pick<WeightSource, 'has'>,
  rename: (name: string) => string | null = name => name,
): (name: string) => string | null {
  return name => {
    if (name === 'encoder.embed_tokens.weight') return source.has(T5_EMBEDDING) ? null : T5_EMBEDDING;
    if (name.startsWith('decoder.') || name === 'lm_head.weight') return null;
    return rename(name);
  };
}
