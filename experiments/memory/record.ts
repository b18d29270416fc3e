/** result.json: one row for each stage, side and precision; a new measurement replaces the old one. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { formatBytes } from '../../src/format.js';

export interface Measured {
  stage: string;
  side: 'show1' | 'pytorch';
  precision: string;
  parameters: number;
  /** What the plan said before the weights took memory (show1). */
  predictedBytes?: number;
  /** Most resident memory of the process; null where it did not fit. */
  peakBytes: number | null;
  /** Of that, the program with its libraries. */
  programBytes?: number;
  /** With the weights, before the first step. */
  loadedBytes?: number;
  seconds?: number;
  /** Processor time, which other programs on the machine change less than the time on the clock. */
  cpuSeconds?: number;
  /** What the seconds are for. */
  units?: string;
  note?: string;
}

/** Prints a measurement and puts it into `file`, if given. */
export function record(file: string | undefined, values: Partial<Measured>, machine: object): void {
  const old =
    file && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { rows: Measured[] }) : { rows: [] };
  const key = (row: Partial<Measured>) => `${row.stage} ${row.side} ${row.precision}`;
  const before = old.rows.find(row => key(row) === key(values));
  const measured = { ...(values.peakBytes === undefined && before), ...values } as Measured; // a prediction alone adds to a row
  const { stage, side, precision, predictedBytes, peakBytes, seconds, cpuSeconds } = measured;
  const bytes = (n: number | null | undefined) => (n == null ? '-' : formatBytes(n));
  const time = seconds === undefined ? '' : `, ${seconds.toFixed(1)} s (${cpuSeconds?.toFixed(1)} s of processor time)`;
  console.log(`${stage} ${side} ${precision}: peak ${bytes(peakBytes)}, predicted ${bytes(predictedBytes)}${time}`);
  if (!file) return;
  const rows = [...old.rows.filter(row => key(row) !== key(measured)), measured];
  writeFileSync(file, `${JSON.stringify({ ...old, machine, rows }, null, 2)}\n`);
}
