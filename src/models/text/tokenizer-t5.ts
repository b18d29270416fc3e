/** T5's tokenizer from a bare `spiece.model`. */
import type { JsonObject } from '../weights/pretrained.js';
import { SentencePiece } from './sentencepiece.js';
import { parseSentencePieceModel } from './sentencepiece-model.js';
import { surround, type TokenEncoder } from './tokenizer-encoder.js';
import { addedTokens, assignIds, TokenSplitter, tokenText } from './tokenizer-special.js';

/** Sentinel tokens that T5's vocabulary has behind its pieces. */
const EXTRA_IDS = 100;

/**
 * Gives the ids of `T5Tokenizer` of transformers 4.29.1 (the slow one, in the behaviour later called `legacy`): texts are
 * cut at special tokens, each stretch between them is encoded by itself, a `</s>` follows unless the text ends in one.
 * Behind the N pieces come `<extra_id_99>` (id N) to `<extra_id_0>` (id N + 99), then added tokens.
 */
export class T5TokenEncoder implements TokenEncoder {
  readonly vocabSize: number;
  private readonly pieces: SentencePiece;
  private readonly added = new Map<string, number>();
  private readonly splitter: TokenSplitter;
  private readonly endId: number;

  /**
   * @param model contents of `spiece.model`
   * @param config the files beside it, merged (`mergeConfigs`); `extra_ids` is the number of sentinels (default 100)
   * @param where the file, for messages
   * @throws InputError when it is no Unigram model of SentencePiece, or lacks a special token
   */
  constructor(
    model: Uint8Array,
    config: JsonObject,
    private readonly where: string,
  ) {
    this.pieces = new SentencePiece(parseSentencePieceModel(model, where), where);
    const extra = typeof config.extra_ids === 'number' ? config.extra_ids : EXTRA_IDS;
    const sentinels = Array.from({ length: extra }, (_, n) => `<extra_id_${n}>`);
    const size = this.pieces.ids.size + extra;
    for (const [n, token] of sentinels.entries()) this.added.set(token, size - 1 - n);
    const { unk_token = '<unk>', eos_token = '</s>', pad_token = '<pad>' } = config;
    const needed = { unk_token, eos_token, pad_token };
    const additional = [...sentinels, ...list(config.additional_special_tokens)];
    const tokens = addedTokens({ ...config, ...needed, additional_special_tokens: additional });
    const vocabulary = {
      idOf: (token: string) => this.idOf(token),
      add: (token: string, id: number) => this.added.set(token, id),
    };
    this.vocabSize = assignIds(tokens, vocabulary, size, needed, where);
    this.splitter = new TokenSplitter(tokens.map(token => ({ ...token, id: this.idOf(token.content)! })));
    this.endId = this.idOf(String(tokenText(eos_token)))!;
  }

  idOf(token: string): number | undefined {
    return this.added.get(token) ?? this.pieces.ids.get(token);
  }

  encode(text: string, limit = Number.POSITIVE_INFINITY): number[] {
    const ids = this.splitter
      .split(text)
      // looked up by name, as there: a run of unknown characters may spell a token that texts do not produce
      .flatMap(part =>
        'id' in part ? [part.id] : this.pieces.encode(part.text).map(({ piece }) => this.pieceId(piece)),
      );
    const own = ids.length + 1 > limit ? ids.slice(0, Math.max(0, limit - 1)) : ids;
    return surround([], own, own.at(-1) === this.endId ? [] : [this.endId], limit, this.where);
  }

  private pieceId(piece: string): number {
    return this.idOf(piece) ?? this.pieces.unknownId;
  }
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
