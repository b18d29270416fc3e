import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ConfigInput, loadConfig, parseConfig } from '../../src/config/index.js';
import { folderWith, inputError, MINIMAL } from './helpers.js';

/** The error of loading `text` as a.yaml, its folder cut out of the message. */
function failure(text: string, set: string[] = [], more: Record<string, string> = {}) {
  const folder = folderWith({ 'a.yaml': text, ...more });
  const error = inputError(() => loadConfig(path.join(folder, 'a.yaml'), { set }));
  return {
    code: error.code,
    exitCode: error.exitCode,
    data: error.data,
    message: error.message.replaceAll(`${folder}/`, ''),
  };
}

describe('unknown keys', () => {
  it('gives file, line, column and the nearest key', () => {
    const error = failure(`${MINIMAL}train:\n  steps: 5\n  learninRate: 1e-3\n`);
    expect(error.message).toBe('a.yaml:7:3: unknown key train.learninRate; did you mean train.learningRate?');
    expect(error).toMatchObject({ code: 'config.unknown-key', exitCode: 2 });
    expect(error.data.problems).toMatchObject([
      { path: 'train.learninRate', suggestion: 'train.learningRate', origin: { line: 7, column: 3 } },
    ]);
  });
  it('finds a key in the wrong section and one in snake_case', () => {
    expect(failure(`${MINIMAL}learning_rate: 1\n`).message).toBe(
      'a.yaml:5:1: unknown key learning_rate; did you mean train.learningRate?',
    );
    expect(failure(`${MINIMAL}data: {fram: 4}\n`.replace('data: {source: clips}\n', '')).message).toContain(
      'did you mean data.frames?',
    );
  });
  it('lists the keys of the section when nothing is near', () => {
    expect(failure(`${MINIMAL}log: {zzz: 1}\n`).message).toBe(
      'a.yaml:5:7: unknown key log.zzz; log has the keys everySteps, tensorboard, histogramsEverySteps',
    );
  });
  it('is not hidden by an empty value', () => {
    expect(failure(`${MINIMAL}trian:\n`).message).toContain('a.yaml:5:1: unknown key trian; did you mean train?');
  });
  it('names the --set, or the file that a config extends', () => {
    expect(failure(MINIMAL, ['train.stesp=5']).message).toBe(
      '--set train.stesp=5: unknown key train.stesp; did you mean train.steps?',
    );
    expect(failure('extends: b.yaml\n', [], { 'b.yaml': `${MINIMAL}sede: 1\n` }).message).toContain(
      'b.yaml:5:1: unknown key sede; did you mean seed?',
    );
  });
  it('treats __proto__ as any other key', () => {
    expect(failure(`${MINIMAL}__proto__: {seed: 7}\n`).code).toBe('config.unknown-key');
    expect(failure(MINIMAL, ['__proto__.seed=7']).code).toBe('config.unknown-key');
    expect(({} as { seed?: number }).seed).toBeUndefined();
  });
});

describe('wrong values', () => {
  it.each([
    ['train: {steps: many}', 'a.yaml:5:16: train.steps is "many"; allowed: a whole number, at least 1.'],
    ['train: {steps: 0}', 'a.yaml:5:16: train.steps is 0; allowed: a whole number, at least 1.'],
    ['train: {steps: 1.5}', 'a.yaml:5:16: train.steps is 1.5; allowed: a whole number, at least 1.'],
    ['train: {captionDropout: 2}', 'a.yaml:5:25: train.captionDropout is 2; allowed: a number from 0 to 1.'],
    ['train: {ema: {decay: 1}}', 'train.ema.decay is 1; allowed: a number, at least 0 and below 1.'],
    ['compile: yes', 'a.yaml:5:10: compile is "yes"; allowed: true or false.'],
    ['precision: fp16', 'precision is "fp16"; allowed: one of fp32, bf16.'],
    ['precision: 16', 'a.yaml:5:12: precision is 16; allowed: one of fp32, bf16.'],
    ['train: {betas: [0.9]}', 'a.yaml:5:16: train.betas is [0.9]; allowed: a list of 2:'],
    ['train: {betas: [0.9, 2]}', 'a.yaml:5:22: train.betas.1 is 2; allowed: a number, at least 0 and below 1'],
    ['train: 5', 'a.yaml:5:8: train is 5; allowed: a section with the keys steps, batchSize'],
    ['validate: {prompts: a red square}', 'validate.prompts is "a red square"; allowed: a list, each entry text'],
    ['diffusion: {scheduler: {beta_schedule: cos}}', 'allowed: one of linear, scaled_linear, squaredcos_cap_v2.'],
  ])('%s', (line, message) => {
    const error = failure(`${MINIMAL}${line}\n`);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: 'config.invalid-value', exitCode: 2 });
    expect(error.data.problems).toHaveLength(1);
  });
  it('says a path or an object for the UNet, once', () => {
    const error = failure(MINIMAL.replace('unet: unet', 'unet: 5'));
    expect(error.message).toContain(
      'a.yaml:4:15: model.unet is 5; allowed: text, not empty or a section of keys and values.',
    );
    expect(error.data.problems).toHaveLength(1);
  });
  it('names the --set', () => {
    expect(failure(MINIMAL, ['train.steps=-1']).message).toContain(
      '--set train.steps=-1: train.steps is -1; allowed: a whole number, at least 1',
    );
  });
  it('lists several problems together, unknown keys first, and cuts a long list', () => {
    const error = failure(`${MINIMAL}seed: x\nfoo: 1\n`);
    expect(error.message).toMatch(
      /^2 problems in a\.yaml:\n {2}a\.yaml:6:1: unknown key foo.*\n {2}a\.yaml:5:7: seed is "x"/,
    );
    const many = failure(`${MINIMAL}${Array.from({ length: 14 }, (_, i) => `qqqqq${i}: 1\n`).join('')}`);
    expect(many.message).toMatch(/^14 problems/);
    expect(many.message).toContain('and 4 more');
  });
});

