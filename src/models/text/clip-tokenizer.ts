/** CLIP's tokenizer from bare `vocab.json` and `merges.txt`: byte-level byte-pair encoding (openai/CLIP, simple_tokenizer.py). */
import { InputError } from '../../errors.js';
import type { JsonObject } from '../weights/pretrained.js';
import { basicText, type ClipText, ftfyText } from './clip-tokenizer-text.js';
import { surround, type TokenEncoder } from './tokenizer-encoder.js';
import { addedTokens, assignIds, TokenSplitter, tokenText } from './tokenizer-special.js';

const START = '<|startoftext|>';
const END = '<|endoftext|>';
const END_OF_WORD = '</w>';
const KEPT_WORDS = 10_000;

/**
 * Words of a lower-case text: the special tokens, English contractions, letters, single digits, other characters. As
 * Python's pattern ignores case, "ſ" is an "s" there, and U+0345, a mark whose capital is a letter, is in no word.
 */
const WORDS =
  /<\|startoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|(?:(?!\u0345)[^\p{White_Space}\p{L}\p{N}])+/gu;

/** A visible character for each byte: itself where it is one in Latin-1, else one from U+0100 on, in order. */
const BYTE_CHARACTERS = (() => {
  const visible = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(visible(byte) ? byte : next++));
})();

export interface ClipTokenizerFiles {
  /** Contents of `vocab.json`. */
  vocab: JsonObject;
  /** Contents of `merges.txt`: two tokens a line, those merged first above. */
  merges: string;
  /** The files beside them, merged (`mergeConfigs`). */
  config: JsonObject;
}

/**
 * Gives the ids of `CLIPTokenizer` of transformers 4.29.1 (the slow one): `<|startoftext|>`, the text, `<|endoftext|>`.
 * As there, special tokens are found in texts: where "!" is the padding token (Stable Diffusion 2, zeroscope), every "!"
 * of a text becomes its id, 0, and not that of the word "!".
 *
 * Differs where `repairMojibake` differs from ftfy, and on characters that only Python's or only Node's edition of
 * Unicode knows: of 4,035 random texts without such characters two have other ids after `ftfy`, none after `basic`.
 */
export class ClipTokenEncoder implements TokenEncoder {
  readonly vocabSize: number;
  private readonly vocab: Map<string, number>;
  private readonly ranks: Map<string, number>;
  private readonly splitter: TokenSplitter;
  private readonly startId: number;
  private readonly endId: number;
  private readonly unknownId: number;
  private readonly prepare: (text: string) => string;
  private readonly words = new Map<string, number[]>();

  /**
   * @param where the folder, for messages
   * @throws InputError when the merges do not fit the vocabulary, or a special token is missing in it
   */
  constructor(
    { vocab, merges, config }: ClipTokenizerFiles,
    private readonly where: string,
    text: ClipText = 'ftfy',
  ) {
    this.vocab = readVocabulary(vocab, where);
    this.ranks = readMerges(merges, this.vocab, where);
    this.prepare = text === 'ftfy' ? ftfyText : basicText;
    const start = { content: START, lstrip: false, rstrip: false };
    const end = { ...start, content: END };
    const { bos_token = start, eos_token = end, unk_token = end, pad_token = END } = config;
    const needed = { bos_token, eos_token, unk_token, pad_token };
    const tokens = addedTokens({ ...config, ...needed });
    const vocabulary = {
      idOf: (token: string) => this.vocab.get(token),
      add: (token: string, id: number) => this.vocab.set(token, id),
    };
    const size = [...this.vocab.values()].reduce((most, id) => Math.max(most, id + 1), 0);
    this.vocabSize = assignIds(tokens, vocabulary, size, needed, where);
    const id = (token: unknown) => this.vocab.get(String(tokenText(token)))!;
    [this.startId, this.endId, this.unknownId] = [id(bos_token), id(eos_token), id(unk_token)];
    this.splitter = new TokenSplitter(tokens.map(token => ({ ...token, id: id(token.content) })));
  }

  idOf(token: string): number | undefined {
    return this.vocab.get(token);
  }

  encode(text: string, limit = Number.POSITIVE_INFINITY): number[] {
    const ids = this.splitter.split(text).flatMap(part => {
      if ('id' in part) return [part.id];
      return (this.prepare(part.text).match(WORDS) ?? []).flatMap(word => this.wordIds(word));
    });
    return surround([this.startId], ids, [this.endId], limit, this.where);
  }

  private wordIds(word: string): number[] {
    const known = this.words.get(word);
    if (known) return known;
    const tokens = word === START || word === END ? [word] : this.merge(word);
    const ids = tokens.map(token => this.vocab.get(token) ?? this.unknownId);
    if (this.words.size >= KEPT_WORDS) this.words.clear();
    this.words.set(word, ids);
    return ids;
  }

  /** The word's bytes, the pair that comes first among the merges joined everywhere, again and again. */
  private merge(word: string): string[] {
    let tokens = Array.from(Buffer.from(word), byte => BYTE_CHARACTERS[byte]!);
    tokens.push(tokens.pop()! + END_OF_WORD);
    const rank = (i: number) => this.ranks.get(`${tokens[i]} ${tokens[i + 1]}`) ?? Number.POSITIVE_INFINITY;
    while (tokens.length > 1) {
      let first = 0;
      for (let i = 1; i + 1 < tokens.length; i++) if (rank(i) < rank(first)) first = i;
      if (rank(first) === Number.POSITIVE_INFINITY) break;
      const [a, b] = [tokens[first], tokens[first + 1]];
      const merged: string[] = [];
      for (let i = 0; i < tokens.length; i++) {
        if (tokens[i] === a && tokens[i + 1] === b) merged.push(tokens[i]! + tokens[++i]!);
        else merged.push(tokens[i]!);
      }
      tokens = merged;
    }
    return tokens;
  }
}

function readVocabulary(vocab: JsonObject, where: string): Map<string, number> {
  for (const [token, id] of Object.entries(vocab)) {
    if (Number.isInteger(id) && (id as number) >= 0) continue;
    throw new InputError(
      `vocab.json of ${where} must give every token an id from 0 on; "${token}" has ${JSON.stringify(id)}. ` +
        'Download the tokenizer folder again.',
      { code: 'tokenizer.vocab', where, token },
    );
  }
  return new Map(Object.entries(vocab as Record<string, number>));
}

function readMerges(text: string, vocab: ReadonlyMap<string, number>, where: string): Map<string, number> {
  const ranks = new Map<string, number>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#version')) continue;
    const pair = line.split(' ');
    const unknown = pair.length === 2 ? [...pair, pair.join('')].find(token => !vocab.has(token)) : undefined;
    if (pair.length !== 2 || unknown !== undefined) {
      const why = unknown === undefined ? 'is not two tokens' : `needs the token "${unknown}", which vocab.json lacks`;
      throw new InputError(
        `merges.txt of ${where} does not fit its vocab.json: line ${i + 1}, "${line.slice(0, 60)}", ${why}. ` +
          'Use the two files of one model.',
        { code: 'tokenizer.merges', where, line: i + 1 },
      );
    }
    if (!ranks.has(line)) ranks.set(line, ranks.size);
  }
  return ranks;
}
