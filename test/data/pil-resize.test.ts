import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pilResize } from '../../src/data/pil-resize.js';
import { pilResizeFloat } from '../../src/data/pil-resize-float.js';
import { uniform } from '../eval/features.js';

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
  large: {
    filter: 'bilinear' | 'bicubic';
    content: keyof typeof CONTENTS;
    seed: number;
    from: [number, number];
    to: [number, number];
    sha256: string;
    /** Columns first, as before Pillow 13, where that is another image. */
    sha256Pillow12?: string;
    float: { sha256: string; sha256Pillow12?: string };
  }[];
};
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

const CONTENTS = {
  noise: (u: number) => Math.floor((u + 0.5) * 256),
  'black and white': (u: number) => (u < 0 ? 0 : 255),
  black: () => 0,
  white: () => 255,
};
const digest = (data: Uint8Array | Float32Array) =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
const large = golden.large.map(one => {
  const { filter, content, from, to } = one;
  return [`${filter}, ${content}, ${from.join('×')} to ${to.join('×')}`, one] as const;
});
function imageOf({ content, seed, from: [width, height] }: (typeof golden.large)[number]): Uint8Array {
  const values = uniform(seed, height, width * 3);
  const image = new Uint8Array(values.length);
  for (let i = 0; i < image.length; i++) image[i] = CONTENTS[content](values[i]!);
  return image;
}

describe('pilResize', () => {
  it.each(golden.cases.map((one, i) => [`${i}: ${one.filter} ${one.from} to ${one.to}`, one] as const))(
    'equals PIL bit for bit: %s',
    (_, { filter, from: [width, height], to, input, output }) => {
      const resized = pilResize(bytes(input), { images: 1, height, width }, { width: to[0], height: to[1] }, filter);
      expect(Buffer.from(resized).equals(Buffer.from(bytes(output)))).toBe(true);
    },
  );

  it.each(large)('equals PIL bit for bit: %s', (_, one) => {
    const [width, height] = one.from;
    const to = { width: one.to[0], height: one.to[1] };
    const image = imageOf(one);
    const resized = pilResize(image, { images: 1, height, width }, to, one.filter);
    expect(digest(resized)).toBe(one.sha256);
    if (one.sha256Pillow12 === undefined) return;
    const before = pilResize(image, { images: 1, height, width }, to, one.filter, { pillow: 12 });
    expect(digest(before)).toBe(one.sha256Pillow12);
  });

  it.each([
    ['an odd part', { top: 3, left: 5, height: 7, width: 4 }],
    ['one pixel', { top: 10, left: 12, height: 1, width: 1 }],
    ['whole rows', { top: 4, left: 0, height: 2, width: 13 }],
    ['whole columns', { top: 0, left: 6, height: 11, width: 3 }],
  ])('computes a part as it is in the whole: %s', (_, window) => {
    for (const [width, height, channels] of [
      [40, 30, 3],
      [13, 30, 3],
      [6, 11, 4],
      [13, 11, 1],
      [9, 40, 3], // rows first
    ] as const) {
      const to = { width: 13, height: 11 };
      const from = { images: 2, height, width, channels };
      const image = Uint8Array.from(uniform(width, 2 * height, width * channels), CONTENTS.noise);
      const whole = pilResize(image, from, to);
      const part = pilResize(image, from, to, 'bicubic', { crop: window });
      const expected: number[] = [];
      for (let n = 0; n < 2; n++) {
        for (let y = window.top; y < window.top + window.height; y++) {
          const row = (n * to.height + y) * to.width;
          const [first, last] = [row + window.left, row + window.left + window.width];
          expected.push(...whole.subarray(first * channels, last * channels));
        }
      }
      expect([...part]).toEqual(expected);
    }
  });

  it('names a part that is not inside', () => {
    const from = { images: 1, height: 2, width: 2 };
    const window = { top: 1, left: 0, height: 4, width: 1 };
    expect(() => pilResize(new Uint8Array(12), from, { height: 4, width: 4 }, 'bicubic', { crop: window })).toThrow(
      /a part of 1×4 at \(0, 1\) is not inside 4×4/,
    );
  });

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

describe('pilResizeFloat', () => {
  it.each(large)('equals PIL in mode F bit for bit: %s', (_, one) => {
    const [width, height] = one.from;
    const from = { images: 1, height, width };
    const image = imageOf(one);
    const to = { width: one.to[0], height: one.to[1] };
    const resized = pilResizeFloat(image, from, to, one.filter);
    expect(digest(resized)).toBe(one.float.sha256);
    if (one.float.sha256Pillow12 === undefined) return;
    const before = pilResizeFloat(image, from, to, one.filter, { pillow: 12 });
    expect(digest(before)).toBe(one.float.sha256Pillow12);
  });

  it('takes several images of any channels, and floats', () => {
    const images = Float32Array.from(uniform(1, 2 * 5, 7 * 2));
    const from = { images: 1, height: 5, width: 7, channels: 2 };
    const to = { width: 4, height: 9 };
    const both = pilResizeFloat(images, { ...from, images: 2 }, to);
    const [one, two] = [images.subarray(0, 70), images.subarray(70)].map(image => pilResizeFloat(image, from, to));
    expect([...both]).toEqual([...one!, ...two!]);
  });
});