describe('what is missing', () => {
  it('names required keys with their meaning and the fix', () => {
    const error = failure('stage: base\noutput: o\nmodel: {pretrained: p}\n');
    expect(error.message).toMatch(
      /^a\.yaml: data\.source is missing \(A folder of videos.*; write it there or pass --set data\.source=…; allowed: text, not empty$/,
    );
    expect(error.code).toBe('config.missing');
    expect(failure('').message).toContain('stage is missing');
  });
  it('a missing file, with a near name; a folder; a missing file that is extended', () => {
    const folder = folderWith({ 'base.yaml': MINIMAL, 'c/config.yaml': MINIMAL, 'e.yaml': '\nextends: bse.yaml\n' });
    const at = (name: string) => inputError(() => loadConfig(path.join(folder, name)));
    expect(at('bsae.yaml').message).toContain('bsae.yaml: no such config; did you mean');
    expect(at('bsae.yaml').message).toContain('base.yaml?');
    expect(at('nothing/like/it.yaml').message).toContain('no such config; paths are relative to');
    expect(at('c').message).toContain('is a folder, not a config; a run folder');
    expect(at('e.yaml').message).toMatch(
      /e\.yaml:2:10: extends .*bse\.yaml: no such config; did you mean .*base\.yaml\?/,
    );
    for (const name of ['bsae.yaml', 'c', 'e.yaml'])
      expect(at(name)).toMatchObject({ code: 'config.not-found', exitCode: 2 });
  });
});

describe('files that are not configs', () => {
  it.each([
    ['stage: base\n  output: x: y\n', /^a\.yaml:\d:\d+: not valid YAML: /],
    ['a: [1, 2\nb: 3\n', /^a\.yaml:2:1: not valid YAML: /],
    ['seed: 1\nseed: 2\n', /^a\.yaml:2:1: not valid YAML: Map keys must be unique/],
    ['seed: *nowhere\n', /^a\.yaml.*: not valid YAML: Unresolved alias.*nowhere/],
  ])('%j', (text, message) => {
    const error = failure(text);
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({ code: 'config.syntax', exitCode: 2 });
  });
  it('a list or a number', () => {
    expect(failure('- a\n- b\n')).toMatchObject({
      code: 'config.not-a-map',
      message: 'a.yaml: a config is a map of keys and values, this is a list',
    });
    expect(failure('5\n').code).toBe('config.not-a-map');
  });
  it('extends in a circle, or not a path', () => {
    const circle = failure('extends: b.yaml\n', [], { 'b.yaml': 'extends: c.yaml\n', 'c.yaml': 'extends: b.yaml\n' });
    expect(circle.message).toBe(
      'c.yaml:1:10: extends goes in a circle: b.yaml -> c.yaml -> b.yaml; remove one of them',
    );
    expect(circle.code).toBe('config.extends');
    expect(failure('extends: a.yaml\n').message).toContain('a.yaml -> a.yaml');
    expect(failure('extends: [b.yaml]\n').message).toBe(
      'a.yaml:1:10: extends is ["b.yaml"]; allowed: the path of one config, relative to this file',
    );
  });
});

describe('--set that cannot be read', () => {
  it.each([
    ['train.steps', '--set train.steps: allowed: KEY=VALUE'],
    ['=5', '--set =5: allowed: KEY=VALUE'],
    ['train..steps=5', "'train..steps' has an empty key"],
    ['train.trainable.include=*.x', 'the value is not valid YAML'],
    ['validate.prompts=[a', 'the value is not valid YAML'],
    ['validate.prompts.3=a', "'3' is not an entry of the list validate.prompts; allowed: 0 to 0 (the list is empty)"],
    ['train.betas.x=1', "'x' is not an entry of the list train.betas; allowed: 0 to 2"],
    ['model.unet.act_fn=silu', 'model.unet is "unet" (a.yaml:4:15), it has no key \'act_fn\'; set model.unet itself'],
  ])('%s', (argument, message) => {
    const error = failure(MINIMAL, [argument]);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: 'config.set', exitCode: 2 });
  });
});

