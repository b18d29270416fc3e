/** HTML's character references in plain text, as Python's `html.unescape` and as ftfy resolve them. */
import { ENTITY_TABLE } from './caption-cleaning-entity-table.js';
import { windows1252 } from './caption-cleaning-mojibake.js';

/** Characters by name: `amp` without, and `amp;` with semicolon, as far as the standard has the name so. */
const NAMED = new Map<string, string>();
for (const [, name, kind, codes] of ENTITY_TABLE.matchAll(/(\w+)([:!])(\S+)/g)) {
  const text = String.fromCodePoint(...codes!.split('+').map(code => Number.parseInt(code, 16)));
  NAMED.set(`${name};`, text);
  if (kind === '!') NAMED.set(name!, text);
}

/** The text of a name without `&` and `;`; undefined when there is no such name. */
export const namedCharacter = (name: string): string | undefined => NAMED.get(`${name};`);

/** What stands for a number that is no character: it, or one that does not exist at all. */
const REPLACEMENT = '\ufffd';

/** The character of a number as the standard reads it: C1 controls as Windows-1252, impossible ones as U+FFFD. */
export function numberedCharacter(code: number): string {
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return REPLACEMENT;
  return code >= 0x80 && code <= 0x9f ? windows1252(code) : String.fromCodePoint(code);
}

/** Numbers whose reference Python's `html.unescape` drops: controls and non-characters. */
const dropped = (code: number) =>
  (code >= 1 && code <= 8) ||
  code === 0xb ||
  (code >= 0xe && code <= 0x1f) ||
  code === 0x7f ||
  (code >= 0xfdd0 && code <= 0xfdef) ||
  (code & 0xfffe) === 0xfffe;

const REFERENCE = /&(?:#(\d+);?|#[xX]([\da-fA-F]+);?|([^\t\n\f <&#;]{1,32};?))/gu;

/** All references, also those without a semicolon (`&ampx` is `&x`): Python's `html.unescape`. */
export function unescapeHtml(text: string): string {
  return text.replace(REFERENCE, (all, decimal?: string, hex?: string, name?: string) => {
    if (name === undefined) {
      const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hex!, 16);
      return code <= 0x10ffff && dropped(code) ? '' : numberedCharacter(code);
    }
    for (let end = name.length; end > 1; end--) {
      const found = NAMED.get(name.slice(0, end));
      if (found !== undefined) return found + name.slice(end);
    }
    return all;
  });
}

/** References that end in a semicolon, and such names in capitals (`&EACUTE;` is `É`): ftfy's `unescape_html`. */
export function unescapeClearHtml(text: string): string {
  return text.replace(/&#?[0-9A-Za-z]{1,24};/g, reference => {
    if (reference[1] === '#') {
      const plain = unescapeHtml(reference);
      return plain.includes(';') ? reference : plain;
    }
    const name = reference.slice(1);
    const found = NAMED.get(name) ?? (unescapeHtml(reference) === reference ? upperCase(name) : undefined);
    return found ?? reference;
  });
}

function upperCase(name: string): string | undefined {
  return name === name.toUpperCase() ? NAMED.get(name.toLowerCase())?.toUpperCase() : undefined;
}
