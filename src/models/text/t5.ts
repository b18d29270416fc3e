/** The T5 encoder (Raffel et al. 2020; T5 1.1 as DeepFloyd IF and Show-1 use it), loading transformers' weights. */
import { type Tensor, tf } from '../../engine/index.js';
import { normal } from '../layers/initializers.js';
import { Model } from '../layers/model.js';
import type { LoadOptions, StateDictReport } from '../layers/state-dict.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { WeightSource } from '../weights/source.js';
import { parseT5Config, type T5Config } from './t5-config.js';
import { T5Block, T5LayerNorm, T5Matrix } from './t5-layers.js';

/** The most negative float32, which transformers adds to the scores of masked keys. */
const MASKED = -3.4028234663852886e38;

export class T5EncoderModel extends Model {
  protected readonly weightStem = 'model';
  readonly config: T5Config;
  private readonly json: JsonObject;
  private readonly embedding;
  private readonly layers;
  private readonly norm;

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
    this.norm = this.child('encoder.final_layer_norm', new T5LayerNorm(dModel, layerNormEpsilon));
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
      let bias = this.layers[0]!.attention.positionBias(length); // [1, heads, L, L]
      if (attentionMask) {
        const blocked = tf.scalar(1).sub(attentionMask.cast('float32')).mul(MASKED); // [B, L]
        bias = bias.add(blocked.expandDims(1).expandDims(1)); // [B, heads, L, L]
      }
      let hidden = this.embedding.lookUp(inputIds); // [B, L, dModel]
      for (const layer of this.layers) hidden = layer.forward(hidden, bias);
      return this.norm.forward(hidden);
    });
  }

  /**
   * Loads transformers' weights. The alias `encoder.embed_tokens.weight` counts as `shared.weight`; a whole T5's decoder
   * is left aside.
   * @throws InputError listing what does not fit
   */
  override async loadStateDict(source: WeightSource, options: LoadOptions = {}): Promise<StateDictReport> {
    const alias = 'encoder.embed_tokens.weight';
    const rename = (name: string): string | null => {
      if (name === alias) return source.has('shared.weight') ? null : 'shared.weight';
      if (name.startsWith('decoder.') || name === 'lm_head.weight') return null;
      return options.rename ? options.rename(name) : name;
    };
    return super.loadStateDict(source, { ...options, rename });
  }
}
