import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { missingPackages } from '../../scripts/dependencies.mjs';
import { countTests } from '../../scripts/test-report.mjs';
import { watchedRun } from '../../scripts/watched-run.mjs';

test('counts tests, broken files and crashes', () => {
  const file = (status: string, ...tests: string[]) => ({ status, assertionResults: tests.map(s => ({ status: s })) });
  const report = {
    numPassedTests: 5,
    numFailedTests: 1,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [file('passed', 'passed'), file('failed', 'failed', 'passed'), file('failed')],
  };
  expect(countTests(report, 1)).toEqual({ passed: 5, failed: 2, skipped: 3 });
  const green = {
    numPassedTests: 5,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [file('passed')],
  };
  expect(countTests(green, 0)).toEqual({ passed: 5, failed: 0, skipped: 0 });
  expect(countTests(green, 1)).toEqual({ passed: 5, failed: 1, skipped: 0 });
  expect(countTests(undefined, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('names packages that are missing or of another version', () => {
  const root = mkdtempSync(join(tmpdir(), 'show1-packages-'));
  const put = (name: string, version: string) => {
    mkdirSync(join(root, 'node_modules', name), { recursive: true });
    writeFileSync(join(root, 'node_modules', name, 'package.json'), JSON.stringify({ version }));
  };
  const dependencies = { a: '1.0.0', '@scope/b': '2.0.0' };
  writeFileSync(join(root, 'package.json'), JSON.stringify({ dependencies, devDependencies: { c: '3.0.0' } }));
  put('a', '1.0.0');
  put('@scope/b', '2.0.1');
  expect(missingPackages(root)).toEqual(['@scope/b@2.0.0', 'c@3.0.0']);
  put('@scope/b', '2.0.0');
  put('c', '3.0.0');
  expect(missingPackages(root)).toEqual([]);
  rmSync(root, { recursive: true });
});

test('stops a command that is silent, and passes on what others say and how they end', async () => {
  const run = (code: string, silenceMs: number) =>
    watchedRun(process.execPath, ['-e', code], { cwd: tmpdir(), silenceMs });
  expect(await run('setInterval(() => {}, 1000)', 500)).toMatchObject({ silent: true });
  const talking = 'let n = 0; setInterval(() => { console.log("."); if (++n > 8) process.exit(3); }, 250)';
  expect(await run(talking, 2000)).toEqual({ status: 3, silent: false });
});

test('this checkout has all its packages', () => {
  expect(missingPackages()).toEqual([]);
});
