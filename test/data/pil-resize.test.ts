import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pilResize } from '../../src/data/pil-resize.js';

/** Made by test/reference/pil_resize.py with Pillow. */
const golden = JSON.parse(readFileSync(new URL('./pil-resize.json', import.meta.url), 'utf8')) as {
  pillow: string;
  cases: {
    filter: 'bilinear' | 'bicubic';
    from: [number, number];
    to: [number, number];
    input: string;
    output: string;
  }[];
};
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

describe('pilResize', () => {
  it.each(golden.cases.map((one, i) => [`${i}: ${one.filter} ${one.from} to ${one.to}`, one] as const))(
    'equals PIL bit for bit: %s',
    (_, { filter, from: [width, height], to, input, output }) => {
      const resized = pilResize(bytes(input), { images: 1, height, width }, { width: to[0], height: to[1] }, filter);
      expect(Buffer.from(resized).equals(Buffer.from(bytes(output)))).toBe(true);
    },
  );

  it('takes several images at once', () => {
    const { filter, from, to, input, output } = golden.cases[0]!;
    const two = new Uint8Array([...bytes(input), ...bytes(input)]);
    const resized = pilResize(
      two,
      { images: 2, height: from[1], width: from[0] },
      { width: to[0], height: to[1] },
      filter,
    );
    expect(resized).toEqual(new Uint8Array([...bytes(output), ...bytes(output)]));
  });

  it('names sizes that do not fit', () => {
    expect(() => pilResize(new Uint8Array(5), { images: 1, height: 2, width: 2 }, { height: 4, width: 4 })).toThrow(
      /5 bytes as \[1, 2, 2, 3\] to 4×4: sizes must be positive integers that fit the data/,
    );
  });
});
