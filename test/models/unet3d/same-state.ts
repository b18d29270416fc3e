import { expect } from 'vitest';
import type { WeightArray } from '../../../src/models/weights/source.js';

type State = Record<string, { shape: number[]; data: WeightArray }>;

export const sameBytes = (a: WeightArray, b: WeightArray): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

/** Equal names, shapes and bytes (vitest's own comparison takes seconds for a million numbers). */
export function expectSameState(a: State, b: State): void {
  expect(Object.keys(a)).toEqual(Object.keys(b));
  for (const name of Object.keys(a)) {
    expect(a[name]!.shape, name).toEqual(b[name]!.shape);
    expect(sameBytes(a[name]!.data, b[name]!.data), name).toBe(true);
  }
}
