/** Training options together, in every stage: they train, resume bit for bit, and change nothing that they should not. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { stringifyConfig } from '../../src/config/index.js';
import { readStats } from '../../src/train/logging/index.js';
import { train } from '../../src/train/loop.js';
import { plan } from '../../src/train/plan.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
vi.setConfig({ testTimeout: 400_000 }); // whole runs: seconds each, minutes on a machine that is busy
const quiet = { print: () => {} };
const at = (run: string, step: number) => path.join(root, run, 'checkpoints', `step-${step}`);
const STAGES = { base: {}, ...STAGE_CHANGES } as const;
type Stage = keyof typeof STAGES;
type Changes = Record<string, Record<string, unknown>>;
const config = (stage: Stage, output: string, changes: Changes = {}) =>
  tinyConfig(root, output, changes, STAGES[stage] as Record<string, unknown>);

beforeAll(async () => {
  root = await tinyData();
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function expectEqual(a: string, b: string): Promise<void> {
  const [left, right] = [await filesOf(a), await filesOf(b)];
  expect([...left.keys()].sort()).toEqual([...right.keys()].sort());
  for (const [name, bytes] of left) expect(bytes.equals(right.get(name)!), name).toBe(true);
}

/** Runs the command line; `printed` is its stderr. */
function show1(args: string[]): Promise<{ code: number | null; printed: string }> {
  const bin = fileURLToPath(new URL('../../bin/show1.js', import.meta.url));
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let printed = '';
  child.stderr.on('data', chunk => {
    printed += chunk;
  });
  return new Promise(resolve => child.on('close', code => resolve({ code, printed })));
}

/** Everything at once that the stage’s UNet allows. */
const many = (stage: Stage): Changes => ({
  diffusion: {
    scheduler: { prediction_type: 'v_prediction', rescale_betas_zero_snr: true },
    timesteps: { sampling: 'shifted', shift: 2, min: 10, max: 800 },
    minSnrGamma: 5,
    offsetNoise: 0.1,
    inputPerturbation: 0.1,
  },
  train: {
    steps: 4,
    batchSize: 1,
    accumulate: 2,
    learningRate: 1e-3,
    clipNorm: 0.5,
    schedule: 'cosine-restarts',
    scheduleCycles: 2,
    warmupSteps: 1,
    captionDropout: 0.5,
    gradientCheckpointing: ['mid_block', 'up_blocks.*'],
    ema: { decay: 0.9, device: 'host', everySteps: 2 },
    weightDecayExclude: ['**.bias'],
    groups: [{ match: ['**.temp_attentions.**'], learningRateScale: 2, weightDecay: 0 }],
  },
  checkpoint: { everySteps: 2, keepLast: 5, keepBest: 1 },
  validate: { heldOutEverySteps: 2, heldOutTimesteps: [200, 700], ...(stage === 'base' ? {} : { clips: 1 }) },
});

describe.each(Object.keys(STAGES) as Stage[])('stage %s', stage => {
  it('with gradient checkpointing, through the command line, trains the bits of a run without', async () => {
    const short = { train: { steps: 2, batchSize: 1, ema: { decay: 0 } } };
    await train(config(stage, `${stage}-kept`, short), quiet);
    const file = path.join(root, `${stage}.yaml`);
    await writeFile(file, stringifyConfig(config(stage, `${stage}-recomputed`, short)));
    const { code, printed } = await show1(['train', file, '--set', 'train.gradientCheckpointing=true']);
    expect(code, printed).toBe(0);
    expect(printed).toMatch(/gradient checkpointing: .*down_blocks\.0, .*mid_block, .*up_blocks\.1/);
    await expectEqual(at(`${stage}-kept`, 2), at(`${stage}-recomputed`, 2));
  });

  it('with many options at once trains and logs each held-out timestep; base and sr1 resume bit for bit', async () => {
    await train(config(stage, `${stage}-many`, many(stage)), quiet);
    const run = path.join(root, `${stage}-many`);
    const lines = await readStats(path.join(run, 'stats.jsonl'));
    const heldOut = lines.filter(line => 'heldOut/loss' in line);
    expect(heldOut.map(line => line.step)).toEqual([2, 4]);
    for (const line of heldOut) {
      const [low, high] = [line['heldOut/loss_t200'] as number, line['heldOut/loss_t700'] as number];
      expect(line['heldOut/loss']).toBeCloseTo((low + high) / 2, 6);
      expect(low).not.toBe(high);
    }
    const events = (await readdir(run)).find(name => name.includes('tfevents'))!;
    expect((await readFile(path.join(run, events))).includes('heldOut/loss_t700')).toBe(true);
    expect(lines.some(line => Object.keys(line).some(name => /^loss\/t\d+-\d+$/.test(name)))).toBe(true);
    const { groups } = JSON.parse(await readFile(path.join(run, 'trainable.json'), 'utf8')) as {
      groups: { match: string[]; learningRate: number; weightDecay: number; tensors: number }[];
    };
    expect(groups.map(g => [g.match[0], g.learningRate, g.weightDecay, g.tensors > 0])).toEqual([
      ['**.temp_attentions.**', 2e-3, 0, true],
      ['(the rest)', 1e-3, 0.01, true],
    ]);
    const losses = heldOut.map(line => line['heldOut/loss'] as number);
    const best = losses[1]! < losses[0]! ? 4 : 2;
    expect(await readlink(path.join(run, 'checkpoints', 'best'))).toBe(`step-${best}`);
    const state = JSON.parse(await readFile(path.join(at(`${stage}-many`, 4), 'state.json'), 'utf8'));
    expect(state).toMatchObject({ heldOutLoss: losses[1], bestHeldOutLoss: Math.min(...losses) });

    if (stage === 'interp' || stage === 'sr2') return; // what they add to the state is resumed in stages.test.ts
    const controller = new AbortController();
    const print = (line: string) => {
      if (line.startsWith('step 3/')) controller.abort();
    };
    const stopped = config(stage, `${stage}-stopped`, many(stage));
    await expect(train(stopped, { print, signal: controller.signal })).rejects.toMatchObject({ exitCode: 130 });
    await train(stopped, { ...quiet, resume: true });
    await expectEqual(at(`${stage}-many`, 4), at(`${stage}-stopped`, 4));
  });
});

