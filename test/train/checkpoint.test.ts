import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listCheckpoints, newestCheckpoint, readCheckpointState, saveCheckpoint } from '../../src/train/checkpoint.js';

let run: string;
beforeEach(async () => {
  run = await mkdtemp(path.join(tmpdir(), 'show1-checkpoint-'));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const state = (step: number) => ({ step, stage: 'base', seed: 1, trainable: ['w'], version: '0' });
const keep = (keepLast: number, keepBest = 0) => ({ keepLast, keepBest });
const write = (content: string) => (dir: string) => writeFile(path.join(dir, 'weights'), content);

describe('checkpoints', () => {
  it('keeps the last N, links the newest, and reads its state back', async () => {
    for (const step of [5, 10, 15]) await saveCheckpoint(run, state(step), keep(2), write(`at ${step}`));
    expect((await listCheckpoints(run)).map(c => c.step)).toEqual([10, 15]);
    expect(await readlink(path.join(run, 'checkpoints', 'last'))).toBe('step-15');
    const newest = (await newestCheckpoint(run))!;
    expect(await readCheckpointState(newest.dir)).toEqual(state(15));
    expect(await readFile(path.join(newest.dir, 'weights'), 'utf8')).toBe('at 15');
  });

  it('a writer that dies leaves the older checkpoint in force, and its leftovers go at the next save', async () => {
    await saveCheckpoint(run, state(5), keep(3), write('good'));
    const died = saveCheckpoint(run, state(10), keep(3), async dir => {
      await writeFile(path.join(dir, 'weights'), 'half');
      throw new Error('killed');
    });
    await expect(died).rejects.toThrow('killed');
    expect((await newestCheckpoint(run))!.step).toBe(5);
    expect((await readdir(path.join(run, 'checkpoints'))).some(name => name.startsWith('.writing-step-10'))).toBe(true);
    await saveCheckpoint(run, state(10), keep(3), write('good'));
    expect((await readdir(path.join(run, 'checkpoints'))).sort()).toEqual(['last', 'step-10', 'step-5']);
  });

  it('replaces a checkpoint of the same step', async () => {
    await saveCheckpoint(run, state(5), keep(3), write('first'));
    const dir = await saveCheckpoint(run, state(5), keep(3), write('second'));
    expect(await readFile(path.join(dir, 'weights'), 'utf8')).toBe('second');
  });

  it('keeps the best by held-out loss besides, and links the lowest', async () => {
    const losses = { 1: 0.5, 2: 0.2, 3: 0.4, 4: undefined, 5: 0.3, 6: 0.6 };
    const kept: number[][] = [];
    for (const [step, heldOutLoss] of Object.entries(losses)) {
      await saveCheckpoint(run, { ...state(Number(step)), heldOutLoss }, keep(1, 2), write(step));
      kept.push((await listCheckpoints(run)).map(c => c.step));
    }
    expect(kept).toEqual([[1], [1, 2], [2, 3], [2, 3, 4], [2, 5], [2, 5, 6]]);
    const link = (name: string) => readlink(path.join(run, 'checkpoints', name));
    expect([await link('best'), await link('last')]).toEqual(['step-2', 'step-6']);
  });

  it('a kill while old ones are removed leaves complete ones alone, and its leftovers go at the next save', async () => {
    for (const step of [5, 10]) await saveCheckpoint(run, state(step), keep(3), write('good'));
    // As a kill leaves it: the name is gone, half of the files too.
    const root = path.join(run, 'checkpoints');
    await rename(path.join(root, 'step-5'), path.join(root, '.removing-step-5-1'));
    await rm(path.join(root, '.removing-step-5-1', 'weights'));
    expect((await listCheckpoints(run)).map(c => c.step)).toEqual([10]);
    await saveCheckpoint(run, state(15), keep(3), write('good'));
    expect((await readdir(root)).sort()).toEqual(['last', 'step-10', 'step-15']);
  });

  it('has none where there is no run, and says what a broken one lacks', async () => {
    expect(await newestCheckpoint(path.join(run, 'nowhere'))).toBeNull();
    const dir = path.join(run, 'checkpoints', 'step-3');
    await mkdir(dir, { recursive: true });
    await expect(readCheckpointState(dir)).rejects.toThrow(/step-3 is not a complete checkpoint.*state\.json/);
    await writeFile(path.join(dir, 'state.json'), '{"step": "three"}');
    await expect(readCheckpointState(dir)).rejects.toThrow(/step is "three"/);
  });
});
