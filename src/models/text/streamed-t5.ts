/**
 * A T5 encoder that stays on disk: its blocks pass through memory one after the other. Show-1's encoder has 4.8 billion
 * parameters, 19 GB as float32; this way it needs one block (0.8 GB) and the next one as it lies in the file.
 */
import { type Tensor, tf } from '../../engine/index.js';
import type { Block } from '../layers/block.js';
import type { Parameter } from '../layers/parameter.js';
import { matchStateDict, readFloats } from '../layers/state-dict.js';
import { type JsonObject, openPretrained } from '../weights/pretrained.js';
import type { OpenOptions } from '../weights/safetensors.js';
import { type FloatBytes, Staging, type WeightSource } from '../weights/source.js';
import { T5_EMBEDDING, T5EncoderModel, t5Names } from './t5.js';
import type { T5Config } from './t5-config.js';
import { maskedBias, type T5Block } from './t5-layers.js';
import type { TokenBatch } from './tokenizer.js';

export interface StreamOptions {
  /** Called after every block, with those done and all there are to do; throwing stops the work. */
  onLayer?: (done: number, total: number) => void;
}

export interface StreamedT5Options {
  /** Bytes of hidden states held at once; more texts than that take more passes over the file (default 256 MiB). */
  stateBytes?: number;
}

/** A block's values as read, for each of its parameters. */
type Values = [Parameter, Float32Array | FloatBytes][];

export class StreamedT5Encoder {
  /** Names, shapes and arithmetic; a parameter has memory only while its block is at work. */
  private readonly model: T5EncoderModel;
  private readonly tensorOf: ReadonlyMap<string, string>;
  private readonly stateBytes: number;
  private turn: Promise<unknown> = Promise.resolve();

  /**
   * Checks names and shapes of all blocks; reads no values.
   * @param json transformers' `config.json`
   * @param source transformers' weights, as `T5EncoderModel` takes them; `dispose` closes it
   * @throws InputError naming the config's wrong key, or listing every tensor that does not fit
   */
  constructor(
    json: JsonObject,
    private readonly source: WeightSource,
    { stateBytes = 256 * 2 ** 20 }: StreamedT5Options = {},
  ) {
    this.model = new T5EncoderModel(json);
    this.tensorOf = matchStateDict(this.model.parameters(), source, { rename: t5Names(source) }).tensorOf;
    this.stateBytes = stateBytes;
  }

  /**
   * Opens a folder with config.json and safetensors, in one file or shards, of any float type.
   * @throws InputError when something is missing or does not fit together
   */
  static async fromPretrained(
    dir: string,
    { variant, ...options }: OpenOptions & StreamedT5Options = {},
  ): Promise<StreamedT5Encoder> {
    const { config, weights } = openPretrained(dir, { variant });
    try {
      return new StreamedT5Encoder(config, weights, options);
    } catch (error) {
      weights.close();
      throw error;
    }
  }

  get config(): T5Config {
    return this.model.config;
  }

  /** Width of the output. */
  get width(): number {
    return this.model.width;
  }

  /**
   * The last hidden states of each text of a batch. Every text passes a block by itself, so its states are bit for bit
   * those that `T5EncoderModel.forward` gives it alone, whatever its company. A second call waits for the first.
   * @param batch ids and mask, [B, L]
   * @returns B arrays, each [L, dModel] row-major
   * @throws InputError for an id outside the vocabulary, or when the file cannot be read
   */
  encode(batch: TokenBatch, options: StreamOptions = {}): Promise<Float32Array[]> {
    const run = this.turn.then(() => this.passes(batch, options));
    this.turn = run.catch(() => {});
    return run;
  }

  /** Closes the files. */
  dispose(): void {
    this.source.close();
  }

