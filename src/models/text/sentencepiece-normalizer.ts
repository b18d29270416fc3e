/** SentencePiece's text normalisation (google/sentencepiece, src/normalizer.cc), byte by byte as there. */
import { InputError } from '../../errors.js';
import type { NormalizerSpec } from './sentencepiece-model.js';

const SPACE = 0x20;
/** U+2581, which stands for a space in pieces. */
export const SPACE_MARK = '▁';
const MARK = [0xe2, 0x96, 0x81];

/** Replacement rules: the longest one that a text begins with counts. */
interface CharsMap {
  /** A double-array trie over UTF-8 bytes (s-yata/darts-clone). */
  units: Uint32Array;
  /** Replacements, each ended by a zero byte; the trie's values are places in it. */
  targets: Uint8Array;
}

/** @throws InputError when the blob does not hold what it says */
function readCharsMap(blob: Uint8Array, where: string): CharsMap | null {
  if (blob.length === 0) return null;
  const size = blob.length > 4 ? new DataView(blob.buffer, blob.byteOffset).getUint32(0, true) : 0;
  if (size === 0 || size % 4 !== 0 || size + 4 >= blob.length) {
    throw new InputError(`The normalisation rules in ${where} are broken. Download the tokenizer folder again.`, {
      code: 'tokenizer.charsmap',
      where,
    });
  }
  const units = new Uint32Array(Uint8Array.from(blob.subarray(4, 4 + size)).buffer); // a copy: aligned
  return { units, targets: blob.subarray(4 + size) };
}

/** The longest rule for what stands at `at`: its length and its replacement; length 0 when there is none. */
function longestRule({ units, targets }: CharsMap, bytes: Uint8Array, at: number): [number, Uint8Array] {
  const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let length = 0;
  let value = 0;
  let node = offset(units[0]!);
  for (let i = at; i < bytes.length; i++) {
    node ^= bytes[i]!;
    const unit = units[node];
    // the top bit marks a value: those match no byte
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== bytes[i]) break;
    node ^= offset(unit);
    if ((unit >>> 8) & 1) {
      length = i + 1 - at;
      value = units[node]! & 0x7fffffff;
    }
  }
  return [length, targets.subarray(value, targets.indexOf(0, value))];
}

const utf8Length = (lead: number) => (lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);

/**
 * Replaces characters by the model's rules (for T5: NFKC and white space), reduces runs of spaces to one, drops those
 * at the ends and marks the others, and one before the text, with `▁`, each as far as the model says so.
 */
export class SentencePieceNormalizer {
  private readonly map: CharsMap | null;
  private readonly symbols: Uint8Array[];

  /** @param symbols user-defined pieces, which rules leave alone */
  constructor(
    private readonly spec: NormalizerSpec,
    private readonly whitespaceAsSuffix: boolean,
    symbols: readonly string[],
    where: string,
  ) {
    this.map = readCharsMap(spec.precompiledCharsmap, where);
    this.symbols = symbols.map(symbol => Buffer.from(symbol)).sort((a, b) => b.length - a.length);
  }

  normalize(text: string): string {
    const { removeExtraWhitespaces: tidy, addDummyPrefix } = this.spec;
    const mark = this.spec.escapeWhitespaces ? MARK : [SPACE];
    const bytes = Buffer.from(text);
    let at = 0;
    if (tidy) {
      for (; at < bytes.length; ) {
        const [length, target] = this.next(bytes, at);
        if (target.length !== 1 || target[0] !== SPACE) break;
        at += length;
      }
    }
    if (at === bytes.length) return '';
    const out: number[] = [];
    if (addDummyPrefix && !this.whitespaceAsSuffix) out.push(...mark);
    let afterSpace = tidy;
    while (at < bytes.length) {
      const [length, target] = this.next(bytes, at);
      at += length;
      let start = 0;
      while (afterSpace && target[start] === SPACE) start++;
      for (const byte of target.subarray(start)) {
        if (byte === SPACE) out.push(...mark);
        else out.push(byte);
      }
      if (start < target.length) afterSpace = tidy && target.at(-1) === SPACE;
    }
    const endsInMark = () => mark.every((byte, i) => out[out.length - mark.length + i] === byte);
    while (tidy && out.length >= mark.length && endsInMark()) out.length -= mark.length;
    if (addDummyPrefix && this.whitespaceAsSuffix) out.push(...mark);
    return Buffer.from(out).toString();
  }

  /** What stands at `at`: how many bytes it takes, and what they become. */
  private next(bytes: Buffer, at: number): [number, Uint8Array] {
    const symbol = this.symbols.find(s => bytes.subarray(at, at + s.length).equals(s));
    if (symbol) return [symbol.length, symbol];
    if (this.map) {
      const rule = longestRule(this.map, bytes, at);
      if (rule[0] > 0) return rule;
    }
    const length = utf8Length(bytes[at]!);
    return [length, bytes.subarray(at, at + length)];
  }
}
