/** A line chart as inline SVG: thin lines, quiet grid, its numbers in a data attribute for the hover readout. */
import { formatNumber } from '../format.js';
import { type Point, thin } from './curve.js';
import { escapeHtml } from './html.js';

export interface Series {
  label: string;
  points: readonly Point[];
  look?: Look;
}

/** `faint` is for raw values behind their own average, the others are distinct colours. */
export type Look = 'main' | 'faint' | (typeof OTHER_LOOKS)[number];
export const OTHER_LOOKS = ['second', 'third', 'fourth', 'fifth', 'sixth'] as const;

export interface ChartOptions {
  title: string;
  /** What the values are, e.g. "s/step". */
  unit?: string;
  series: readonly Series[];
  /** How values are written on the axis and in the readout. */
  format?: (value: number) => string;
  /** `zero` shows values against nothing; `log` spreads what falls by magnitudes, if it does. Default: as it fits. */
  scale?: 'zero' | 'log';
}

const WIDTH = 460;
const HEIGHT = 220;
const MARGIN = { left: 56, right: 12, top: 10, bottom: 26 };
const MOST_POINTS = 600;
/** From this ratio of highest to lowest on, the axis is logarithmic: where that is asked for, and anywhere. */
const LOG_RATIO = { asked: 5, anywhere: 1000 };

interface Axis {
  at(value: number): number;
  ticks: number[];
}

/** A figure with the chart; empty text when there is nothing to draw. */
export function lineChart({ title, unit, series, scale, format = value => formatNumber(value) }: ChartOptions): string {
  const drawn = series
    .map(one => ({ ...one, points: thin(one.points, MOST_POINTS) }))
    .filter(({ points }) => points.length > 0);
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) return '';
  const x = linearAxis(extent(all.map(point => point[0])), MARGIN.left, WIDTH - MARGIN.right, 5, true);
  const range = extent(all.map(point => point[1]));
  const isLog = needsLog(range, scale);
  const y = isLog ? logAxis(range) : valueAxis(range, scale);
  const about = [unit, isLog ? 'log scale' : undefined].filter(part => part !== undefined).join(', ');
  const grid = y.ticks.map(tick => gridLine(y.at(tick), format(tick)));
  const steps = x.ticks.map(
    tick => `<text x="${round(x.at(tick))}" y="${HEIGHT - 8}" text-anchor="middle">${tick.toLocaleString('en')}</text>`,
  );
  const lines = drawn.map(({ points, look = 'main' }) => pathOf(points, look, x, y));
  const legend =
    drawn.length > 1
      ? `<span class="legend">${drawn.map(({ label, look = 'main' }) => `<span class="key ${look}">${escapeHtml(label)}</span>`).join('')}</span>`
      : '';
  const data = drawn.map(({ label, points, look = 'main' }) => ({
    label,
    look,
    points: points.map(([step, value]) => [step, format(value), round(x.at(step)), round(y.at(value))]),
  }));
  return [
    `<figure class="chart" data-series="${escapeHtml(JSON.stringify(data))}">`,
    `<figcaption><b>${escapeHtml(title)}</b>${about && ` <span class="unit">${escapeHtml(about)}</span>`}${legend}</figcaption>`,
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(`${title} over steps`)}">`,
    ...grid,
    ...steps,
    ...lines,
    '<g class="hover"></g></svg><output></output></figure>',
  ].join('');
}

function gridLine(y: number, label: string): string {
  const at = round(y);
  return `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/><text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${escapeHtml(label)}</text>`;
}

function pathOf(points: readonly Point[], look: string, x: Axis, y: Axis): string {
  const [first] = points;
  if (points.length === 1)
    return `<circle class="${look}" cx="${round(x.at(first![0]))}" cy="${round(y.at(first![1]))}" r="3"/>`;
  const path = points
    .map(([step, value], i) => `${i === 0 ? 'M' : 'L'}${round(x.at(step))} ${round(y.at(value))}`)
    .join('');
  return `<path class="${look}" d="${path}"/>`;
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

const BOTTOM = HEIGHT - MARGIN.bottom;

function needsLog([low, high]: [number, number], scale: ChartOptions['scale']): boolean {
  if (low <= 0 || scale === 'zero') return false;
  return high / low >= (scale === 'log' ? LOG_RATIO.asked : LOG_RATIO.anywhere);
}

function valueAxis([low, high]: [number, number], scale: ChartOptions['scale']): Axis {
  const fromZero = scale === 'zero' && low >= 0;
  return linearAxis([fromZero ? 0 : low, high], BOTTOM, MARGIN.top, 5, false);
}

/** Ticks at 1, 2 and 5 times powers of ten, or at powers of ten alone where those would crowd. */
function logAxis([low, high]: [number, number]): Axis {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const powers = Array.from({ length: Math.floor(to) - Math.floor(from) + 1 }, (_, i) => Math.floor(from) + i);
  const inside = (value: number) => value >= low * 0.999 && value <= high * 1.001;
  const tens = powers.map(power => 10 ** power).filter(inside);
  const fine = powers.flatMap(power => [1, 2, 5].map(factor => factor * 10 ** power)).filter(inside);
  const every = Math.ceil(tens.length / 7);
  const ticks = fine.length <= 7 ? fine : tens.filter((_, i) => i % every === 0);
  return { at: value => BOTTOM + ((Math.log10(value) - from) / (to - from)) * (MARGIN.top - BOTTOM), ticks };
}

/** Ticks at 1, 2 or 5 times a power of ten; the axis ends at the data (whole numbers for steps) or at full ticks. */
function linearAxis([low, high]: [number, number], start: number, end: number, wanted: number, isSteps: boolean): Axis {
  const flat = high === low;
  const spread = flat ? Math.abs(high) || 1 : high - low;
  const rough = spread / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find(factor => factor * power >= rough * 0.999)! * power;
  const tick = isSteps ? Math.max(1, Math.round(unit)) : unit;
  const from = isSteps ? (flat ? low - 1 : low) : Math.floor(low / tick) * tick;
  const to = isSteps ? (flat ? high + 1 : high) : Math.max(from + tick, Math.ceil(high / tick) * tick);
  const ticks: number[] = [];
  for (let i = Math.ceil(from / tick); i * tick <= to + tick * 1e-6; i++) ticks.push(i * tick);
  return {
    at: value => start + ((value - from) / (to - from)) * (end - start),
    ticks: ticks.filter(value => !isSteps || (value >= low && value <= high)),
  };
}
