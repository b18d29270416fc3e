import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatNumber } from '../src/format.js';
import { RateMeter } from '../src/rate.js';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1023 * 1024, '0.999 MiB'],
    [2 ** 30 * 1.4, '1.4 GiB'],
    [2 ** 50, '1020 TiB'],
    [Number.NaN, '?'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0.0s'],
    [9.94, '9.9s'],
    [9.96, '10s'],
    [59.6, '1m00s'],
    [372, '6m12s'],
    [3599.6, '1h00m'],
    [7384, '2h03m'],
    [86_399, '1d00h'],
    [200_000, '2d08h'],
    [Number.POSITIVE_INFINITY, '?'],
    [-1, '?'],
  ])('%d', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe('formatCount', () => {
  it.each([
    [999, '999'],
    [1500, '1.5 K'],
    [34_500_000, '34.5 M'],
    [1_727_000_000, '1.73 B'],
  ])('%d', (count, text) => {
    expect(formatCount(count)).toBe(text);
  });
});

describe('formatNumber', () => {
  it.each([
    [0, '0'],
    [0.047123, '0.0471'],
    [12345.6, '12346'],
    [1e-5, '1e-5'],
    [1.5e-4, '1.5e-4'],
    [2.1e9, '2.1e9'],
    [-0.5, '-0.5'],
    [Number.NaN, 'NaN'],
    [1000, '1000'],
    [999.96, '1000'],
  ])('%d', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });
});

describe('RateMeter', () => {
  it('forgets what is older than its window', () => {
    const rate = new RateMeter(10_000);
    expect(rate.perSecond()).toBeUndefined();
    rate.add(0, 0);
    rate.add(100_000, 1);
    expect(rate.perSecond()).toBeCloseTo(0.01);
    for (let i = 1; i <= 20; i++) rate.add(100_000 + i * 1000, 1 + 2 * i);
    expect(rate.perSecond()).toBeCloseTo(2);
  });
  it('says nothing without progress', () => {
    const rate = new RateMeter();
    rate.add(0, 5);
    rate.add(1000, 5);
    expect(rate.perSecond()).toBeUndefined();
  });
});
