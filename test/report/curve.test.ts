import { describe, expect, it } from 'vitest';
import { lineChart } from '../../src/report/chart.js';
import { namesOf, type Point, pointsOf, smooth, thin } from '../../src/report/curve.js';

const line = (step: number, values: Record<string, number | null>) => ({ step, time: 0, ...values });

describe('pointsOf and namesOf', () => {
  const stats = [line(1, { a: 1 }), line(2, { a: null, b: 2 }), line(3, { a: 3 })];
  it('collects by name', () => {
    expect(namesOf(stats)).toEqual(['a', 'b']);
    expect(pointsOf(stats, 'a')).toEqual([
      [1, 1],
      [3, 3],
    ]);
  });
});

describe('smooth', () => {
  it('keeps a constant and averages the rest', () => {
    expect(
      smooth(
        [
          [1, 5],
          [2, 5],
          [3, 5],
        ],
        10,
      ),
    ).toEqual([
      [1, 5],
      [2, 5],
      [3, 5],
    ]);
    const wave = Array.from({ length: 100 }, (_, i): Point => [i, i % 2]);
    expect(smooth(wave, 20).at(-1)![1]).toBeCloseTo(0.5, 1);
    expect(
      smooth(
        [
          [1, 2],
          [2, 9],
        ],
        1,
      ),
    ).toEqual([
      [1, 2],
      [2, 9],
    ]);
  });
});

describe('thin', () => {
  it('keeps few points, in order, with every extreme', () => {
    const points = Array.from(
      { length: 10_000 },
      (_, i): Point => [i, i === 5_001 ? 99 : i === 7_003 ? -99 : Math.sin(i)],
    );
    const kept = thin(points, 600);
    expect(kept.length).toBeLessThanOrEqual(602);
    expect(kept.map(point => point[1])).toEqual(expect.arrayContaining([99, -99]));
    expect(kept.every((point, i) => i === 0 || point[0] > kept[i - 1]![0])).toBe(true);
    expect(thin(points.slice(0, 5), 600)).toEqual(points.slice(0, 5));
  });
});

describe('lineChart', () => {
  const draw = (values: number[], scale?: 'zero' | 'log') =>
    lineChart({ title: 't', scale, series: [{ label: 's', points: values.map((value, i): Point => [i + 1, value]) }] });
  const labels = (svg: string) => [...svg.matchAll(/text-anchor="end">(.*?)</g)].map(match => match[1]);
  it('has ticks that suit the values', () => {
    expect(labels(draw([0, 10]))).toEqual(['0', '2', '4', '6', '8', '10']);
    expect(labels(draw([3, 4], 'zero'))).toEqual(['0', '1', '2', '3', '4']);
    expect(labels(draw([0.04, 1], 'log'))).toEqual(['0.05', '0.1', '0.2', '0.5', '1']);
    expect(labels(draw([1e-8, 1]))).toEqual(['1e-8', '1e-6', '1e-4', '0.01', '1']);
    expect(labels(draw([-1, 0.5], 'log'))).toEqual(['-1', '-0.5', '0', '0.5']);
  });
  it('stays inside its frame, for flat and single values too', () => {
    for (const values of [[5], [0], [2, 2, 2], [-3, -3], [1e-9, 1e9], [0, 1, 1e6]]) {
      const svg = draw(values);
      const ys = [...svg.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g), ...svg.matchAll(/cx="(-?[\d.]+)" cy="(-?[\d.]+)"/g)];
      expect(ys.length).toBe(values.length);
      for (const [, x, y] of ys) {
        expect(Number(x)).toBeGreaterThanOrEqual(56);
        expect(Number(x)).toBeLessThanOrEqual(448);
        expect(Number(y)).toBeGreaterThanOrEqual(9.9);
        expect(Number(y)).toBeLessThanOrEqual(194.1);
      }
    }
  });
  it('is nothing without points', () => {
    expect(draw([])).toBe('');
  });
});
