/** `tokenizer.json`, Hugging Face's description of a whole tokenizer, run by their library. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../errors.js';
import type { JsonObject } from '../weights/pretrained.js';
import { surround, type TokenEncoder } from './tokenizer-encoder.js';
import { tokenTexts } from './tokenizer-special.js';

/** What is used of the library (its own declarations do not resolve under NodeNext). */
interface Inner {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: number[] };
  token_to_id(token: string): number | undefined;
  get_vocab(): Map<string, number>;
}

export class JsonTokenEncoder implements TokenEncoder {
  private readonly inner: Inner;

  /**
   * @param definition contents of `tokenizer.json`
   * @param config contents of `tokenizer_config.json`
   * @param where its origin, for messages
   * @throws InputError when the library cannot build it
   */
  constructor(
    definition: JsonObject,
    config: JsonObject,
    private readonly where: string,
  ) {
    try {
      this.inner = new HuggingFaceTokenizer(definition, tokenTexts(config));
    } catch (cause) {
      throw new InputError(
        `${where} cannot be used: ${(cause as Error).message}. Save it again with a fast tokenizer of transformers.`,
        { code: 'tokenizer.invalid', where },
        cause,
      );
    }
  }

  get vocabSize(): number {
    return Math.max(...this.inner.get_vocab().values()) + 1;
  }

  idOf(token: string): number | undefined {
    return this.inner.token_to_id(token);
  }

  encode(text: string, limit = Number.POSITIVE_INFINITY): number[] {
    const full = this.inner.encode(text).ids;
    if (full.length <= limit) return full;
    const own = this.inner.encode(text, { add_special_tokens: false }).ids;
    const special = full.length - own.length;
    let start = 0; // special tokens before the text
    while (start < special && !own.every((id, i) => full[start + i] === id)) start++;
    return surround(full.slice(0, start), own, full.slice(start + own.length), limit, this.where);
  }
}
