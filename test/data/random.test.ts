import { describe, expect, it } from 'vitest';
import { PURPOSE, permutation, philox, randomStream } from '../../src/data/random.js';

const hex = (words: readonly number[]): string => words.map(word => word.toString(16).padStart(8, '0')).join(' ');

describe('philox', () => {
  // Known answers of the authors' Random123 library (kat_vectors, philox4x32 10).
  it('gives the known answers', () => {
    const ones = 0xffffffff;
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });
});

describe('randomStream', () => {
  it('depends on seed, purpose, index and epoch, each of them', () => {
    const first = (...args: Parameters<typeof randomStream>) => randomStream(...args).uint32();
    const values = [
      first(1, PURPOSE.shapes, 2, 3),
      first(2, PURPOSE.shapes, 2, 3),
      first(1, PURPOSE.noise, 2, 3),
      first(1, PURPOSE.shapes, 3, 3),
      first(1, PURPOSE.shapes, 2, 4),
      first(1 + 2 ** 32, PURPOSE.shapes, 2, 3),
      first(1, PURPOSE.shapes, 2 + 2 ** 32, 3),
    ];
    expect(new Set(values).size).toBe(values.length);
    expect(first(1, PURPOSE.shapes, 2, 3)).toBe(values[0]);
  });

  it('is uniform in [0, 1), in integers, and normal', () => {
    const random = randomStream(7, PURPOSE.noise);
    const n = 20_000;
    const uniforms = Array.from({ length: n }, () => random.uniform());
    expect(Math.min(...uniforms)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniforms)).toBeLessThan(1);
    expect(uniforms.reduce((a, b) => a + b) / n).toBeCloseTo(0.5, 2);
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < n; i++) counts[random.int(6)]!++;
    for (const count of counts) expect(Math.abs(count - n / 6)).toBeLessThan(5 * Math.sqrt(n / 6));
    const normals = Array.from({ length: n }, () => random.normal());
    expect(Math.abs(normals.reduce((a, b) => a + b) / n)).toBeLessThan(0.03);
    expect(normals.reduce((a, b) => a + b * b, 0) / n).toBeCloseTo(1, 1);
  });
});

describe('permutation', () => {
  it('holds every index once and differs by seed and epoch alone', () => {
    const one = permutation(100, 5, PURPOSE.permutation, 2);
    expect([...one].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect([...permutation(100, 5, PURPOSE.permutation, 2)]).toEqual([...one]);
    expect([...permutation(100, 5, PURPOSE.permutation, 3)]).not.toEqual([...one]);
    expect([...permutation(100, 6, PURPOSE.permutation, 2)]).not.toEqual([...one]);
  });

  it('puts every item in every place equally often', () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    const rounds = 4000;
    for (let epoch = 0; epoch < rounds; epoch++) {
      permutation(5, 1, PURPOSE.permutation, epoch).forEach((item, place) => {
        counts[item]![place]!++;
      });
    }
    for (const count of counts.flat()) expect(Math.abs(count - rounds / 5)).toBeLessThan(5 * Math.sqrt(rounds / 5));
  });
});
