import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  loadScheduler,
  parsePythonJson,
  schedulerFromConfig,
  stringifyPythonJson,
} from '../../src/diffusion/index.js';
import { InputError } from '../../src/errors.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'show1-scheduler-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('scheduler configs', () => {
  it('take snake_case and camelCase keys', () => {
    const snake = new DDPMScheduler({ num_train_timesteps: 10, beta_schedule: 'squaredcos_cap_v2' });
    const camel = new DDPMScheduler({ numTrainTimesteps: 10, betaSchedule: 'squaredcos_cap_v2' });
    expect(snake.toConfig()).toEqual(camel.toConfig());
    expect(snake.config.numTrainTimesteps).toBe(10);
    expect(snake.timesteps).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  it('refuse a wrong value, naming key, value and what is allowed', () => {
    const attempt = () => new DDPMScheduler({ variance_type: 'fixed_medium' });
    expect(attempt).toThrow(InputError);
    expect(attempt).toThrow(/variance_type is "fixed_medium"; allowed: "fixed_small"/);
    expect(() => new DDIMScheduler({ num_train_timesteps: '1000' })).toThrow(/num_train_timesteps is "1000"/);
    expect(() => new DDIMScheduler({ beta_schedule: 'sigmoid' })).toThrow(/beta_schedule/);
    expect(() => new DDIMScheduler({ trained_betas: ['a'] })).toThrow(/trained_betas/);
    expect(() => new DPMSolverMultistepScheduler({ algorithm_type: 'deis' })).toThrow(/algorithm_type is "deis"/);
    expect(() => new DPMSolverMultistepScheduler({ solver_order: 4 })).toThrow(/solver_order is 4; allowed: 1, 2, 3/);
    expect(() => new DPMSolverMultistepScheduler({ solver_order: 3, algorithm_type: 'sde-dpmsolver++' })).toThrow(
      /no sde/,
    );
  });

  it('refuse a later option that would change the result, and one key given twice', () => {
    expect(() => new DPMSolverMultistepScheduler({ use_lu_lambdas: true })).toThrow(
      /use_lu_lambdas is true; allowed: false/,
    );
    expect(new DPMSolverMultistepScheduler({ use_lu_lambdas: false }).toConfig().use_lu_lambdas).toBe(false);
    expect(() => new DDPMScheduler({ steps_offset: 1, stepsOffset: 0 })).toThrow(/given twice/);
  });

  it('keep unknown keys and write them back', () => {
    const scheduler = DDPMScheduler.fromConfig({ _class_name: 'DDPMScheduler', skip_prk_steps: true });
    expect(scheduler.toConfig()).toMatchObject({ _class_name: 'DDPMScheduler', skip_prk_steps: true, beta_end: 0.02 });
  });

  it('survive saving and loading, -Infinity included', async () => {
    const scheduler = new DPMSolverMultistepScheduler({ solver_order: 3, custom: { a: [1] } });
    await scheduler.savePretrained(path.join(dir, 'scheduler'));
    const text = await readFile(path.join(dir, 'scheduler', 'scheduler_config.json'), 'utf8');
    expect(text).toContain('"lambda_min_clipped": -Infinity');
    const loaded = await loadScheduler(dir, { subfolder: 'scheduler' });
    expect(loaded).toBeInstanceOf(DPMSolverMultistepScheduler);
    expect(loaded.toConfig()).toEqual(scheduler.toConfig());
    // Another class may read it too, as diffusers' compatible schedulers do.
    const ddim = await DDIMScheduler.fromPretrained(dir, { subfolder: 'scheduler' });
    expect(ddim.toConfig()).toMatchObject({ _class_name: 'DDIMScheduler', solver_order: 3 });
  });

  it('name a missing or broken file, and a class that is not implemented', async () => {
    await expect(loadScheduler(path.join(dir, 'nowhere'))).rejects.toThrow(
      /nowhere.*scheduler_config\.json cannot be read/,
    );
    await writeFile(path.join(dir, 'scheduler_config.json'), '{"a": ');
    await expect(DDPMScheduler.fromPretrained(dir)).rejects.toThrow(/not valid JSON/);
    expect(() => schedulerFromConfig({ _class_name: 'PNDMScheduler' })).toThrow(/"PNDMScheduler"; implemented: DDPM/);
    expect(() => schedulerFromConfig({})).toThrow(InputError);
    expect(() => new DDPMScheduler({ _class_name: 'PNDMScheduler' })).toThrow(/PNDMScheduler/);
  });
});

describe('python json', () => {
  it('reads and writes the bare words, and leaves strings alone', () => {
    const text = '{"a": -Infinity, "b": [Infinity, NaN], "c": "say -Infinity \\"NaN\\"", "d": -1.5}';
    const value = parsePythonJson(text);
    expect(value).toEqual({ a: -Infinity, b: [Infinity, Number.NaN], c: 'say -Infinity "NaN"', d: -1.5 });
    expect(parsePythonJson(stringifyPythonJson(value))).toEqual(value);
    expect(stringifyPythonJson({ a: -Infinity })).toBe('{\n  "a": -Infinity\n}');
    expect(() => parsePythonJson('{"a": Infinit}')).toThrow(SyntaxError);
  });
});
