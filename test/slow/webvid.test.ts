/**
 * A WebVid-style set with one clip in twenty broken: prepared, its text cached, trained on; the training killed at random points ten
 * times and resumed. Nothing is fatal, and the weights are those of the training that nobody disturbed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { stringifyConfig } from '../../src/config/index.js';
import { newestCheckpoint } from '../../src/train/checkpoint.js';
import { writeBrokenSet } from '../data/broken-set.js';
import { type Outcome, runShow1 } from '../helpers/process.js';
import { filesOf, tinyConfig } from '../helpers/tiny-run.js';

const root = mkdtempSync(path.join(tmpdir(), 'show1-webvid-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const CLIPS = Number(process.env.SHOW1_TEST_CLIPS ?? 400);
const STEPS = 120;
const KILLS = 10;

/** Runs the command line; `killAfter` sends SIGKILL so many milliseconds after the first step. */
function show1(args: string[], killAfter?: number): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  return runShow1(args, (stderr, child) => {
    if (killAfter === undefined || timer || !/step +\d+\//.test(stderr)) return;
    timer = setTimeout(() => child.kill('SIGKILL'), killAfter);
  }).finally(() => clearTimeout(timer));
}

it('is prepared, cached and trained on, whatever is broken and whenever it is killed', async () => {
  const set = await writeBrokenSet(path.join(root, 'webvid'), CLIPS);
  const prepared = path.join(root, 'prepared');
  const prepare = await show1(['data', 'prepare', set.csv, '--out', prepared, '--json']);
  expect(prepare.code, prepare.stderr).toBe(0);
  const rejected = readFileSync(path.join(prepared, 'rejected.jsonl'), 'utf8').trim().split('\n');
  expect(rejected).toHaveLength(set.faults.size);

  const config = (run: string) => {
    const file = path.join(root, `${run}.yaml`);
    const data = { source: prepared, heldOut: { fraction: 0.05 }, cached: { text: path.join(root, 'cache') } };
    const log = { everySteps: 1, histogramsEverySteps: 0 };
    const changes = { data, train: { steps: STEPS, batchSize: 2 }, checkpoint: { everySteps: 7, keepLast: 2 }, log };
    writeFileSync(file, stringifyConfig(tinyConfig(root, run, changes)));
    return file;
  };
  const cached = await show1(['data', 'cache', config('straight'), '--out', path.join(root, 'cache')]);
  expect(cached.code, cached.stderr).toBe(0);
  const straight = await show1(['train', config('straight'), '--json']);
  expect(straight.code, straight.stderr).toBe(0);
  expect(JSON.parse(straight.stdout)).toMatchObject({ steps: STEPS, skippedClips: 0 });

  const killed = config('killed');
  let kills = 0;
  for (let seed = 7; kills < KILLS; kills++) {
    seed = (seed * 16807) % 2147483647;
    const started = (await newestCheckpoint(path.join(root, 'killed'))) !== null;
    const { signal } = await show1(['train', killed, ...(started ? ['--resume'] : [])], 200 + (seed % 2500));
    if (signal !== 'SIGKILL') break; // it was done before
  }
  process.stdout.write(`killed ${kills} times\n`);
  expect(kills).toBeGreaterThan(2);
  const last = await show1(['train', killed, '--resume']);
  expect(last.code, last.stderr).toBe(0);
  const files = (run: string) => filesOf(path.join(root, run, 'checkpoints', `step-${STEPS}`));
  const [expected, actual] = [await files('straight'), await files('killed')];
  for (const [name, bytes] of expected) expect(bytes.equals(actual.get(name)!), name).toBe(true);
});