describe('the average on the host', () => {
  it('is that of the device, and a run may move it', async () => {
    const run = (name: string, steps: number, device: string) =>
      train(config('base', name, { train: { steps, batchSize: 1, ema: { decay: 0.9, device } } }), {
        ...quiet,
        resume: true,
      });
    await run('average-compute', 3, 'compute');
    await run('average-moved', 1, 'compute');
    await run('average-moved', 2, 'host');
    await run('average-moved', 3, 'compute');
    await expectEqual(at('average-compute', 3), at('average-moved', 3));
  });
});

describe('saving by the clock', () => {
  it('saves the step that ends after so many minutes', async () => {
    let minutes = 0;
    const timed = config('base', 'timed', {
      train: { steps: 5, batchSize: 1 },
      checkpoint: { everySteps: 0, everyMinutes: 20, keepLast: 9 },
    });
    const print = (line: string) => {
      if (line.startsWith('step ')) minutes += 10;
    };
    await train(timed, { print, now: () => 60_000 * minutes });
    expect([1, 2, 3, 4, 5].map(step => existsSync(at('timed', step)))).toEqual([false, true, false, true, true]);
  });
});

describe('plan', () => {
  it('predicts less memory with gradient checkpointing', async () => {
    const bytes = async (gradientCheckpointing: boolean) => {
      const { predicted } = await plan(config('base', 'planned', { train: { gradientCheckpointing } }), {
        calibrate: false,
      });
      return predicted.stepBytes;
    };
    expect(await bytes(true)).toBeLessThan(0.8 * (await bytes(false)));
  });
});

describe('what a config cannot ask for', () => {
  const refusal = (changes: Changes) => () => config('base', 'refused', changes);
  it.each<[Changes, RegExp]>([
    [
      { diffusion: { scheduler: { rescale_betas_zero_snr: true } } },
      /prediction_type is "epsilon", but rescale_betas_zero_snr leaves no signal .* allowed: "v_prediction" or "sample"/,
    ],
    [
      { train: { groups: [{ match: ['**'], learningRate: 1, learningRateScale: 1 }] } },
      /train\.groups\.0 has both learningRate and learningRateScale; keep one/,
    ],
    [{ train: { groups: [{ match: [] }] } }, /train\.groups\.0\.match/],
    [
      { checkpoint: { keepBest: 1 } },
      /keepBest is 1 but no held-out loss is measured; set validate\.heldOutEverySteps/,
    ],
    [{ train: { gradientCheckpointing: 'all' } }, /gradientCheckpointing is "all"; allowed: true or false or a list/],
    [{ train: { ema: { device: 'gpu' } } }, /ema\.device is "gpu"; allowed: one of compute, host/],
  ])('%j', (changes, message) => {
    expect(refusal(changes)).toThrow(message);
  });

  it('a block that the model does not have', async () => {
    const wrong = config('base', 'wrong', { train: { gradientCheckpointing: ['up_blocks.7'] } });
    await expect(train(wrong, quiet)).rejects.toThrow(
      /"up_blocks\.7" matches none of the model's blocks: down_blocks\.0, .*up_blocks\.1\. true takes all/,
    );
  });

  it('ε from a pretrained schedule that ends without signal', async () => {
    const folder = path.join(root, 'pretrained');
    await train(config('base', 'pretrained', { train: { steps: 1, batchSize: 1 } }), quiet);
    const file = path.join(folder, 'scheduler', 'scheduler_config.json');
    const scheduler = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...scheduler, prediction_type: 'epsilon', rescale_betas_zero_snr: true }));
    const next = config('base', 'next', { model: { pretrained: folder } });
    delete (next.diffusion as { scheduler?: unknown }).scheduler;
    await expect(train(next, quiet)).rejects.toMatchObject({ code: 'diffusion.no-signal' });
  });
});
