/** `show1 report`: a run folder as one HTML page. */
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { WorkError } from '../errors.js';
import { type PageOptions, renderPage } from './page.js';
import { readRun } from './run-data.js';

export interface ReportResult {
  file: string;
  bytes: number;
  /** Last step recorded; 0 when none is. */
  step: number;
  sampleSteps: number;
  checkpoints: number;
}

/**
 * Writes the report of the run in `folder` to `out` (default `report.html` in it).
 * @throws InputError `report.*` when it is not a run folder, WorkError `report.write` when the file cannot be written
 */
export function writeReport(folder: string, out?: string, options?: PageOptions): ReportResult {
  const run = readRun(folder);
  const page = renderPage(run, options);
  const file = out ?? path.join(folder, 'report.html');
  try {
    writeFileSync(`${file}.tmp`, page);
    renameSync(`${file}.tmp`, file);
  } catch (error) {
    throw new WorkError(`cannot write ${file}: ${(error as Error).message}`, { code: 'report.write', file }, error);
  }
  return {
    file,
    bytes: Buffer.byteLength(page),
    step: run.stats.at(-1)?.step ?? 0,
    sampleSteps: run.samples.length,
    checkpoints: run.checkpoints.length,
  };
}

export type { PageOptions } from './page.js';
