/** `show1 data prepare` over 2,000 clips of which 5 % are broken in eight ways, once undisturbed and once with ten kills. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openManifest } from '../../../src/data/manifest.js';
import { prepareDataset } from '../../../src/data/prepare/index.js';
import { PURPOSE, randomStream } from '../../../src/data/random.js';
import { REASONS, writeBrokenSet } from '../../data/broken-set.js';
import { temporaryFolder } from '../../data/helpers.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const CLIPS = 2000;
const KILLS = 10;
const folder = temporaryFolder();

const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];

it('2,000 clips: every fault listed by its reason, none fatal, the same files after ten kills', async () => {
  const set = await writeBrokenSet(join(folder, 'set'), CLIPS);
  expect(set.faults.size).toBe(CLIPS / 20);
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
  const started = Date.now();
  const result = await prepareDataset(set.csv, whole);
  const seconds = (Date.now() - started) / 1000;
  console.log(`${CLIPS} clips in ${seconds.toFixed(1)} s: ${(CLIPS / seconds).toFixed(1)} clips/s`);

  expect([result.listed, result.clips]).toEqual([CLIPS, CLIPS - set.faults.size]);
  const rejected = linesOf(join(whole, 'rejected.jsonl')).map(
    line => JSON.parse(line) as { path: string; reason: string },
  );
  expect(new Map(rejected.map(({ path, reason }) => [/(\d+)\.mp4$/.exec(path)![1], reason]))).toEqual(
    new Map([...set.faults].map(([id, fault]) => [id, REASONS[fault]])),
  );

  const journal = join(killed, 'journal.jsonl');
  const random = randomStream(Date.now() % 1e6, PURPOSE.split);
  for (let kill = 0; kill < KILLS; kill++) {
    const known = linesOf(journal).length;
    const child = spawn(process.execPath, ['bin/show1.js', 'data', 'prepare', set.csv, '--out', killed, '--quiet'], {
      cwd: ROOT,
      stdio: 'ignore',
    });
    const ended = new Promise(resolve => child.once('exit', (_, signal) => resolve(signal)));
    const more = 1 + random.int(Math.floor((CLIPS * 0.9) / KILLS));
    await expect
      .poll(() => linesOf(journal).length, { timeout: 600_000, interval: 20 })
      .toBeGreaterThanOrEqual(known + more);
    await new Promise(resolve => setTimeout(resolve, random.int(50)));
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
  }
  const known = linesOf(journal).length - 1;
  const rest = await prepareDataset(set.csv, killed);
  const looked = linesOf(join(whole, 'journal.jsonl')).length - 1;
  console.log(`${known} of ${looked} clips were known after ${KILLS} kills`);
  expect(rest.scanned).toBe(looked - known);
  const keys = linesOf(journal)
    .slice(1)
    .map(line => JSON.parse(line).key);
  expect(new Set(keys).size).toBe(keys.length);
  for (const name of ['manifest.jsonl', 'rejected.jsonl', 'summary.json']) {
    expect(readFileSync(join(killed, name), 'utf8')).toBe(readFileSync(join(whole, name), 'utf8'));
  }
  expect((await openManifest(killed)).entries).toHaveLength(CLIPS - set.faults.size);
});
