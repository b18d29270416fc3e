/** Curves out of statistics: which there are, smoothing, and as many points as a chart can show. */
import type { StatsLine } from '../train/logging/index.js';

export type Point = readonly [step: number, value: number];

/** The values of one name over steps; steps without a finite value are left out. */
export function pointsOf(stats: readonly StatsLine[], name: string): Point[] {
  return stats.flatMap((line): Point[] => {
    const value = line[name];
    return typeof value === 'number' && Number.isFinite(value) ? [[line.step, value]] : [];
  });
}

/** Names of all numbers recorded, in the order in which they first appear, without `step` and `time`. */
export function namesOf(stats: readonly StatsLine[]): string[] {
  const names = new Set(stats.flatMap(line => Object.keys(line)));
  names.delete('step');
  names.delete('time');
  return [...names];
}

/** Exponential moving average, unbiased at the start. `span` points carry most of the weight. */
export function smooth(points: readonly Point[], span: number): Point[] {
  const keep = 1 - 2 / (Math.max(1, span) + 1);
  let [sum, weight] = [0, 0];
  return points.map(([step, value]) => {
    sum = keep * sum + value;
    weight = keep * weight + 1;
    return [step, sum / weight];
  });
}

/** At most about `most` points: of each stretch its lowest and highest, so that spikes stay visible. */
export function thin(points: readonly Point[], most: number): Point[] {
  if (points.length <= most) return [...points];
  const size = Math.ceil((2 * points.length) / most);
  const kept: Point[] = [];
  for (let from = 0; from < points.length; from += size) {
    const stretch = points.slice(from, from + size);
    const low = stretch.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = stretch.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : [low, high].sort((a, b) => a[0] - b[0])));
  }
  return kept;
}
