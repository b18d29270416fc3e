/** Python's idea of letters, digits and spaces in regular expressions and strings, which JavaScript's differs from. */

/** Characters for which `str.isspace()` holds: those of `\s`, and what `str.strip()` removes. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const WORD = '\\p{L}\\p{N}_';

const AT_START = new RegExp(`^[${SPACE}]+`, 'u');
const AT_END = new RegExp(`[${SPACE}]+$`, 'u');

/** `text.lstrip()` */
export const stripStart = (text: string): string => text.replace(AT_START, '');
/** `text.rstrip()` */
export const stripEnd = (text: string): string => text.replace(AT_END, '');
/** `text.strip()` */
export const strip = (text: string): string => stripEnd(stripStart(text));
/** `text.split()` */
export const splitAtSpace = (text: string): string[] => text.split(new RegExp(`[${SPACE}]+`, 'u')).filter(Boolean);

/**
 * The expression that Python's `re` makes of `source`: `\w`, `\d`, `\s`, `\b` and their opposites know all scripts.
 * @param flags JavaScript's, besides `u`
 */
export function pythonRegExp(source: string, flags = 'g'): RegExp {
  const inClass: Record<string, string> = { w: WORD, d: '\\p{Nd}', D: '\\P{Nd}', s: SPACE };
  const outside: Record<string, string> = {
    w: `[${WORD}]`,
    W: `[^${WORD}]`,
    d: '\\p{Nd}',
    D: '\\P{Nd}',
    s: `[${SPACE}]`,
    S: `[^${SPACE}]`,
    b: `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  };
  let within = false;
  const translated = source.replace(/\\(.)|[[\]]/gsu, (match, escaped?: string) => {
    if (escaped === undefined) within = match === '[' || (within && match !== ']');
    else return (within ? inClass : outside)[escaped] ?? match;
    return match;
  });
  return new RegExp(translated, `${flags}u`);
}
