/** A word-level tokenizer made from captions, in Hugging Face's `tokenizer.json` format. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { JsonObject } from '../weights/pretrained.js';

/** T5's special tokens at T5's ids: the place in this list. */
export const SPECIAL_TOKENS = ['<pad>', '</s>', '<unk>'] as const;

export interface WordTokenizerOptions {
  /** Most words kept, the most frequent ones (default 30,000). */
  maxWords?: number;
  /** `model_max_length` of the config: what texts are padded and cut to unless a caller says otherwise. */
  maxLength: number;
}

/** Contents of the files of a tokenizer folder. */
export interface TokenizerFiles {
  definition: JsonObject;
  config: JsonObject;
}

/**
 * Lower-cased words and punctuation marks of `captions` become tokens, everything else `<unk>`; texts end in `</s>`.
 * Equal captions, in any order, give equal files.
 */
export function buildWordTokenizer(
  captions: Iterable<string>,
  { maxWords = 30_000, maxLength }: WordTokenizerOptions,
): TokenizerFiles {
  const config: JsonObject = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: maxLength,
    pad_token: '<pad>',
    eos_token: '</s>',
    unk_token: '<unk>',
    clean_up_tokenization_spaces: false,
  };
  const splitter = new HuggingFaceTokenizer(definition([]), config); // splits exactly as the finished one will
  const counts = new Map<string, number>();
  for (const caption of captions) {
    for (const word of splitter.tokenize(caption) as string[]) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  for (const token of SPECIAL_TOKENS) counts.delete(token);
  const byCount = ([a, m]: [string, number], [b, n]: [string, number]) => n - m || (a < b ? -1 : 1);
  const words = [...counts].sort(byCount).slice(0, maxWords);
  return { definition: definition(words.map(([word]) => word)), config };
}

function definition(words: string[]): JsonObject {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const sequence = (id: 'A' | 'B') => ({ Sequence: { id, type_id: 0 } });
  const end = { SpecialToken: { id: '</s>', type_id: 0 } };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({ id, content, ...special })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'BertPreTokenizer' }, // whitespace, then each punctuation mark by itself
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence('A'), end],
      pair: [sequence('A'), end, sequence('B'), end],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries([...SPECIAL_TOKENS, ...words].map((token, id) => [token, id])),
      unk_token: '<unk>',
    },
  };
}
