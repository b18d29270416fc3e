/** Embeddings of captions, read from a cache one by one: no text encoder is in memory. */
import { ByteCache } from '../../data/cache.js';
import { type Tensor, tf } from '../../engine/index.js';
import { WorkError } from '../../errors.js';
import { keyOf } from '../../infer/stage-cache.js';
import { type PromptCleaning, promptCleaning, type TextSource } from '../../models/text/index.js';
import { notCached, readIndex, requireSection, type Wanted } from './record.js';
import { ShardReader } from './shard-reader.js';

/** Name of a caption's tensor [L, D]. */
export const captionName = (cleaned: string): string => keyOf(cleaned).slice(0, 32);

export interface TextIndex {
  /** Tokens of each caption that are its own; the rest of its [L, D] belongs to padding. */
  tokens: Record<string, number>;
}

export interface CachedTextOptions {
  /** Bytes kept in memory; the least recently used go first (default 64 MiB). */
  cacheBytes?: number;
}

export class CachedText implements TextSource {
  readonly maxLength: number;
  readonly width: number;
  readonly streamed = false;
  private readonly clean: (prompt: string) => string;
  private readonly recent: ByteCache<string, Float32Array>;

  private constructor(
    private readonly wanted: Wanted,
    private readonly reader: ShardReader,
    { cacheBytes = 64 * 2 ** 20 }: CachedTextOptions,
  ) {
    const { cleaning, maxLength } = wanted.fingerprint;
    this.clean = promptCleaning(cleaning as PromptCleaning);
    this.maxLength = maxLength as number;
    this.width = reader.shapeOf(captionName(this.clean('')))[1]!;
    this.recent = new ByteCache(cacheBytes);
  }

  /**
   * Opens a complete cache that was made with the same encoder, tokenizer, length and cleaning, and holds all of `prompts`.
   * @throws InputError `cache.missing`, `cache.stale`, `cache.incomplete`, `cache.damaged`, `cache.foreign`
   */
  static open(wanted: Wanted, prompts: readonly string[], options: CachedTextOptions = {}): CachedText {
    requireSection(wanted);
    const { shards } = readIndex<TextIndex>(wanted.dir, 'text');
    const reader = new ShardReader(wanted.dir, 'text', shards);
    const clean = promptCleaning(wanted.fingerprint.cleaning as PromptCleaning);
    const distinct = [...new Set([...prompts, ''])];
    const missing = distinct.filter(prompt => !reader.has(captionName(clean(prompt))));
    if (missing.length > 0) throw notCached(wanted, missing, distinct.length);
    return new CachedText(wanted, reader, options);
  }

  /** Captions in the cache. */
  get size(): number {
    return this.reader.size;
  }

  /** @throws WorkError when one is not in the cache */
  async encodeAll(prompts: Iterable<string>): Promise<void> {
    for (const prompt of prompts) this.nameOf(prompt);
  }

  /** [B, L, D]; the caller's to dispose. @throws WorkError when a prompt is not in the cache */
  encode(prompts: readonly string[]): Tensor {
    const size = this.maxLength * this.width;
    const batch = new Float32Array(prompts.length * size);
    for (const [i, prompt] of prompts.entries()) batch.set(this.embedding(prompt), i * size);
    return tf.tensor(batch, [prompts.length, this.maxLength, this.width]);
  }

  forget(): void {
    this.recent.clear();
  }

  dispose(): void {
    this.forget();
    this.reader.close();
  }

  private nameOf(prompt: string): string {
    const name = captionName(this.clean(prompt));
    if (this.reader.has(name)) return name;
    throw new WorkError(
      `${JSON.stringify(prompt)} is not in the text cache ${this.wanted.dir}: captions and validation prompts must be there before training starts.`,
      { code: 'cache.no-caption', prompt },
    );
  }

  private embedding(prompt: string): Float32Array {
    const name = this.nameOf(prompt);
    const known = this.recent.get(name);
    if (known) return known;
    const values = this.reader.readSync(name);
    this.recent.set(name, values, values.byteLength);
    return values;
  }
}
