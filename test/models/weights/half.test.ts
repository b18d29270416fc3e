import { describe, expect, it } from 'vitest';
import { decodeBF16, decodeF16, encodeBF16, encodeF16 } from '../../../src/models/weights/half.js';

const ALL = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The value of a half, from the definition of binary16. */
function halfValue(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Nearest multiple of `unit`, ties to even, in double precision. */
function roundToEven(value: number, unit: number): number {
  const scaled = value / unit;
  const low = Math.floor(scaled);
  const up = scaled - low > 0.5 || (scaled - low === 0.5 && low % 2 !== 0);
  return (up ? low + 1 : low) * unit;
}

/** What a float with `bits` bits of significand and smallest normal exponent `minExponent` makes of a value. */
function rounded(value: number, bits: number, minExponent: number, max: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(value)) + 1e-12), minExponent);
  const exact = Math.abs(value) < 2 ** exponent ? Math.max(exponent - 1, minExponent) : exponent;
  const result = Math.sign(value) * roundToEven(Math.abs(value), 2 ** (exact - bits + 1));
  return Math.abs(result) > max ? Math.sign(value) * Number.POSITIVE_INFINITY : result;
}

/** Random float32 values over all exponents, with halfway points and their neighbours. */
function samples(count: number): Float32Array {
  const out = new Float32Array(count);
  const words = new Uint32Array(out.buffer);
  let state = 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const exponent = 95 + ((state >>> 4) % 52); // 2^-32 .. 2^19: around and beyond what a half holds
    words[i] = (state & 0x80000000) | (exponent << 23) | ((state >>> 3) & 0x7fffff);
    if (i % 3 === 0) words[i] = (words[i]! & 0xffffe000) | 0x1000; // exactly between two halves
    if (i % 3 === 1) words[i] = (words[i]! & 0xffff0000) | 0x8000; // exactly between two bfloat16
    if (i % 5 === 0) words[i]! += 1;
  }
  return out;
}

describe('binary16', () => {
  it('decodes all 65,536 patterns', () => {
    const out = new Float32Array(65536);
    decodeF16(ALL, out);
    const wrong = [...ALL].filter(h => !Object.is(out[h], halfValue(h)));
    expect(wrong).toEqual([]);
  });

  it('encodes every decoded pattern back to itself', () => {
    const floats = new Float32Array(65536);
    decodeF16(ALL, floats);
    const back = new Uint16Array(65536);
    encodeF16(floats, back);
    const wrong = [...ALL].filter(h => (Number.isNaN(floats[h]!) ? (back[h]! & 0x7e00) !== 0x7e00 : back[h] !== h));
    expect(wrong).toEqual([]);
  });

  it('rounds to nearest, ties to even, with overflow to infinity', () => {
    const values = samples(60_000);
    const bits = new Uint16Array(values.length);
    encodeF16(values, bits);
    const wrong = [...values].filter((v, i) => halfValue(bits[i]!) !== rounded(v, 11, -14, 65504));
    expect(wrong).toEqual([]);
  });

  it('treats the edges as IEEE does', () => {
    const out = new Uint16Array(7);
    encodeF16(Float32Array.of(65519, 65520, -65520, 2 ** -25, 2 ** -25 * 1.0001, -0, Number.NaN), out);
    expect([...out]).toEqual([0x7bff, 0x7c00, 0xfc00, 0, 1, 0x8000, 0x7e00]);
  });
});

describe('bfloat16', () => {
  it('encodes every decoded pattern back to itself', () => {
    const floats = new Float32Array(65536);
    decodeBF16(ALL, floats);
    const back = new Uint16Array(65536);
    encodeBF16(floats, back);
    const wrong = [...ALL].filter(h => (Number.isNaN(floats[h]!) ? (back[h]! & 0x7fc0) !== 0x7fc0 : back[h] !== h));
    expect(wrong).toEqual([]);
    expect(floats[0x3f80]).toBe(1);
    expect(floats[0xc0a0]).toBe(-5);
  });

  it('rounds to nearest, ties to even', () => {
    const values = samples(60_000);
    const bits = new Uint16Array(values.length);
    encodeBF16(values, bits);
    const back = new Float32Array(values.length);
    decodeBF16(bits, back);
    const wrong = [...values].filter((v, i) => back[i] !== rounded(v, 8, -126, 3.4e38));
    expect(wrong).toEqual([]);
  });

  it('keeps infinities and rounds the largest floats to infinity', () => {
    const out = new Uint16Array(3);
    encodeBF16(Float32Array.of(Number.POSITIVE_INFINITY, 3.4028234663852886e38, Number.NEGATIVE_INFINITY), out);
    expect([...out]).toEqual([0x7f80, 0x7f80, 0xff80]);
  });
});
