import { expect, test } from 'vitest';
import { describeDevice, inspectRuntime } from '../../src/engine/runtime.js';

const cpu = { gpu: false, devices: ['/device:CPU:0'], log: [] };
const build = (variant: 'cpu' | 'cuda') => ({
  version: '2.21.0',
  build: variant,
  source: 'wheel',
  detail: '',
  compiler: '',
});

test('says why the CPU is used', () => {
  const why = (gpus: string[], variant: 'cpu' | 'cuda', log: string[] = [], platform: NodeJS.Platform = 'linux') =>
    describeDevice('auto', { ...cpu, log }, { gpus, tensorflow: build(variant) }, platform).why;
  expect(why([], 'cpu')).toMatch(/no NVIDIA GPU/);
  expect(why(['H200'], 'cpu')).toMatch(/H200 is there, but this is TensorFlow's CPU build/);
  const log = ['Found device 0', 'Cannot dlopen some GPU libraries. Skipping registering GPU devices...'];
  expect(why(['H200'], 'cuda', log)).toMatch(/could not use H200: Cannot dlopen/);
  expect(why(['H200'], 'cuda')).toMatch(/it gave no reason/);
  expect(why([], 'cpu', [], 'darwin')).toMatch(/macOS/);
});

test('names the GPU when it is used', () => {
  const report = { gpu: true, devices: ['/device:CPU:0', '/device:GPU:0'], log: [] };
  const device = describeDevice('cuda', report, { gpus: ['H200'], tensorflow: build('cuda') }, 'linux');
  expect(device).toMatchObject({ kind: 'cuda', why: 'TensorFlow uses H200' });
});

test('this machine trains: right convolution, bfloat16, the pinned TensorFlow', async () => {
  const facts = await inspectRuntime();
  expect(facts.convolution).toEqual({ ok: true });
  expect(facts.dtypes.float32?.ok).toBe(true);
  expect(facts.dtypes.bfloat16?.ok).toBe(true);
  expect(facts.tensorflow?.version).toMatch(/^2\.\d+\.\d+$/);
  expect(facts.device.names.length).toBeGreaterThan(0);
  expect(facts.problems).toEqual([]);
});

test('asking for CUDA where there is none is a problem with a remedy, never a silent fallback', async () => {
  const facts = await inspectRuntime('cuda');
  if (facts.device.kind === 'cuda') {
    expect(facts.problems).toEqual([]);
    return;
  }
  expect(facts.problems).toHaveLength(1);
  expect(facts.problems[0]?.what).toMatch(/device cuda was asked for/);
  expect(facts.problems[0]?.fix.length).toBeGreaterThan(10);
});
