/** `stats.jsonl`: one JSON object a line, each with its `step`; what the report and users' own scripts read. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { WorkError } from '../../errors.js';

/** A line: `step`, `time` (seconds since 1970) and numbers by name. Numbers that are not finite are null. */
export interface StatsLine {
  step: number;
  time: number;
  [name: string]: number | null;
}

/**
 * Appends to a `stats.jsonl`. Each line is handed to the operating system as it is written.
 * @throws WorkError `log.write` when the disk refuses
 */
export class StatsWriter {
  readonly file: string;
  readonly #descriptor: number;
  #closed = false;

  /** Opens `file`, dropping the lines of steps after `resumeStep` (0: all but step 0's) and a line cut short by a kill. */
  constructor(file: string, resumeStep = 0) {
    this.file = file;
    mkdirSync(path.dirname(file), { recursive: true });
    truncateStats(file, resumeStep);
    this.#descriptor = openSync(file, 'a');
  }

  append(step: number, values: Readonly<Record<string, number>>, time = Date.now() / 1000): void {
    if (this.#closed) throw new Error(`${this.file} is closed`);
    const line = Buffer.from(`${JSON.stringify({ step, time, ...values })}\n`);
    try {
      for (let at = 0; at < line.length; ) at += writeSync(this.#descriptor, line, at);
    } catch (error) {
      throw new WorkError(
        `cannot write ${this.file}: ${(error as Error).message}`,
        { code: 'log.write', file: this.file },
        error,
      );
    }
  }

  /** Closes; safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#descriptor);
  }
}

/** The lines of a `stats.jsonl` in order; lines that are not whole are left out, a missing file is empty. */
export function readStats(file: string): StatsLine[] {
  return existsSync(file) ? parse(readFileSync(file, 'utf8')) : [];
}

function parse(text: string): StatsLine[] {
  const lines: StatsLine[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      const value = JSON.parse(line) as StatsLine;
      if (Number.isInteger(value?.step)) lines.push(value);
    } catch {
      // A line cut short by a kill: the step it belongs to is run again.
    }
  }
  return lines;
}

/** Rewrites `file` without the lines of steps after `step`: aside, synced, renamed, so that a kill leaves old or new. */
export function truncateStats(file: string, step: number): void {
  if (!existsSync(file)) return;
  const before = readFileSync(file, 'utf8');
  const kept = parse(before).filter(line => line.step <= step);
  const after = kept.map(line => `${JSON.stringify(line)}\n`).join('');
  if (after === before) return;
  const aside = `${file}.tmp`;
  const descriptor = openSync(aside, 'w');
  try {
    writeFileSync(descriptor, after);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(aside, file);
}
