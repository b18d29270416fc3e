/**
 * A 5x7 pixel font (9 rows with what hangs below the line) for labels in pictures. Drawn by ourselves, because a server often has no font at all and because a picture
 * must look the same everywhere.
 */

export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 9;
/** Pixels from one character to the next. */
export const ADVANCE = GLYPH_WIDTH + 1;

/** Seven to nine rows from the top, each one base-32 digit: its five bits are the row's pixels, the highest at the left. */
const GLYPHS: Record<string, string> = {
  ...{ ' ': '0000000', '!': '4444404', '"': 'aaa0000', '#': 'aavavaa', $: '4fke5u4', '%': 'op248j3', '&': 'cik8lid' },
  ...{
    "'": '4480000',
    '(': '2488842',
    ')': '8422248',
    '*': '04lel40',
    '+': '044v440',
    ',': '00000c48',
    '-': '000v000',
  },
  ...{
    '.': '00000cc',
    '/': '01248g0',
    ':': '0cc0cc0',
    ';': '00cc0c48',
    '<': '248g842',
    '=': '00v0v00',
    '>': '8421248',
  },
  ...{ '?': 'eh12404', '@': 'eh1dlle', '[': 'e88888e', '\\': '0g84210', ']': 'e22222e', '^': '4ah0000', _: '000000v' },
  ...{ '`': '8420000', '{': '2448442', '|': '4444444', '}': '8442448', '~': '008l200' },
  ...{ 0: 'ehjlphe', 1: '4c4444e', 2: 'eh1248v', 3: 'v2421he', 4: '26aiv22', 5: 'vgu11he', 6: '68guhhe', 7: 'v124888' },
  ...{ 8: 'ehhehhe', 9: 'ehhf12c' },
  ...{ A: 'ehhvhhh', B: 'uhhuhhu', C: 'ehggghe', D: 'sihhhis', E: 'vgguggv', F: 'vgguggg', G: 'ehgnhhf', H: 'hhhvhhh' },
  ...{ I: 'e44444e', J: '72222ic', K: 'hikokih', L: 'ggggggv', M: 'hrllhhh', N: 'hhpljhh', O: 'ehhhhhe', P: 'uhhuggg' },
  ...{ Q: 'ehhhlid', R: 'uhhukih', S: 'fgge11u', T: 'v444444', U: 'hhhhhhe', V: 'hhhhha4', W: 'hhhllla', X: 'hha4ahh' },
  ...{ Y: 'hhha444', Z: 'v1248gv' },
  ...{
    a: '00e1fhf',
    b: 'ggmphhu',
    c: '00egghe',
    d: '11djhhf',
    e: '00ehvge',
    f: '698s888',
    g: '00fhhhf1e',
    h: 'ggmphhh',
  },
  ...{
    i: '40c444e',
    j: '2062222ic',
    k: 'ggikoki',
    l: 'c44444e',
    m: '00qllhh',
    n: '00mphhh',
    o: '00ehhhe',
    p: '00uhhhugg',
  },
  ...{
    q: '00fhhhf11',
    r: '00mpggg',
    s: '00ege1u',
    t: '88s8896',
    u: '00hhhjd',
    v: '00hhha4',
    w: '00hhlla',
    x: '00ha4ah',
  },
  ...{ y: '00hhhhf1e', z: '00v248v' },
};
/** What stands for a character that the font lacks: a hollow box. */
const UNKNOWN = 'vhhhhhv';

/** The text in the font's characters: accents dropped (é becomes e), white space as single blanks. */
export function plainText(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').replace(/\s+/g, ' ').trim();
}

/** Characters that fit in a width. */
export function fittingCharacters(width: number, scale: number): number {
  return Math.max(1, Math.floor((width / scale + 1) / ADVANCE));
}

/** Breaks text between words into at most `lines` lines of `characters`; what does not fit ends in "...". */
export function wrapText(text: string, characters: number, lines: number): string[] {
  const words = plainText(text).split(' ');
  const result: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= characters || line === '') {
      line = longer;
      continue;
    }
    result.push(line);
    line = word;
  }
  result.push(line);
  const shown = result.slice(0, lines);
  const cut = result.length > lines;
  return shown.map((one, i) => {
    const last = cut && i === shown.length - 1;
    if (!last && one.length <= characters) return one;
    const room = Math.max(0, characters - 3);
    return `${one.slice(0, room).trimEnd()}...`.slice(0, characters);
  });
}

/** A picture to draw into: 8-bit RGB `[height, width, 3]`. */
export interface Canvas {
  data: Uint8Array;
  width: number;
  height: number;
}

/** Draws one line of text with its upper left corner at (x, y); pixels outside the canvas are left out. */
export function drawText(
  canvas: Canvas,
  text: string,
  place: { x: number; y: number; scale: number },
  colour: readonly [number, number, number],
): void {
  const { x: left, y: top, scale } = place;
  [...text].forEach((character, i) => {
    const rows = GLYPHS[character] ?? UNKNOWN;
    for (let row = 0; row < rows.length; row++) {
      const bits = Number.parseInt(rows[row]!, 32);
      for (let column = 0; column < GLYPH_WIDTH; column++) {
        if (((bits >> (GLYPH_WIDTH - 1 - column)) & 1) === 0) continue;
        fillRect(canvas, left + (i * ADVANCE + column) * scale, top + row * scale, scale, colour);
      }
    }
  });
}

function fillRect(canvas: Canvas, left: number, top: number, side: number, colour: readonly number[]): void {
  for (let y = Math.max(0, top); y < Math.min(canvas.height, top + side); y++) {
    for (let x = Math.max(0, left); x < Math.min(canvas.width, left + side); x++) {
      canvas.data.set(colour, (y * canvas.width + x) * 3);
    }
  }
}
