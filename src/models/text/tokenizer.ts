/** Texts to padded token ids. */
import { InputError } from '../../errors.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { ClipText } from './clip-tokenizer-text.js';
import { specialId, type TokenEncoder } from './tokenizer-encoder.js';
import { openTokenizer } from './tokenizer-files.js';
import { JsonTokenEncoder } from './tokenizer-json.js';
import { tokenText } from './tokenizer-special.js';

/** Length that Show-1's pixel stages pad and cut prompts to. */
export const SHOW1_MAX_LENGTH = 77;

export interface TokenizerOptions {
  /** Ids a text is padded and cut to (default: 77, or the config's `model_max_length` where that is less). */
  maxLength?: number;
}

export interface PretrainedTokenizerOptions extends TokenizerOptions {
  /** For bare `vocab.json` and `merges.txt`: how texts are prepared (default `ftfy`). */
  clipText?: ClipText;
}

/** A batch of token ids, row-major [B, L]. */
export interface TokenBatch {
  inputIds: Int32Array;
  /** 1 for a text's own tokens, 0 for padding. */
  attentionMask: Int32Array;
  shape: [number, number];
}

export class Tokenizer {
  readonly maxLength: number;
  readonly padId: number;
  private readonly encoder: TokenEncoder;

  /**
   * @param source contents of `tokenizer.json`, or what makes ids of texts
   * @param config contents of `tokenizer_config.json` (which names the special tokens), where there is one
   * @param where its origin, for messages
   * @throws InputError when the library cannot build it, or the padding token is not in the vocabulary
   */
  constructor(
    source: JsonObject | TokenEncoder,
    readonly config: JsonObject = {},
    { maxLength }: TokenizerOptions = {},
    private readonly where = 'the tokenizer',
  ) {
    const own = config.model_max_length;
    this.maxLength = maxLength ?? (typeof own === 'number' ? Math.min(own, SHOW1_MAX_LENGTH) : SHOW1_MAX_LENGTH);
    this.encoder = isEncoder(source) ? source : new JsonTokenEncoder(source, config, where);
    this.padId = specialId(this.encoder, 'pad_token', String(tokenText(config.pad_token ?? '<pad>')), where);
  }

  /**
   * Reads a tokenizer folder: `tokenizer.json`, else `spiece.model` (T5), else `vocab.json` and `merges.txt` (CLIP), each
   * with `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` where they are. The last two formats
   * give the ids of transformers 4.29.1's slow tokenizers; `tokenizer.json` is run by Hugging Face's JavaScript library.
   * @throws InputError listing what was looked for and what is there, or saying what is wrong with a file
   */
  static fromPretrained(dir: string, { clipText, ...options }: PretrainedTokenizerOptions = {}): Tokenizer {
    const { encoder, config, padToken, where } = openTokenizer(dir, clipText);
    return new Tokenizer(encoder, { ...config, pad_token: padToken }, options, where);
  }

  /** Number of ids: one more than the largest. */
  get vocabSize(): number {
    return this.encoder.vocabSize;
  }

  /** The id of a token, special and added ones included. */
  idOf(token: string): number | undefined {
    return this.encoder.idOf(token);
  }

  /** A text's ids with its special tokens, neither padded nor cut. */
  ids(text: string): number[] {
    return this.encoder.encode(text);
  }

  /**
   * Ids of `texts`, each cut to the maximum length (its special tokens, as the final `</s>`, are kept) and padded to it.
   * @returns ids and mask, [B, L]
   */
  encode(texts: readonly string[], { maxLength = this.maxLength }: TokenizerOptions = {}): TokenBatch {
    const inputIds = new Int32Array(texts.length * maxLength).fill(this.padId);
    const attentionMask = new Int32Array(texts.length * maxLength);
    for (const [row, text] of texts.entries()) {
      const ids = this.encoder.encode(text, maxLength);
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
}

const isEncoder = (source: JsonObject | TokenEncoder): source is TokenEncoder => typeof source.encode === 'function';
