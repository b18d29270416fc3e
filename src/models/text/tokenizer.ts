/** Text to token ids, from the `tokenizer.json` of a Hugging Face tokenizer folder. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../errors.js';
import { type JsonObject, readJsonObject } from '../weights/pretrained.js';

/** Length that Show-1's pixel stages pad and cut prompts to. */
export const SHOW1_MAX_LENGTH = 77;

export interface TokenizerOptions {
  /** Ids a text is padded and cut to (default: 77, or the config's `model_max_length` where that is less). */
  maxLength?: number;
}

/** A batch of token ids, row-major [B, L]. */
export interface TokenBatch {
  inputIds: Int32Array;
  /** 1 for a text's own tokens, 0 for padding. */
  attentionMask: Int32Array;
  shape: [number, number];
}

/** What is used of the library (its own declarations do not resolve under NodeNext). */
interface Inner {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: number[] };
  token_to_id(token: string): number | undefined;
  get_vocab(): Map<string, number>;
}

export class Tokenizer {
  readonly maxLength: number;
  readonly padId: number;

  /**
   * @param definition contents of `tokenizer.json`
   * @param config contents of `tokenizer_config.json` (which names the special tokens), where there is one
   * @param where its origin, for messages
   * @throws InputError when the library cannot build it, or the padding token is not in the vocabulary
   */
  constructor(
    readonly definition: JsonObject,
    readonly config: JsonObject = {},
    { maxLength }: TokenizerOptions = {},
    private readonly where = 'the tokenizer',
  ) {
    const own = config.model_max_length;
    this.maxLength = maxLength ?? (typeof own === 'number' ? Math.min(own, SHOW1_MAX_LENGTH) : SHOW1_MAX_LENGTH);
    try {
      this.inner = new HuggingFaceTokenizer(definition, withSpecialTokens(config));
    } catch (cause) {
      throw new InputError(
        `${where} cannot be used: ${(cause as Error).message}. Save it again with a fast tokenizer of transformers.`,
        { code: 'tokenizer.invalid', where },
        cause,
      );
    }
    this.padId = this.specialId('pad_token', '<pad>');
  }

  private readonly inner: Inner;

  /**
   * Reads a tokenizer folder: `tokenizer.json`, and `tokenizer_config.json` or `special_tokens_map.json`.
   * @throws InputError listing what was looked for and what is there
   */
  static fromPretrained(dir: string, options: TokenizerOptions = {}): Tokenizer {
    const file = join(dir, 'tokenizer.json');
    if (!existsSync(file)) throw notFound(dir);
    const optional = (name: string, what: string) =>
      existsSync(join(dir, name)) ? readJsonObject(join(dir, name), what) : {};
    const config = {
      ...optional('special_tokens_map.json', "the tokenizer's special tokens"),
      ...optional('tokenizer_config.json', "the tokenizer's config"),
    };
    return new Tokenizer(readJsonObject(file, 'the tokenizer'), config, options, file);
  }

  /** Number of ids: one more than the largest. */
  get vocabSize(): number {
    return Math.max(...this.inner.get_vocab().values()) + 1;
  }

  /** A text's ids with its special tokens, neither padded nor cut. */
  ids(text: string): number[] {
    return this.inner.encode(text).ids;
  }

  /**
   * Ids of `texts`, each cut to the maximum length (its special tokens, as the final `</s>`, are kept) and padded to it.
   * @returns ids and mask, [B, L]
   */
  encode(texts: readonly string[], { maxLength = this.maxLength }: TokenizerOptions = {}): TokenBatch {
    const inputIds = new Int32Array(texts.length * maxLength).fill(this.padId);
    const attentionMask = new Int32Array(texts.length * maxLength);
    for (const [row, text] of texts.entries()) {
      const ids = this.cut(text, maxLength);
      const unknown = ids.findIndex(id => !Number.isInteger(id));
      if (unknown >= 0) {
        throw new InputError(`${this.where} has no id for a token of "${text}" and no unknown token to use instead.`, {
          code: 'tokenizer.no-unknown',
          text,
        });
      }
      inputIds.set(ids, row * maxLength);
      attentionMask.fill(1, row * maxLength, row * maxLength + ids.length);
    }
    return { inputIds, attentionMask, shape: [texts.length, maxLength] };
  }

  private cut(text: string, maxLength: number): number[] {
    const full = this.inner.encode(text).ids;
    if (full.length <= maxLength) return full;
    const plain = this.inner.encode(text, { add_special_tokens: false }).ids;
    const special = full.length - plain.length;
    if (special > maxLength) {
      throw new InputError(
        `maxLength ${maxLength} leaves no room for the ${special} special tokens of ${this.where}.`,
        {
          code: 'tokenizer.max-length',
          maxLength,
        },
      );
    }
    let start = 0; // special tokens before the text
    while (start < special && !plain.every((id, i) => full[start + i] === id)) start++;
    const after = full.slice(start + plain.length);
    return [...full.slice(0, start), ...plain.slice(0, maxLength - special), ...after];
  }

  private specialId(key: string, fallback: string): number {
    const token = (withSpecialTokens(this.config)[key] as string | undefined) ?? fallback;
    const id = this.inner.token_to_id(token);
    if (id !== undefined) return id;
    throw new InputError(
      `${this.where} has no token "${token}" (${key}). Name the right one in tokenizer_config.json beside it.`,
      { code: 'tokenizer.special-token', key, token },
    );
  }
}

/** Configs write a special token as its text, or as an object that holds the text. */
function withSpecialTokens(config: JsonObject): JsonObject {
  const text = (value: unknown) =>
    typeof value === 'object' && value !== null && 'content' in value ? value.content : value;
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, key.endsWith('_token') ? text(value) : value]),
  );
}

function notFound(dir: string): InputError {
  const names = existsSync(dir) ? readdirSync(dir).sort() : null;
  const convertible = names?.some(name => ['spiece.model', 'vocab.json'].includes(name));
  const found = names
    ? `It holds ${names.length ? names.slice(0, 12).join(', ') : 'nothing'}.`
    : 'There is no such folder.';
  const convert =
    `Make one with: python3 -c 'from transformers import AutoTokenizer; ` +
    `AutoTokenizer.from_pretrained(${JSON.stringify(dir)}).save_pretrained(${JSON.stringify(dir)})'`;
  return new InputError(
    `No tokenizer in ${dir}: looked for tokenizer.json (with tokenizer_config.json or special_tokens_map.json). ` +
      `${found}${convertible ? ` ${convert}` : ' Download the tokenizer folder of the model.'}`,
    { code: 'tokenizer.not-found', dir },
  );
}
