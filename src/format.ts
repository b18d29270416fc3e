/** Quantities as people read them: used by status lines, tables and the run report. */

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '?';
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < BINARY_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${significant(value, 3)} ${BINARY_UNITS[unit]}`;
}

/** 45.2 -> "45s", 372 -> "6m12s", 7384 -> "2h03m", 200000 -> "2d07h". Below ten seconds with one decimal. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?';
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

/** 1727000000 -> "1.73 B", 1500 -> "1.5 K", 999 -> "999"; for parameter counts. */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return '?';
  for (const [size, unit] of [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ] as const) {
    if (Math.abs(count) >= size) return `${significant(count / size, 3)} ${unit}`;
  }
  return String(significant(count, 3));
}

/** A measured number in few characters: 0.047123 -> "0.0471", 12345.6 -> "12346", 1e-5 -> "1e-5", 0 -> "0". */
export function formatNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7)
    return value
      .toExponential(digits - 1)
      .replace(/\.?0*e([+-])(\d+)$/, (_, sign, power) => `e${sign === '-' ? '-' : ''}${power}`);
  if (size >= 10 ** digits) return value.toFixed(0);
  return String(significant(value, digits));
}

function significant(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}
