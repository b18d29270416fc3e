/** The repairs of Python's ftfy that matter for captions. */
import { unescapeClearHtml } from './caption-cleaning-entities.js';
import { repairMojibake, replaceC1 } from './caption-cleaning-mojibake.js';

const LIGATURES: Record<string, string> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
};
const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join('')}]`, 'g');
const WIDE_OR_NARROW = /[\uff01-\uffef]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape begins it
const TERMINAL_COLOUR = /\x1b\[[\p{Nd};]*[a-zA-Z]/gu;

/**
 * ftfy 6's `fix_text` with its default settings: character references (unless the line or one before holds a `<`),
 * mojibake, C1 controls, ligatures, full-width and half-width characters, curly quotes, line breaks, lone surrogates,
 * terminal colours and control characters; then Unicode's NFC. Repeated until nothing changes.
 *
 * Differs from ftfy in mojibake alone: see `repairMojibake`.
 */
export function fixText(text: string): string {
  let markup = false;
  return text
    .split(/(?<=\n)/)
    .map(line => {
      markup ||= line.includes('<');
      return fixLine(line, !markup);
    })
    .join('');
}

function fixLine(line: string, references: boolean): string {
  let before: string;
  let after = line;
  do {
    before = after;
    const text = references ? unescapeClearHtml(before) : before;
    after = replaceC1(repairMojibake(text))
      .replace(LIGATURE, c => LIGATURES[c]!)
      .replaceAll('\u3000', ' ')
      .replace(WIDE_OR_NARROW, c => c.normalize('NFKC'))
      .replace(/[“-‟]/g, '"')
      .replace(/[ʼ‘-‛]/g, "'")
      .replace(/\r\n|[\r\u2028\u2029]/g, '\n')
      .replace(/\p{Surrogate}/gu, '\ufffd')
      .replace(TERMINAL_COLOUR, '')
      .replace(CONTROL, '')
      .normalize('NFC');
  } while (after !== before);
  return after;
}
