import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { isStale, withLock } from '../../native/lock.mjs';
import { temporaryFolder } from './fakes.js';

/** The number of a process that has ended. */
const deadProcess = (): number => spawnSync(process.execPath, ['-e', '']).pid;

test('lets one in at a time, in any order, and removes the lock', async () => {
  const path = join(temporaryFolder(), 'a', 'lock');
  let inside = 0;
  let most = 0;
  const waited: string[] = [];
  const job = () =>
    withLock(
      path,
      async () => {
        most = Math.max(most, ++inside);
        await sleep(30);
        inside--;
      },
      { pollMs: 5, onWait: owner => waited.push(owner) },
    );
  await Promise.all([job(), job(), job()]);
  expect(most).toBe(1);
  expect(waited[0]).toBe(`process ${process.pid} on ${hostname()}`);
  expect(existsSync(path)).toBe(false);
});

test('removes the lock when the work fails', async () => {
  const path = join(temporaryFolder(), 'lock');
  await expect(withLock(path, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(existsSync(path)).toBe(false);
});

test('takes over from a process that has died', async () => {
  const path = join(temporaryFolder(), 'lock');
  writeFileSync(path, `token ${hostname()} ${deadProcess()}`);
  expect(await withLock(path, async () => 'done', { pollMs: 5 })).toBe('done');
});

test('takes over a lock on another machine only when it is no longer renewed', async () => {
  const path = join(temporaryFolder(), 'lock');
  writeFileSync(path, 'token elsewhere 1');
  let taken = false;
  const work = withLock(path, async () => {}, { pollMs: 5, staleMs: 60_000 }).then(() => {
    taken = true;
  });
  await sleep(60);
  expect(taken).toBe(false);
  const old = new Date(Date.now() - 120_000);
  utimesSync(path, old, old);
  await work;
  expect(taken).toBe(true);
});

test('renews its lock while it works', async () => {
  const path = join(temporaryFolder(), 'lock');
  await withLock(
    path,
    async () => {
      const old = new Date(Date.now() - 120_000);
      utimesSync(path, old, old);
      await sleep(80);
      const owner = readFileSync(path, 'utf8');
      expect(isStale(owner, 0, 60_000)).toBe(false);
      const { mtimeMs } = await import('node:fs').then(fs => fs.statSync(path));
      expect(Date.now() - mtimeMs).toBeLessThan(5000);
    },
    { heartbeatMs: 10 },
  );
});

test('judges staleness by owner and age', () => {
  const mine = `t ${hostname()} ${process.pid}`;
  expect(isStale(mine, 1000, 60_000)).toBe(false);
  expect(isStale(mine, 61_000, 60_000)).toBe(true);
  expect(isStale(`t ${hostname()} ${deadProcess()}`, 0, 60_000)).toBe(true);
  expect(isStale('t elsewhere 1', 1000, 60_000)).toBe(false);
  expect(isStale('', 100, 60_000)).toBe(false);
  expect(isStale('', 3000, 60_000)).toBe(true);
});