describe('keys that contradict each other', () => {
  it.each([
    ['validate: {everySteps: 5}', 'a.yaml:5:24: validate.everySteps is 5 but validate.prompts is empty'],
    [
      'diffusion: {timesteps: {min: 900, max: 900}}',
      'a.yaml:5:30: diffusion.timesteps.min is 900; allowed: below diffusion.timesteps.max, 900',
    ],
    ['diffusion: {timesteps: {min: 1000}}', 'diffusion.timesteps.min is 1000; allowed: below'],
    [
      'diffusion: {timesteps: {max: 1001}}',
      'diffusion.timesteps.max is 1001; allowed: at most diffusion.scheduler.num_train_timesteps, 1000',
    ],
    ['train: {steps: 5, warmupSteps: 6}', 'train.warmupSteps is 6; allowed: at most train.steps, 5'],
    ['validate: {heldOutEverySteps: 5}', 'validate.heldOutEverySteps is 5 but no clips are held out'],
    ['validate: {sampler: {steps: 1001}}', 'validate.sampler.steps is 1001; allowed: at most the 1000 timesteps'],
  ])('%s', (line, message) => {
    const error = failure(`${MINIMAL}${line}\n`);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: 'config.conflict', exitCode: 2 });
  });
  it('held-out clips and timesteps', () => {
    const heldOut = MINIMAL.replace('source: clips', 'source: clips, heldOut: {source: a, fraction: 0.1}');
    expect(failure(heldOut).message).toBe('a.yaml:3:32: data.heldOut has both source and fraction; keep one');
    const one = MINIMAL.replace('source: clips', 'source: clips, heldOut: {fraction: 0.1}');
    const late = failure(`${one}validate: {heldOutEverySteps: 5, heldOutTimesteps: [10, 1000]}\n`);
    expect(late.message).toContain('validate.heldOutTimesteps.1 is 1000; allowed: a whole number from 0 to 999');
    expect(failure(`${one}validate: {heldOutEverySteps: 5, heldOutTimesteps: []}\n`).message).toContain(
      'heldOutTimesteps is empty',
    );
  });
  it('where the networks come from', () => {
    const model = (text: string) => failure(MINIMAL.replace(/model: .*/, `model: ${text}`)).message;
    expect(model('{textEncoder: {tiny: {}}}')).toContain('model names no UNet');
    expect(model('{unet: u}')).toContain('model names no text encoder');
    expect(model('{unet: u, textEncoder: {}}')).toContain('model.textEncoder needs path or tiny');
    expect(model('{unet: u, textEncoder: {path: a, tiny: {}}}')).toContain('has both path and tiny');
    expect(model('{pretrained: u, inflateFrom: v}')).toContain('both give the UNet its weights');
    expect(model('{unet: u, textEncoder: {tiny: {dModel: 10, heads: 4}}}')).toContain(
      'heads is 4; allowed: a divisor of dModel (10)',
    );
  });
  it('a config written in code says so', () => {
    const input = { stage: 'base', output: 'o', data: { source: 's' }, model: { pretrained: 'p' }, seed: -1 } as const;
    expect(inputError(() => parseConfig(input)).message).toContain(
      'the call: seed is -1; allowed: a whole number from 0 to',
    );
    expect(inputError(() => parseConfig({ bogus: 1, ...input, seed: 1 } as unknown as ConfigInput)).message).toContain(
      'the call: unknown key bogus',
    );
  });
});
