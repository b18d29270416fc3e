/** Prompts to the tensors that condition a UNet: tokenizer, encoder and a cache of what was encoded before. */
import { setImmediate as breathe } from 'node:timers/promises';
import { type Tensor, tf } from '../../engine/index.js';
import { readMemory } from '../../engine/machine.js';
import { InputError, WorkError } from '../../errors.js';
import { formatBytes } from '../../format.js';
import { textPreprocessing } from './caption-cleaning.js';
import { type TextFolders, textFoldersIn } from './folders.js';
import { type OpenTextOptions, openTextEncoder, type TextFamily } from './open-encoder.js';
import { isStreamed, type StreamedTextEncoder, type TextEncoder } from './text-encoder.js';
import type { Tokenizer } from './tokenizer.js';

export type { StreamedTextEncoder, TextEncoder } from './text-encoder.js';

/**
 * What is done to a prompt before it is tokenized:
 * - `lower`: lower case without surrounding space, what Show-1's `encode_prompt` does unless told to clean captions;
 * - `caption`: DeepFloyd IF's cleaning of captions, twice, what it does when told to;
 * - `none`: nothing, as Stable Diffusion's pipelines.
 */
export type PromptCleaning = 'lower' | 'caption' | 'none';

export interface TextConditionerOptions {
  /** Tokens a prompt is padded and cut to (default: the tokenizer's, or what a CLIP encoder takes where that is less). */
  maxLength?: number;
  /** Bytes kept of what `encode` computed by itself; the least recently used go first (default 64 MiB). */
  cacheBytes?: number;
  /** What is done to a prompt first (default `lower`; for a CLIP encoder that was opened from its folder `none`). */
  clean?: PromptCleaning | ((prompt: string) => string);
}

export interface EncodeAllOptions {
  /** Called as the work goes on: layers of a streamed encoder, prompts otherwise. Throwing stops the work. */
  onProgress?: (done: number, total: number) => void;
}

/** Lower case without surrounding space. */
export const cleanPrompt = (prompt: string): string => textPreprocessing(prompt, { clean: false });

const CLEANINGS: Record<PromptCleaning, (prompt: string) => string> = {
  lower: cleanPrompt,
  caption: prompt => textPreprocessing(prompt, { clean: true }),
  none: prompt => prompt,
};

/** What a cleaning does to a prompt. */
export const promptCleaning = (name: PromptCleaning): ((prompt: string) => string) => CLEANINGS[name];

/** What each family's pipelines do to prompts unless told otherwise. */
export const FAMILY_CLEANING: Record<TextFamily, PromptCleaning> = { t5: 'lower', clip: 'none' };

/** Share of the free memory that prepared prompts may take. */
const MEMORY_SHARE = 0.8;

/** What training needs of it: an encoder, or embeddings that were computed before. */
export type TextSource = Pick<
  TextConditioner,
  'maxLength' | 'width' | 'streamed' | 'encodeAll' | 'encode' | 'forget' | 'dispose'
>;

/** Encodes prompts with a frozen text encoder. The empty string is the unconditional prompt. */
export class TextConditioner {
  /** Tokens a prompt becomes: the L of [B, L, D]. */
  readonly maxLength: number;
  /** Width of the embeddings: the D of [B, L, D]. */
  readonly width: number;
  /** Cleaned prompt -> [L, D] row-major; in JavaScript's memory, so that a GPU's is left to the UNet. */
  private readonly prepared = new Map<string, Float32Array>();
  private readonly recent = new Map<string, Float32Array>(); // least recently used first
  private readonly capacity: number;
  private readonly clean: (prompt: string) => string;

  /** Takes over `encoder`: `dispose` frees it. */
  constructor(
    private readonly encoder: TextEncoder | StreamedTextEncoder,
    private readonly tokenizer: Tokenizer,
    { maxLength, cacheBytes = 64 * 2 ** 20, clean = 'lower' }: TextConditionerOptions = {},
  ) {
    this.maxLength = maxLength ?? tokenizer.maxLength;
    this.width = encoder.width;
    this.capacity = Math.max(1, Math.floor(cacheBytes / this.bytesEach));
    this.clean = typeof clean === 'function' ? clean : CLEANINGS[clean];
  }

  /**
   * Opens a T5 or CLIP text encoder and its tokenizer. A T5 of more than 2 GB as float32 stays on disk and is read layer by
   * layer (`stream`); then `encodeAll` must come before `encode`.
   * @param folders a pipeline folder (`text_encoder/`, `tokenizer/`), or the two folders
   * @throws InputError when either is missing, broken or of a kind that is not supported, or they do not belong together
   */
  static async fromPretrained(
    folders: string | TextFolders,
    { stream, variant, ...options }: TextConditionerOptions & OpenTextOptions = {},
  ): Promise<TextConditioner> {
    const found = typeof folders === 'string' ? textFoldersIn(folders) : folders;
    const { family, encoder, tokenizer, limit } = await openTextEncoder(found, { stream, variant });
    const maxLength = options.maxLength ?? Math.min(limit, tokenizer.maxLength);
    if (maxLength > limit) {
      encoder.dispose();
      throw new InputError(
        `maxLength is ${maxLength}, but the CLIP text encoder ${found.encoder} takes at most ${limit} tokens.`,
        { code: 'text.max-length', maxLength, limit },
      );
    }
    return new TextConditioner(encoder, tokenizer, {
      ...options,
      maxLength,
      clean: options.clean ?? FAMILY_CLEANING[family],
    });
  }

