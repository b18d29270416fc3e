/**
 * `npm test`: installs what a fresh clone lacks, builds the native binding if needed, runs vitest, and ends with the line
 * `N passed, N failed`. Arguments go to vitest; `--slow` runs test/slow instead of the rest.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureReady, ROOT } from './dependencies.mjs';
import { countTests } from './test-report.mjs';

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
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', ...config, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...rest],
    { cwd: ROOT, stdio: 'inherit' },
  );
  const exitCode = status ?? 1;
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
