/**
 * `npm test`: installs what a fresh clone lacks, builds the native binding if needed, runs vitest, and ends with the line
 * `N passed, N failed`. Arguments go to vitest; `--slow` runs test/slow instead of the rest.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureReady, ROOT } from './dependencies.mjs';
import { countTests } from './test-report.mjs';
import { watchedRun } from './watched-run.mjs';

/** Longer than any file of tests takes on two busy cores. */
const SILENCE_MINUTES = 8;

/** @param {string[]} args */
async function main(args) {
  if (!(await ensureReady())) {
    console.log('0 passed, 1 failed');
    return 1;
  }
  const slow = args.includes('--slow');
  const config = slow ? ['--config', 'scripts/vitest.slow.config.ts'] : [];
  const folder = mkdtempSync(join(tmpdir(), 'show1-tests-'));
  const file = join(folder, 'report.json');
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const rest = args.filter(argument => argument !== '--slow');
  const command = [
    vitest,
    'run',
    ...config,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
    ...rest,
  ];
  const run = () => watchedRun(process.execPath, command, { cwd: ROOT, silenceMs: SILENCE_MINUTES * 60e3 });
  let { status: exitCode, silent } = await run();
  if (silent) {
    console.log(
      `\nnothing was heard of the tests for ${SILENCE_MINUTES} minutes: stopped, and started again this once\n`,
    );
    ({ status: exitCode, silent } = await run());
    if (silent) console.log('\nand again: a test hangs\n');
  }
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // vitest ended before it could report; counted as a failure below.
  }
  rmSync(folder, { recursive: true, force: true });
  const { passed, failed, skipped } = countTests(report, exitCode);
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${failed} failed`);
  return exitCode !== 0 ? exitCode : failed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
