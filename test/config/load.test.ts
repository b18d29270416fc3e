import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig, stringifyConfig } from '../../src/config/index.js';
import { folderWith, MINIMAL } from './helpers.js';

const load = (files: Record<string, string>, name: string, set: string[] = []) =>
  loadConfig(path.join(folderWith(files), name), { set });

describe('defaults', () => {
  it('fills every section in', () => {
    const { config } = load({ 'a.yaml': MINIMAL }, 'a.yaml');
    expect(config.train).toMatchObject({ learningRate: 1e-4, betas: [0.9, 0.999], weightDecay: 1e-2, clipNorm: 1 });
    expect(config.train.ema).toMatchObject({ decay: 0.9999, warmup: true });
    expect(config.model.textEncoder?.tiny).toEqual({ dModel: 64, layers: 2, heads: 4, dFf: 128, seed: 0 });
    expect(config.diffusion.scheduler).toMatchObject({ num_train_timesteps: 1000, prediction_type: 'epsilon' });
    expect(config).toMatchObject({ device: 'auto', precision: 'fp32', compile: true, seed: 0 });
  });
  it('leaves the scheduler to a pretrained folder', () => {
    const { config } = load(
      { 'a.yaml': 'stage: base\noutput: o\ndata: {source: s}\nmodel: {pretrained: p}\n' },
      'a.yaml',
    );
    expect(config.diffusion.scheduler).toBeUndefined();
  });
  it('fills in the rest of a scheduler given in part and keeps keys it does not know', () => {
    const text = `${MINIMAL}diffusion: {scheduler: {prediction_type: v_prediction, thresholding: true, trained_betas: null}}\n`;
    const { config } = load({ 'a.yaml': text }, 'a.yaml');
    expect(config.diffusion.scheduler).toMatchObject({
      prediction_type: 'v_prediction',
      beta_schedule: 'squaredcos_cap_v2',
      thresholding: true,
      trained_betas: null,
    });
  });
  it('does not share defaults between configs', () => {
    const first = parseConfig({ stage: 'base', output: 'o', data: { source: 's' }, model: { pretrained: 'p' } }).config;
    first.train.betas[0] = 0;
    first.validate.heldOutTimesteps.push(1);
    const second = parseConfig({
      stage: 'base',
      output: 'o',
      data: { source: 's' },
      model: { pretrained: 'p' },
    }).config;
    expect(second.train.betas).toEqual([0.9, 0.999]);
    expect(second.validate.heldOutTimesteps).toEqual([100, 300, 500, 700, 900]);
  });
  it('takes an empty section for no section', () => {
    expect(load({ 'a.yaml': `${MINIMAL}train:\nlog:\n` }, 'a.yaml').config.train.steps).toBe(10_000);
  });
});

describe('extends', () => {
  const base = `${MINIMAL}train: {steps: 10, batchSize: 4}\nvalidate: {prompts: [a, b]}\n`;
  it('merges sections along a chain and replaces lists', () => {
    const files = {
      'base.yaml': base,
      'sub/mid.yaml': 'extends: ../base.yaml\ntrain: {steps: 20}\nvalidate: {prompts: [c]}\n',
      'top.yaml': 'extends: sub/mid.yaml\ntrain: {learningRate: 1e-3}\n',
    };
    const { config, source } = load(files, 'top.yaml');
    expect(config.train).toMatchObject({ steps: 20, batchSize: 4, learningRate: 1e-3 });
    expect(config.validate.prompts).toEqual(['c']);
    expect(source.files.map(file => path.basename(file))).toEqual(['top.yaml', 'mid.yaml', 'base.yaml']);
    expect(source.where('train.steps')).toMatch(/mid\.yaml:2:16$/);
    expect(source.where('train.batchSize')).toMatch(/base\.yaml:5:31$/);
    expect(source.where('seed')).toBe('default');
  });
  it('lets null take an inherited value away, but keeps it inside a diffusers config', () => {
    const files = {
      'base.yaml': base.replace('unet: unet', 'unet: {a: 1, b: 2}'),
      'top.yaml':
        'extends: base.yaml\ntrain: {batchSize: null}\nmodel: {unet: {a: null}, textEncoder: {tiny: null, path: t5}}\n',
    };
    const { config } = load(files, 'top.yaml');
    expect(config.train.batchSize).toBe(1);
    expect(config.model.unet).toEqual({ a: null, b: 2 });
    expect(config.model.textEncoder).toEqual({ path: 't5' });
  });
});

