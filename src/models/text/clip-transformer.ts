/** CLIP's text transformer: token and position embeddings, causal layers, a norm, and the pooled end of text. */
import { gatherRows, isTracing, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from '../layers/block.js';
import { normal } from '../layers/initializers.js';
import { LayerNorm } from '../layers/layer-norm.js';
import type { ClipTextConfig } from './clip-config.js';
import { ClipEncoder } from './clip-layers.js';

/** The most negative float32, which transformers adds to the scores of keys that may not be seen. */
const MASKED = -3.4028234663852886e38;

export interface ClipTextOutput {
  /** After the final norm: [B, L, D]. */
  lastHiddenState: Tensor;
  /** `lastHiddenState` at the end of each text: [B, D]. */
  pooled: Tensor;
}

/** `CLIPTextTransformer`: everything below `text_model.`. */
export class ClipTextTransformer extends Block {
  private readonly tokens;
  private readonly positions;
  private readonly encoder;
  private readonly norm;

  constructor(private readonly config: ClipTextConfig) {
    super();
    const { vocabSize, maxPositionEmbeddings, hiddenSize, layerNormEps, initializerFactor } = config;
    const init = normal(0.02 * initializerFactor);
    this.tokens = this.param('embeddings.token_embedding.weight', [vocabSize, hiddenSize], { init });
    this.positions = this.param('embeddings.position_embedding.weight', [maxPositionEmbeddings, hiddenSize], { init });
    this.encoder = this.child('encoder', new ClipEncoder(config));
    this.norm = this.child('final_layer_norm', new LayerNorm(hiddenSize, layerNormEps));
  }

  /** @see CLIPTextModel.forward */
  override forward(inputIds: Tensor, attentionMask?: Tensor | null): ClipTextOutput {
    return tf.tidy(() => {
      const lastHiddenState = this.norm.forward(this.states(inputIds, attentionMask).at(-1)!); // [B, L, D]
      const pooled = rowsAt(lastHiddenState, endOfText(inputIds, this.config.eosTokenId));
      return { lastHiddenState, pooled } as never;
    }) as ClipTextOutput;
  }

  /** @see CLIPTextModel.hiddenStates */
  states(inputIds: Tensor, attentionMask?: Tensor | null): Tensor[] {
    return tf.tidy(() => {
      checkInputs(this.config, inputIds, attentionMask);
      const length = inputIds.shape[1] as number;
      const positions = this.positions.value().slice([0, 0], [length, -1]); // [L, D]
      const embedded = gatherRows(this.tokens.value(), inputIds).add(positions); // [B, L, D]
      return this.encoder.states(embedded, scoreBias(length, attentionMask));
    });
  }
}

/**
 * What is added to the attention scores: a key after the query is masked, and so is padding. Keys that are both get −∞;
 * a query whose own past is all padding sees that past alike, as in transformers 4.29.1.
 * @returns [1 or B, 1, L, L]
 */
function scoreBias(length: number, attentionMask?: Tensor | null): Tensor {
  const causal = new Float32Array(length * length);
  for (let query = 0; query < length; query++) causal.fill(MASKED, query * length + query + 1, (query + 1) * length);
  const bias = tf.tensor(causal, [1, 1, length, length]);
  if (!attentionMask) return bias;
  const blocked = tf.scalar(1).sub(attentionMask.cast('float32')).mul(MASKED); // [B, L]
  return bias.add(blocked.expandDims(1).expandDims(1));
}

/**
 * Where each text ends: the first place of `eos`, or of the largest id where `eos` is null; the first token where there is
 * no such id. (`argMax` is not used: which of equal values it gives is not defined on every device.)
 * @param inputIds [B, L] int32  @returns [B] int32
 */
function endOfText(inputIds: Tensor, eos: number | null): Tensor {
  const length = inputIds.shape[1] as number;
  const wanted = eos === null ? inputIds.max(1, true) : tf.scalar(eos, 'int32');
  const fromEnd = tf.tensor1d(Int32Array.from({ length }, (_, i) => length - i)); // L, L - 1, …, 1
  const latest = tf.equal(inputIds, wanted).cast('int32').mul(fromEnd).max(1); // [B], 0 where there is none
  const L = tf.scalar(length, 'int32');
  return tf.mod(L.sub(latest), L);
}

/** x [B, L, D], places [B] int32 -> [B, D] */
function rowsAt(x: Tensor, places: Tensor): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  const starts = tf.tensor1d(Int32Array.from({ length: B }, (_, b) => b * L));
  return gatherRows(x.reshape([B * L, D]), places.add(starts));
}

/** While a function is traced, ids have no values and only the shapes are checked. */
function checkInputs(config: ClipTextConfig, inputIds: Tensor, mask?: Tensor | null): void {
  const { maxPositionEmbeddings, vocabSize } = config;
  const fail = (what: string, is: string, allowed: string) =>
    new InputError(`CLIP: ${what} is ${is}; ${allowed}.`, { code: 'clip.input', input: what });
  const kind = ({ dtype, shape }: Tensor) => `${dtype} [${shape}]`;
  if (inputIds.rank !== 2 || inputIds.dtype !== 'int32' || inputIds.shape[1] === 0) {
    throw fail('inputIds', kind(inputIds), 'it must be int32 [B, L]');
  }
  if ((inputIds.shape[1] as number) > maxPositionEmbeddings) {
    const advice = `at most ${maxPositionEmbeddings} tokens have a position (max_position_embeddings): cut the texts`;
    throw fail('inputIds', kind(inputIds), advice);
  }
  if (mask && mask.shape.join() !== inputIds.shape.join()) {
    throw fail('attentionMask', kind(mask), `it must have the shape of inputIds, [${inputIds.shape}]`);
  }
  const unknown = isTracing() ? undefined : inputIds.dataSync().find(id => id < 0 || id >= vocabSize);
  if (unknown !== undefined) {
    const advice = `ids from 0 to ${vocabSize - 1} are known (vocab_size): use the tokenizer that came with the model`;
    throw fail('a token', String(unknown), advice);
  }
}
