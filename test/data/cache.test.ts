import { describe, expect, it } from 'vitest';
import { ByteCache } from '../../src/data/cache.js';

describe('ByteCache', () => {
  it('drops what was used longest ago when the budget is spent', () => {
    const cache = new ByteCache<string, string>(10);
    cache.set('a', 'A', 4);
    cache.set('b', 'B', 4);
    expect(cache.get('a')).toBe('A');
    cache.set('c', 'C', 4);
    expect(cache.get('b')).toBeUndefined();
    expect([cache.get('a'), cache.get('c'), cache.bytes, cache.size]).toEqual(['A', 'C', 8, 2]);
  });

  it('never holds more than its budget, whatever comes', () => {
    const cache = new ByteCache<number, number>(100);
    for (let i = 0; i < 500; i++) {
      cache.set(i % 37, i, (i * 31) % 140);
      expect(cache.bytes).toBeLessThanOrEqual(100);
    }
    cache.set(1, 1, 101);
    expect(cache.get(1)).toBeUndefined();
    cache.clear();
    expect([cache.bytes, cache.size]).toEqual([0, 0]);
  });

  it('counts a replaced value once', () => {
    const cache = new ByteCache<string, number>(10);
    cache.set('a', 1, 6);
    cache.set('a', 2, 8);
    expect([cache.get('a'), cache.bytes]).toEqual([2, 8]);
  });
});
