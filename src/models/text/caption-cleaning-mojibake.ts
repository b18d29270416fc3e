/**
 * Repair of UTF-8 that was read as Windows-1252 or Latin-1 ("schÃ¶n" for "schön").
 *
 * The ideas are those of Python's ftfy (rspeer/python-ftfy): a text is suspicious where characters stand side by side
 * that hardly any language writes so; then it, or its suspicious parts, are read again as UTF-8. ftfy also knows eight
 * more encodings, bytes that were lost on the way, CESU-8, and finer classes of characters; "Ã…land" it leaves alone.
 * Names of regions and languages in 45 languages: of 1,932 sound ones none is changed, and of as many that went wrong
 * 98 to 100 % (in five ways) come out as from ftfy 6.3.1.
 */

/** Windows-1252 for bytes 0x80 to 0x9f; five of them are not assigned and stay C1 controls. */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';
const BYTES = new Map(Array.from(WINDOWS_1252, (char, i) => [char, 0x80 + i]));

/** The character of a byte from 0x80 to 0x9f in Windows-1252. */
export const windows1252 = (byte: number): string => WINDOWS_1252[byte - 0x80]!;

/** C1 control characters as the Windows-1252 characters that their bytes mostly were. */
export const replaceC1 = (text: string): string => text.replace(/[\x80-\x9f]/g, c => windows1252(c.charCodeAt(0)));

/** A character whose byte continues a UTF-8 sequence. */
const C = `[\\x80-\\xbf${WINDOWS_1252}]`;
/**
 * Neighbouring sequences whose bytes look like one UTF-8 character each. A space may stand for byte A0 (a no-break space
 * that something made plain) where likely characters come of it; of four bytes only emoji and tags are likely.
 */
const SEQUENCE = `(?:[ÂÃÅÎÐÙ] |[Â-ß]${C}|[âã] ${C}|[à-ã]${C} |[à-ï]${C}{2}|[ðó]${C}{3})+`;
const SEQUENCES = new RegExp(SEQUENCE, 'g');
/** Those that do not go on from what looks like the rest of another one. */
const PARTS = new RegExp(`(?<![\\x80-\\xbfŠšŽžŸŒœƒˆ˜†‡‰‹›€™])${SEQUENCE}`, 'g');

/** Characters by what stands beside them in real texts; some letters are left out, as faces ("°ö°") are made of them. */
const UPPER = 'À-ÑØÜÝŒŠŽŸ';
const LOWER = 'ßà-ñüœšž';
const RARE = '¤¦¨ª¬¯¸ºƒˆ˜†‡‰';
const MONEY = '¢£¥€';
const NUMERIC = '±-³µ¹¼-¾×÷';
const OPEN = '¡«¿©‘‚“„•‹';
const CLOSE = '®»”›™';
/** What makes a text suspicious: combinations that hardly any language writes. */
const SUSPICIOUS = new RegExp(
  [
    '[\\x80-\\x9f]',
    `[ÂÃ]${C}`,
    '(?:^|[a-z]\\s?)[ÂÃ] ',
    'â€',
    'ðŸ',
    `[${UPPER}${LOWER}${RARE}${MONEY}${NUMERIC}${OPEN}${CLOSE}§¶][${RARE}]`,
    `[${RARE}][${UPPER}${LOWER}${MONEY}${NUMERIC}${OPEN}${CLOSE}§¶]`,
    `[${LOWER}${MONEY}${NUMERIC}${CLOSE}][${UPPER}]`,
    `[${MONEY}${NUMERIC}${CLOSE}][${LOWER}]`,
    `[${LOWER}${CLOSE}][${MONEY}]`,
    `(?:\\s|[a-z])[${UPPER}][${MONEY}]`,
    `[${UPPER}][${NUMERIC}§¶°]`,
    `[${UPPER}${LOWER}][${OPEN}${CLOSE}][\\p{L}\\p{N}_]`,
    `[${MONEY}${NUMERIC}][${OPEN}]`,
    `[${UPPER}${LOWER}${MONEY}${NUMERIC}§¶][${CLOSE}][${OPEN}]`,
    '[Œœ][^A-Za-z]',
    '[ÎÐ][€œŠš¢£Ÿž\\xa0\\xad°·–—´]',
    `[ÎÐ][${OPEN}${CLOSE}]`,
    'à[²µ¹¼-¾]',
  ].join('|'),
  'u',
);
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Repairs `text`, as often as there is something to repair (some texts went wrong twice). */
export function repairMojibake(text: string): string {
  let before: string;
  let after = text;
  do {
    before = after;
    after = repairOnce(before);
  } while (after !== before);
  return after;
}

/** The whole text if it all went wrong, else those parts that are suspicious by themselves. */
function repairOnce(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return decode(text) ?? text.replace(PARTS, part => (SUSPICIOUS.test(part) ? decode(part) : null) ?? part);
}

/** The text whose UTF-8 bytes were read as `text`; null when there is none. */
function decode(text: string): string | null {
  // "voilÃ le" is "voilà le": there the space was one, too
  const kept = text.replace(/Ã (?! |quele|quela|quilo|s )/g, 'Ã\xa0 ');
  const spaced = kept.replace(SEQUENCES, part => part.replace(/(?<!\xa0) /g, '\xa0'));
  const bytes = Array.from(spaced, char => BYTES.get(char) ?? char.charCodeAt(0));
  if (bytes.some(byte => byte > 0xff)) return null;
  try {
    return UTF8.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
