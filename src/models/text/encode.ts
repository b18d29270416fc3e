/** Prompts to the tensors that condition a UNet: tokenizer, encoder and a cache of what was encoded before. */
import { type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { readModelConfig } from '../weights/pretrained.js';
import { type TextFolders, textFoldersIn } from './folders.js';
import { T5EncoderModel } from './t5.js';
import { parseT5Config } from './t5-config.js';
import { Tokenizer } from './tokenizer.js';

/** What a text encoder must do. */
export interface TextEncoder {
  /** Width of the output. */
  readonly width: number;
  /** ids [B, L], mask [B, L] -> [B, L, width] */
  forward(inputIds: Tensor, attentionMask: Tensor): Tensor;
  dispose(): unknown;
}

export interface TextConditionerOptions {
  /** Tokens a prompt is padded and cut to (default: the tokenizer's). */
  maxLength?: number;
  /** Bytes of encoded prompts kept; the least recently used go first (default 64 MiB, about 50 prompts of Show-1's T5). */
  cacheBytes?: number;
  /** What is done to a prompt first (default `cleanPrompt`). */
  clean?: (prompt: string) => string;
}

/** Lower case without surrounding space: what Show-1's `encode_prompt` does unless told to clean captions. */
export const cleanPrompt = (prompt: string): string => prompt.toLowerCase().trim();

/** Encodes prompts with a frozen text encoder. The empty string is the unconditional prompt. */
export class TextConditioner {
  /** Tokens a prompt becomes: the L of [B, L, D]. */
  readonly maxLength: number;
  /** Width of the embeddings: the D of [B, L, D]. */
  readonly width: number;
  private readonly cache = new Map<string, Tensor>(); // cleaned prompt -> [L, D], least recently used first
  private readonly capacity: number;
  private readonly clean: (prompt: string) => string;

  /** Takes over `encoder`: `dispose` frees it. */
  constructor(
    private readonly encoder: TextEncoder,
    private readonly tokenizer: Tokenizer,
    { maxLength, cacheBytes = 64 * 2 ** 20, clean = cleanPrompt }: TextConditionerOptions = {},
  ) {
    this.maxLength = maxLength ?? tokenizer.maxLength;
    this.width = encoder.width;
    this.capacity = Math.max(1, Math.floor(cacheBytes / (4 * this.maxLength * this.width)));
    this.clean = clean;
  }

  /**
   * Loads a T5 encoder and its tokenizer.
   * @param folders a pipeline folder (`text_encoder/`, `tokenizer/`), or the two folders
   * @throws InputError when either is missing, broken, or they do not belong together
   */
  static async fromPretrained(
    folders: string | TextFolders,
    options: TextConditionerOptions = {},
  ): Promise<TextConditioner> {
    const found = typeof folders === 'string' ? textFoldersIn(folders) : folders;
    // what is quick to check comes first: the encoder's weights may take long
    const tokenizer = Tokenizer.fromPretrained(found.tokenizer);
    const { vocabSize } = parseT5Config(readModelConfig(found.encoder));
    if (tokenizer.vocabSize > vocabSize) {
      throw new InputError(
        `The tokenizer ${found.tokenizer} has ${tokenizer.vocabSize} tokens, the text encoder ${found.encoder} only ` +
          `${vocabSize}: they belong to different models. Use the tokenizer that came with the encoder.`,
        { code: 'text.vocabulary', tokenizer: tokenizer.vocabSize, encoder: vocabSize },
      );
    }
    return new TextConditioner(await T5EncoderModel.fromPretrained(found.encoder), tokenizer, options);
  }

  /**
   * Every prompt is encoded by itself, so its embedding does not depend on its company in a batch to the last bit (a
   * resumed run, whose cache is empty, must see the same numbers).
   * @returns [B, L, D]; the caller's to dispose
   */
  encode(prompts: readonly string[]): Tensor {
    const used = new Map<string, Tensor>();
    for (const prompt of prompts) {
      const key = this.clean(prompt);
      if (!used.has(key)) used.set(key, this.embedding(key));
    }
    const batch = tf.stack(prompts.map(prompt => used.get(this.clean(prompt))!)); // [B, L, D]
    this.shrink();
    return batch;
  }

  /** Number of prompts in the cache. */
  get cached(): number {
    return this.cache.size;
  }

  /** Frees the encoder and the cache. */
  dispose(): void {
    for (const embedding of this.cache.values()) embedding.dispose();
    this.cache.clear();
    this.encoder.dispose();
  }

  /** [L, D], from the cache or into it. */
  private embedding(key: string): Tensor {
    const hit = this.cache.get(key);
    this.cache.delete(key); // and set again below: last in the map's order
    const embedding = hit ?? this.compute(key);
    this.cache.set(key, embedding);
    return embedding;
  }

  private compute(key: string): Tensor {
    const { inputIds, attentionMask, shape } = this.tokenizer.encode([key], { maxLength: this.maxLength });
    return tf.tidy(() => {
      const ids = tf.tensor(inputIds, shape, 'int32');
      const mask = tf.tensor(attentionMask, shape, 'int32');
      return tf.keep(this.encoder.forward(ids, mask).squeeze([0]));
    });
  }

  private shrink(): void {
    for (const [key, embedding] of this.cache) {
      if (this.cache.size <= this.capacity) return;
      this.cache.delete(key);
      embedding.dispose();
    }
  }
}