  /** Whether the encoder's weights stay on disk: `encodeAll` must then come before `encode`. */
  get streamed(): boolean {
    return isStreamed(this.encoder);
  }

  /** Number of prompts whose embeddings are kept. */
  get cached(): number {
    return this.prepared.size + this.recent.size;
  }

  /**
   * Prepares prompts for `encode`, and keeps them until `forget` or `dispose`. A streamed encoder reads its layers once for
   * all of them (more often only for hundreds), so give it everything that will be needed: captions, validation prompts,
   * negative prompts, the empty one.
   * @throws InputError when their embeddings would not fit in memory
   */
  async encodeAll(prompts: Iterable<string>, { onProgress }: EncodeAllOptions = {}): Promise<void> {
    const missing: string[] = [];
    for (const key of new Set([...prompts].map(this.clean))) {
      if (this.prepared.has(key)) continue;
      const known = this.recent.get(key);
      if (known) this.prepared.set(key, known);
      else missing.push(key);
      this.recent.delete(key);
    }
    if (missing.length === 0) return;
    this.checkRoom(missing.length);
    if (isStreamed(this.encoder)) {
      const batch = this.tokenizer.encode(missing, { maxLength: this.maxLength });
      const embeddings = await this.encoder.encode(batch, { onLayer: onProgress });
      for (const [i, key] of missing.entries()) this.prepared.set(key, embeddings[i]!);
      return;
    }
    for (const [i, key] of missing.entries()) {
      this.prepared.set(key, this.compute(this.encoder, key));
      onProgress?.(i + 1, missing.length);
      await breathe();
    }
  }

  /**
   * Every prompt is encoded by itself, so its embedding does not depend on its company in a batch to the last bit (a
   * resumed run, whose cache is empty, must see the same numbers).
   * @returns [B, L, D]; the caller's to dispose
   * @throws WorkError when the encoder is streamed and a prompt was not given to `encodeAll`
   */
  encode(prompts: readonly string[]): Tensor {
    const keys = prompts.map(this.clean);
    const size = this.maxLength * this.width;
    const batch = new Float32Array(keys.length * size);
    for (const [i, key] of keys.entries()) batch.set(this.embedding(key), i * size);
    for (const key of this.recent.keys()) {
      if (this.recent.size <= this.capacity) break;
      this.recent.delete(key);
    }
    return tf.tensor(batch, [keys.length, this.maxLength, this.width]);
  }

  /** Drops all embeddings, those of `encodeAll` too. */
  forget(): void {
    this.prepared.clear();
    this.recent.clear();
  }

  /** Frees the encoder and the embeddings. */
  dispose(): void {
    this.forget();
    this.encoder.dispose();
  }

  private get bytesEach(): number {
    return 4 * this.maxLength * this.width;
  }

  /** [L, D], prepared, from the cache, or into it. */
  private embedding(key: string): Float32Array {
    const prepared = this.prepared.get(key);
    if (prepared) return prepared;
    const hit = this.recent.get(key);
    this.recent.delete(key); // and set again below: last in the map's order
    const embedding = hit ?? this.compute(this.encoder, key);
    this.recent.set(key, embedding);
    return embedding;
  }

  private compute(encoder: TextEncoder | StreamedTextEncoder, key: string): Float32Array {
    if (isStreamed(encoder)) {
      throw new WorkError(
        `The prompt ${JSON.stringify(key)} is not encoded yet. This text encoder is read from disk layer by layer, which takes ` +
          'long: call "await text.encodeAll(prompts)" once with all prompts, then encode.',
        { code: 'text.not-prepared', prompt: key },
      );
    }
    const { inputIds, attentionMask, shape } = this.tokenizer.encode([key], { maxLength: this.maxLength });
    return tf.tidy(() => {
      const ids = tf.tensor(inputIds, shape, 'int32');
      const mask = tf.tensor(attentionMask, shape, 'int32');
      return encoder.forward(ids, mask).dataSync() as Float32Array;
    });
  }

  /** @throws InputError when `count` more embeddings would not fit in memory */
  private checkRoom(count: number): void {
    const bytes = count * this.bytesEach;
    const { available } = readMemory();
    if (bytes <= MEMORY_SHARE * available) return;
    throw new InputError(
      `The embeddings of ${count} prompts take ${formatBytes(bytes)}, but only ${formatBytes(available)} of memory are free. ` +
        'Use fewer different prompts, or encode them in parts, with forget() in between.',
      { code: 'text.too-many', count, bytes, available },
    );
  }
}
