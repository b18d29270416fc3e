import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EarlyStop } from '../../src/train/early-stop.js';
import { readStats } from '../../src/train/logging/index.js';
import { train } from '../../src/train/loop.js';
import { tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
beforeAll(async () => {
  root = await tinyData();
});
afterAll(() => rm(root, { recursive: true, force: true }));

const taken = (patience: number, minImprovement: number, losses: number[]) => {
  const stop = new EarlyStop({ patience, minImprovement });
  return losses.map(loss => stop.reached(loss));
};

describe('EarlyStop', () => {
  it('waits for so many losses in a row without an improvement of the share', () => {
    expect(taken(2, 0.1, [1, 0.95, 0.89, 0.85, 0.82])).toEqual([false, false, false, false, true]);
    expect(taken(1, 0, [1, 0.99, 0.99])).toEqual([false, false, true]);
    expect(taken(0, 0, [1, 2, 3, 4])).toEqual([false, false, false, false]);
  });

  it('takes up what a run has measured, up to the step that it resumes at', async () => {
    const lines = [1, 0.9, 0.95, 0.96].map((loss, i) => JSON.stringify({ step: i + 1, 'heldOut/loss': loss }));
    await writeFile(path.join(root, 'stats.jsonl'), `${lines.join('\n')}\n`);
    const at = (step: number) => new EarlyStop({ patience: 2, minImprovement: 0 }).replay(root, step);
    expect([0, 1, 2, 3, 4].map(at)).toEqual([false, false, false, false, true]);
  });
});

describe('a run', () => {
  it('ends early with a checkpoint and samples, and has nothing to do when resumed', async () => {
    // No loss can halve in a step, so the second measurement is the last.
    const config = tinyConfig(root, 'early', {
      train: { steps: 6, batchSize: 2, earlyStop: { patience: 1, minImprovement: 0.9 } },
      validate: { heldOutEverySteps: 2, everySteps: 6, prompts: ['a red square moves up'], sampler: { steps: 1 } },
    });
    const printed: string[] = [];
    const summary = await train(config, { print: line => printed.push(line) });
    expect(summary.steps).toBe(4);
    expect(summary.checkpoint).toMatch(/step-4$/);
    expect(printed.join('\n')).toContain('it no longer falls (train.earlyStop): the run ends at step 4 of 6');
    expect(printed.join('\n')).toContain('samples of step 4');
    const again = await train(config, { resume: true, print: line => printed.push(line) });
    expect(again.steps).toBe(4);
    expect(printed.at(-1)).toBe(`nothing to do: ${path.join(root, 'early')} is at step 4 of 4`);
    expect(readStats(path.join(root, 'early', 'stats.jsonl')).at(-1)!.step).toBe(4);
  });

  it('needs a held-out loss', () => {
    expect(() => tinyConfig(root, 'none', { train: { earlyStop: { patience: 2 } } })).toThrow(
      /train\.earlyStop\.patience is 2 but no held-out loss is measured; set validate\.heldOutEverySteps, or patience to 0/,
    );
  });
});