describe('--set', () => {
  const set = (...set: string[]) =>
    load({ 'a.yaml': `${MINIMAL}train: {steps: 10}\nvalidate: {prompts: [x]}\n` }, 'a.yaml', set);
  it('types values as YAML and wins over files, the last one first', () => {
    const { config, source } = set('train.steps=5', 'train.learningRate=2e-4', 'compile=false', 'train.steps=7');
    expect(config.train).toMatchObject({ steps: 7, learningRate: 2e-4 });
    expect(config.compile).toBe(false);
    expect(source.where('train.steps')).toBe('--set train.steps=7');
  });
  it('sets lists, entries by index (of defaults too), and appends', () => {
    expect(set('validate.prompts=[p, "q, r"]').config.validate.prompts).toEqual(['p', 'q, r']);
    expect(set('validate.prompts.0=y', 'validate.prompts[1]=z').config.validate.prompts).toEqual(['y', 'z']);
    expect(set('train.betas.1=0.95').config.train.betas).toEqual([0.9, 0.95]);
    expect(set('train.trainable.include.0="**.temp_convs.**"').config.train.trainable.include).toEqual([
      '**.temp_convs.**',
    ]);
  });
  it('merges sections and reaches into free-form objects', () => {
    const { config } = set('train.ema={decay: 0.5}', 'model.unet={block_out_channels: [8, 16]}');
    expect(config.train.ema).toMatchObject({ decay: 0.5, warmup: true });
    const deeper = load({ 'a.yaml': MINIMAL.replace('unet: unet', 'unet: {c: [8, 16], n: 1}') }, 'a.yaml', [
      'model.unet.c.1=32',
    ]);
    expect(deeper.config.model.unet).toEqual({ c: [8, 32], n: 1 });
  });
  it('keeps = in a value, and an empty value returns to the default', () => {
    expect(set('output=runs/a=b').config.output).toBe('runs/a=b');
    expect(set('train.steps=').config.train.steps).toBe(10_000);
  });
  it('wins over overrides, which win over files', () => {
    const folder = folderWith({ 'a.yaml': `${MINIMAL}train: {steps: 10, batchSize: 3}\n` });
    const overrides = { train: { steps: 20, batchSize: 5 }, seed: undefined };
    const { config, source } = loadConfig(path.join(folder, 'a.yaml'), { overrides, set: ['train.steps=30'] });
    expect(config.train).toMatchObject({ steps: 30, batchSize: 5 });
    expect(source.where('train.batchSize')).toBe('the call');
  });
});

describe('stringifyConfig', () => {
  it('loads back identically', () => {
    const text = `${MINIMAL}seed: 3\ntrain: {epsilon: 1e-10, learningRate: 1.5e-5, ema: {decay: 0.995}}
diffusion: {timesteps: {sampling: power}, scheduler: {trained_betas: null, prediction_type: v_prediction}}
validate: {everySteps: 5, prompts: ["", "null", "yes: # no", "a\\nb", "${'long '.repeat(60)}", "*x", "0123"]}\n`;
    const { config } = load({ 'a.yaml': text }, 'a.yaml', ['model.unet={act_fn: gelu, x: null, n: "8", y: [1, [2]]}']);
    const folder = folderWith({ 'config.yaml': stringifyConfig(config, 'from a.yaml\nwith --set') });
    expect(loadConfig(path.join(folder, 'config.yaml')).config).toEqual(config);
    expect(stringifyConfig(loadConfig(path.join(folder, 'config.yaml')).config)).toBe(stringifyConfig(config));
  });
});
