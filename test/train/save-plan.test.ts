import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { saveCheckpoint } from '../../src/train/checkpoint.js';
import { SavePlan } from '../../src/train/save-plan.js';

let run: string;
beforeEach(async () => {
  run = await mkdtemp(path.join(tmpdir(), 'show1-saves-'));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const config = { everySteps: 0, everyMinutes: 0, keepLast: 1, keepBest: 0 };

describe('SavePlan', () => {
  it('saves every so many steps', async () => {
    const plan = await SavePlan.open(run, { ...config, everySteps: 3 });
    expect([1, 2, 3, 4, 6].map(step => plan.due(step))).toEqual([false, false, true, false, true]);
    const never = await SavePlan.open(run, config);
    expect(never.due(3)).toBe(false);
  });

  it('saves when minutes have passed since the last save, whatever saved it', async () => {
    let minutes = 100;
    const plan = await SavePlan.open(run, { ...config, everyMinutes: 30 }, () => 60_000 * minutes);
    const dueAfter = (passed: number) => {
      minutes += passed;
      return plan.due(7);
    };
    expect([dueAfter(29), dueAfter(1)]).toEqual([false, true]);
    plan.saved(7);
    expect([dueAfter(29), dueAfter(5)]).toEqual([false, true]);
  });

  it('saves a held-out loss that is among the best kept, also after a resume', async () => {
    const plan = await SavePlan.open(run, { ...config, keepBest: 2 });
    const saves = (step: number, loss: number) => {
      plan.measured(step, loss);
      const due = plan.due(step);
      if (due) plan.saved(step);
      return due;
    };
    expect([saves(1, 0.5), saves(2, 0.6), saves(3, 0.7), saves(4, 0.55), saves(5, 0.4)]).toEqual([
      true,
      true,
      false,
      true,
      true,
    ]);
    expect(plan.due(6)).toBe(false); // nothing was measured at step 6
    expect([plan.record(5), plan.record(6)]).toEqual([
      { heldOutLoss: 0.4, bestHeldOutLoss: 0.4 },
      { bestHeldOutLoss: 0.4 },
    ]);
    const state = { step: 5, stage: 'base', seed: 1, trainable: [], version: '0', ...plan.record(5) };
    await saveCheckpoint(run, state, { keepLast: 1, keepBest: 1 }, dir => writeFile(path.join(dir, 'weights'), 'x'));
    const resumed = await SavePlan.open(run, { ...config, keepBest: 1 });
    resumed.measured(6, 0.45);
    expect([resumed.due(6), resumed.record(6)]).toEqual([false, { heldOutLoss: 0.45, bestHeldOutLoss: 0.4 }]);
    resumed.measured(7, 0.3);
    expect(resumed.due(7)).toBe(true);
  });
});