  private async passes(batch: TokenBatch, { onLayer }: StreamOptions): Promise<Float32Array[]> {
    const [count, length] = batch.shape;
    const layers = this.model.layers.length;
    const size = Math.max(1, Math.floor(this.stateBytes / (4 * length * this.width)));
    const total = Math.ceil(count / size) * layers;
    const results: Float32Array[] = [];
    for (let from = 0, done = 0; from < count; from += size, done += layers) {
      const to = Math.min(count, from + size);
      const rows = (values: Int32Array) => values.subarray(from * length, to * length);
      const part: TokenBatch = {
        inputIds: rows(batch.inputIds),
        attentionMask: rows(batch.attentionMask),
        shape: [to - from, length],
      };
      for (const states of await this.pass(part, layer => onLayer?.(done + layer, total))) results.push(states);
    }
    return results;
  }

  /** Takes some texts through all blocks. */
  private async pass(batch: TokenBatch, onLayer: (done: number) => void): Promise<Float32Array[]> {
    const { layers, finalNorm } = this.model;
    const length = batch.shape[1];
    const masks = rowsOf(batch.attentionMask, length);
    const staging = new Map<string, Staging>();
    const hidden = await this.embed(batch); // a [1, L, dModel] a text
    let positions: Tensor | null = null; // [1, heads, L, L]
    let next = this.read(layers[0]!, staging);
    try {
      for (const [i, layer] of layers.entries()) {
        load(await next);
        next = this.read(layers[i + 1] ?? finalNorm, staging); // goes on while TensorFlow computes
        positions ??= tf.tidy(() => layer.attention.positionBias(length));
        for (const [text, mask] of masks.entries()) {
          const before = hidden[text]!;
          hidden[text] = advance(layer, before, positions, mask);
          before.dispose();
        }
        layer.dispose();
        onLayer(i + 1);
      }
      load(await next);
      return hidden.map(x => tf.tidy(() => finalNorm.forward(x).dataSync() as Float32Array));
    } finally {
      await next.catch(() => {}); // no read may go on in files that are closed
      tf.dispose(hidden);
      positions?.dispose();
      this.model.dispose();
    }
  }

  /** Embeddings of a batch, a tensor [1, L, dModel] a text; only the rows of its tokens are read. */
  private async embed({ inputIds, shape: [, length] }: TokenBatch): Promise<Tensor[]> {
    const { width } = this;
    const ids = [...new Set(inputIds)].sort((a, b) => a - b);
    const table = await this.source.readRows(this.tensorOf.get(T5_EMBEDDING)!, ids);
    const rowOf = new Map(ids.map((id, row) => [id, row]));
    return rowsOf(inputIds, length).map(text => {
      const values = new Float32Array(length * width);
      for (const [at, id] of text.entries()) {
        const row = rowOf.get(id)!;
        values.set(table.subarray(row * width, (row + 1) * width), at * width);
      }
      return tf.tensor(values, [1, length, width]);
    });
  }

  /**
   * Reads a block's tensors, all of them asked for at once.
   * @param staging memory that blocks share, by the parameter's name within the block
   */
  private read(block: Block, staging: Map<string, Staging>): Promise<Values> {
    const read = async ([name, parameter]: [string, Parameter]): Promise<Values[number]> => {
      if (!staging.has(name)) staging.set(name, new Staging());
      return [parameter, await readFloats(this.source, this.tensorOf.get(parameter.path)!, staging.get(name)!)];
    };
    return Promise.all([...block.parameters()].map(read));
  }
}

function load(values: Values): void {
  for (const [parameter, data] of values) parameter.load(data);
}

/** One text through one block: [1, L, dModel] -> [1, L, dModel]. */
function advance(layer: T5Block, hidden: Tensor, positions: Tensor, mask: Int32Array): Tensor {
  return tf.tidy(() =>
    layer.forward(hidden, maskedBias(positions, tf.tensor(mask.slice(), [1, mask.length], 'int32'))),
  );
}

/** The rows of a [B, L] matrix. */
function rowsOf(values: Int32Array, length: number): Int32Array[] {
  return Array.from({ length: values.length / length }, (_, i) => values.subarray(i * length, (i + 1) * length));
}
