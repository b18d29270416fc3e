/** What `show1 verify` prints. */
import { formatDuration, formatNumber } from '../format.js';
import type { Tolerance } from './compare.js';
import type { FixtureResult } from './index.js';

export interface VerifySummary {
  passed: number;
  /** Misses and errors. */
  failed: number;
  /** Nothing failed. */
  ok: boolean;
}

export function summarize(results: readonly FixtureResult[]): VerifySummary {
  const passed = results.filter(({ status }) => status === 'passed').length;
  return { passed, failed: results.length - passed, ok: passed === results.length };
}

/** Columns of the table; numbers are aligned right. */
export const REPORT_COLUMNS = [
  { title: 'fixture' },
  { title: 'kind' },
  { title: 'result' },
  { title: 'tensors', align: 'right' },
  { title: 'max error', align: 'right' },
  { title: 'tolerance', align: 'right' },
  { title: 'gradients', align: 'right' },
  { title: 'time', align: 'right' },
] as const;

/** A row a fixture, as text. */
export function reportRows(results: readonly FixtureResult[]): string[][] {
  return results.map(r => {
    const ran = r.outputs + r.gradients > 0;
    return [
      r.name,
      r.kind,
      { passed: 'ok', failed: 'MISS', error: 'ERROR' }[r.status],
      ran ? String(r.outputs + r.gradients) : '',
      ran && r.maxAbsError !== null ? formatNumber(r.maxAbsError) : '',
      r.tolerance && ran ? formatTolerance(r.tolerance) : '',
      r.maxGradientError === null ? '' : formatNumber(r.maxGradientError),
      formatDuration(r.seconds),
    ];
  });
}

const formatTolerance = ({ atol, rtol }: Tolerance) =>
  atol === 0 && rtol === 0 ? 'exact' : `${formatNumber(atol, 2)} + ${formatNumber(rtol, 2)}|x|`;

/** Lines after the table: what went wrong where, and the count. */
export function reportNotes(results: readonly FixtureResult[]): string[] {
  const lines: string[] = [];
  for (const { name, status, message } of results) {
    if (status !== 'failed' && status !== 'error') continue;
    const [first, ...rest] = (message ?? '').split('\n');
    const more = rest.length > MESSAGE_LINES ? [`… and ${rest.length - MESSAGE_LINES} more lines`] : [];
    lines.push(`${name}: ${first}`, ...[...rest.slice(0, MESSAGE_LINES), ...more].map(line => `  ${line}`));
  }
  const { passed, failed } = summarize(results);
  lines.push(`${passed} passed, ${failed} failed`);
  return lines;
}

const MESSAGE_LINES = 8;
