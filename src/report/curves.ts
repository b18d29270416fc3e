/** Which charts a run gets: the known numbers first, in a fixed order, then whatever else it recorded. */
import { formatBytes, formatDuration, formatNumber } from '../format.js';
import type { StatsLine } from '../train/logging/index.js';
import { type ChartOptions, lineChart, OTHER_LOOKS, type Series } from './chart.js';
import { namesOf, type Point, pointsOf, smooth } from './curve.js';

/** How known numbers are shown; null is not shown at all. */
const KNOWN: Record<string, Omit<ChartOptions, 'series'> | null> = {
  loss: { title: 'Loss', scale: 'log' },
  gradNorm: { title: 'Gradient norm', unit: 'before clipping' },
  learningRate: { title: 'Learning rate' },
  secondsPerStep: { title: 'Time per step', unit: 'seconds', scale: 'zero' },
  clipsPerSecond: { title: 'Clips per second', scale: 'zero' },
  memoryBytes: { title: 'Memory', unit: 'GiB resident', scale: 'zero' },
  waitingSeconds: { title: 'Waiting for data', unit: 'seconds a tick', scale: 'zero' },
  etaSeconds: null,
  'metrics/fvd': { title: 'FVD of validation samples' },
  'metrics/fid-vid': { title: 'FID-vid of validation samples' },
  'metrics/is': { title: 'Inception score of validation samples' },
  'metrics/clipsim': { title: 'CLIPSIM of validation samples' },
  'metrics/consistency': { title: 'Frame consistency of validation samples', unit: 'cosine of neighbouring frames' },
};

/** How groups of numbers (`heldOut/…`) are titled; others by their own name. */
const GROUPS: Record<string, string> = { heldOut: 'Held-out loss', loss: 'Loss by timestep, averaged' };
const NOISY_GROUPS = new Set(['loss']);

/** Numbers that jump from tick to tick are drawn faint behind their average. */
const NOISY = new Set(['loss', 'gradNorm']);

/** Every chart of the run as HTML; empty text when nothing was recorded. */
export function charts(stats: readonly StatsLine[]): string {
  const names = namesOf(stats);
  const held = names.filter(name => name.includes('/') && !Object.hasOwn(KNOWN, name));
  const groups = [...new Set(held.map(name => name.slice(0, name.indexOf('/'))))];
  const known = Object.keys(KNOWN).filter(name => names.includes(name));
  const others = names.filter(name => !name.includes('/') && !Object.hasOwn(KNOWN, name));
  const [loss, ...rest] = [...known, ...others].map(name => single(stats, name));
  const grouped = groups.map(group =>
    groupChart(
      stats,
      group,
      held.filter(name => name.startsWith(`${group}/`)),
    ),
  );
  return [loss ?? '', ...grouped, ...rest].join('\n').trim();
}

function single(stats: readonly StatsLine[], name: string): string {
  const look = Object.hasOwn(KNOWN, name) ? KNOWN[name] : { title: name };
  if (!look) return '';
  const inUnit = name === 'memoryBytes' ? 2 ** 30 : 1;
  const points = pointsOf(stats, name).map(([step, value]): Point => [step, value / inUnit]);
  if (!NOISY.has(name) || points.length < 20) return lineChart({ ...look, series: [{ label: name, points }] });
  const series: Series[] = [
    { label: 'each tick', points, look: 'faint' },
    { label: 'average', points: smooth(points, Math.max(10, points.length / 20)), look: 'main' },
  ];
  return lineChart({ ...look, series });
}

/** `heldOut/loss`, `heldOut/loss_t100` … in one chart, each in its colour. */
function groupChart(stats: readonly StatsLine[], group: string, names: readonly string[]): string {
  const looks = ['main', ...OTHER_LOOKS] as const;
  const series = names.map((name, i): Series => {
    const points = pointsOf(stats, name);
    const shown = NOISY_GROUPS.has(group) ? smooth(points, points.length / 20) : points;
    return { label: name.slice(group.length + 1), points: shown, look: looks[i] ?? 'faint' };
  });
  return lineChart({ title: GROUPS[group] ?? group, scale: 'log', series });
}

/** The figures at the top of the page: label and value. */
export function headline(
  stats: readonly StatsLine[],
  totalSteps: number | undefined,
): [label: string, value: string][] {
  const tiles: [string, string][] = [];
  const last = stats.at(-1);
  if (!last) return tiles;
  tiles.push([totalSteps ? `of ${totalSteps.toLocaleString('en')} steps` : 'steps', last.step.toLocaleString('en')]);
  const loss = smooth(pointsOf(stats, 'loss'), 20).at(-1);
  if (loss) tiles.push(['loss, recent average', formatNumber(loss[1])]);
  const held = pointsOf(stats, 'heldOut/loss');
  if (held.length > 0) {
    const best = held.reduce((a, b) => (b[1] < a[1] ? b : a));
    tiles.push([`best held-out loss, step ${best[0].toLocaleString('en')}`, formatNumber(best[1])]);
  }
  const speed = pointsOf(stats, 'secondsPerStep').at(-1);
  if (speed) tiles.push(['s/step', formatNumber(speed[1])]);
  const memory = pointsOf(stats, 'memoryBytes').map(point => point[1]);
  if (memory.length > 0) tiles.push(['peak memory', formatBytes(memory.reduce((a, b) => Math.max(a, b)))]);
  if (stats.length > 1) tiles.push(['first to last tick', formatDuration(last.time - stats[0]!.time)]);
  return tiles;
}
