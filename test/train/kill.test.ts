import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringifyConfig } from '../../src/config/index.js';
import { type Outcome, runShow1 } from '../helpers/process.js';
import { filesOf, tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
beforeAll(async () => {
  root = await tinyData();
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Runs the command line; `kill` sends its signal as soon as that text appears on stderr. */
function show1(args: string[], kill?: { at: string; signal: NodeJS.Signals }): Promise<Outcome> {
  let sent = false; // a second SIGINT would stop it at once, without saving
  return runShow1(args, (stderr, child) => {
    if (kill && !sent && stderr.includes(kill.at)) sent = child.kill(kill.signal);
  });
}

async function config(run: string): Promise<string> {
  const file = path.join(root, `${run}.yaml`);
  await writeFile(file, stringifyConfig(tinyConfig(root, run)));
  return file;
}

describe('show1 train, killed', () => {
  it('by SIGKILL or Ctrl-C and resumed, ends with the bytes of the undisturbed run', async () => {
    const straight = await show1(['train', await config('straight'), '--json']);
    expect(straight.stderr, straight.stderr).toContain('step 6/6');
    expect(straight.code).toBe(0);
    expect(JSON.parse(straight.stdout)).toMatchObject({ steps: 6 }); // nothing else on stdout
    const expected = await filesOf(path.join(root, 'straight', 'checkpoints', 'step-6'));

    const killed = await show1(['train', await config('killed')], { at: 'step 5/6', signal: 'SIGKILL' });
    expect(killed.signal).toBe('SIGKILL');
    const stopped = await show1(['train', await config('stopped')], { at: 'step 2/6', signal: 'SIGINT' });
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toMatch(/interrupted at step \d; saved in .*--resume/);

    for (const run of ['killed', 'stopped']) {
      const resumed = await show1(['train', path.join(root, run, 'config.yaml'), '--resume']);
      expect(resumed.code, resumed.stderr).toBe(0);
      expect(resumed.stderr).toContain(run === 'killed' ? 'at step 3' : 'resumed');
      const files = await filesOf(path.join(root, run, 'checkpoints', 'step-6'));
      for (const [name, bytes] of expected) expect(bytes.equals(files.get(name)!), `${run} ${name}`).toBe(true);
    }
    const stats = (await readFile(path.join(root, 'killed', 'stats.jsonl'), 'utf8')).trim().split('\n');
    expect(stats.map(line => (JSON.parse(line) as { step: number }).step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('a missing config and a wrong key are input errors, exit code 2', async () => {
    const missing = await show1(['train', path.join(root, 'nowhere.yaml')]);
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('nowhere.yaml')]);
    const wrong = await show1(['train', await config('wrong'), '--set', 'train.learningrate=1']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/learningrate.*learningRate/s)]);
  });
});
