/** Unigram segmentation as SentencePiece does it (google/sentencepiece, src/unigram_model.cc, `EncodeOptimized`). */
import { PIECE_TYPE, type SentencePieceModel } from './sentencepiece-model.js';
import { SentencePieceNormalizer } from './sentencepiece-normalizer.js';

/** How much less likely an unknown character is than the least likely piece, in log probability. */
const UNKNOWN_PENALTY = 10;
/** The smallest normal 32-bit number, where the search for the largest score begins there. */
const SMALLEST_FLOAT = 2 ** -126;

/** A part of a normalised text; neighbouring unknown characters make one. */
export interface Piece {
  piece: string;
  id: number;
}

export class SentencePiece {
  /** Ids of all pieces, those that texts cannot produce (`</s>`) included. */
  readonly ids: ReadonlyMap<string, number>;
  readonly unknownId: number;
  private readonly normalizer: SentencePieceNormalizer;
  private readonly scores: ReadonlyMap<string, [id: number, score: number]>;
  private readonly unknownScore: number;
  private readonly longest: number; // characters of the longest piece
  private readonly byteFallback: boolean;

  /** @throws InputError when the model's normalisation rules are broken */
  constructor(model: SentencePieceModel, where: string) {
    const { pieces } = model;
    const { NORMAL, USER_DEFINED } = PIECE_TYPE; // of the others, none comes out of a text
    const normal = pieces.filter(({ type }) => type === NORMAL).map(({ score }) => score);
    const smallest = normal.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    const largest = normal.reduce((a, b) => Math.max(a, b), SMALLEST_FLOAT);
    // user-defined pieces score so high that they win against any other way
    const score = ({ piece, type, score }: (typeof pieces)[number]) =>
      type === USER_DEFINED ? Math.fround(Buffer.byteLength(piece) * largest) - 0.1 : score;
    this.ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
    this.scores = new Map(
      pieces.flatMap((entry, id) =>
        entry.type === NORMAL || entry.type === USER_DEFINED ? [[entry.piece, [id, score(entry)]]] : [],
      ),
    );
    this.longest = [...this.scores.keys()].reduce((longest, piece) => Math.max(longest, Array.from(piece).length), 1);
    this.unknownId = model.unknownId;
    this.unknownScore = Math.fround(smallest - UNKNOWN_PENALTY);
    this.byteFallback = model.byteFallback;
    const symbols = pieces.filter(({ type }) => type === USER_DEFINED).map(({ piece }) => piece);
    this.normalizer = new SentencePieceNormalizer(model.normalizer, model.whitespaceAsSuffix, symbols, where);
  }

  /** The most likely division of a text into pieces. */
  encode(text: string): Piece[] {
    const pieces: Piece[] = [];
    let afterUnknown = false;
    for (const found of this.segment(this.normalizer.normalize(text))) {
      const unknown = found.id === this.unknownId;
      if (unknown && this.byteFallback) pieces.push(...this.bytes(found.piece));
      else if (unknown && afterUnknown) pieces.at(-1)!.piece += found.piece;
      else pieces.push(found);
      afterUnknown = unknown;
    }
    return pieces;
  }

  /**
   * Viterbi's search. Sums are rounded to 32 bits before they are compared, so that ties fall as in version 0.2.3;
   * versions up to 0.2.1 rounded afterwards (other ids for 21 of 3,625 random texts under a model with many equal scores).
   */
  private segment(text: string): Piece[] {
    const bounds = [0]; // UTF-16 places between characters
    for (const char of text) bounds.push(bounds.at(-1)! + char.length);
    const length = bounds.length - 1;
    const best = new Float32Array(length + 1); // of the ways that end here
    const from = new Int32Array(length + 1).fill(-1);
    const ids = new Int32Array(length + 1);
    const offer = (start: number, end: number, id: number, sum: number) => {
      if (from[end] !== -1 && sum <= best[end]!) return;
      best[end] = sum;
      from[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < length; start++) {
      const last = Math.min(length, start + this.longest);
      for (let end = start + 1; end <= last; end++) {
        const entry = this.scores.get(text.slice(bounds[start], bounds[end]));
        if (entry) offer(start, end, entry[0], Math.fround(entry[1] + best[start]!));
        else if (end === start + 1) {
          offer(start, end, this.unknownId, Math.fround(this.unknownScore + best[start]!));
        }
      }
    }
    const pieces: Piece[] = [];
    for (let end = length; end > 0; end = from[end]!) {
      pieces.push({ piece: text.slice(bounds[from[end]!], bounds[end]), id: ids[end]! });
    }
    return pieces.reverse();
  }

  private bytes(text: string): Piece[] {
    return Array.from(Buffer.from(text), byte => {
      const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
      return { piece, id: this.ids.get(piece) ?? this.unknownId };
    });
  }
}
