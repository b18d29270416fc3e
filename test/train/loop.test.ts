import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tf } from '../../src/engine/index.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { readStats } from '../../src/train/logging/index.js';
import { train } from '../../src/train/loop.js';
import { plan } from '../../src/train/plan.js';
import { filesOf, tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
const quiet = { print: () => {} };
const at = (run: string, step: number) => path.join(root, run, 'checkpoints', `step-${step}`);
beforeAll(async () => {
  root = await tinyData();
  await train(
    tinyConfig(root, 'straight', {
      validate: {
        everySteps: 6,
        prompts: ['a red square moves up'],
        sampler: { steps: 2 },
        heldOutEverySteps: 3,
        heldOutTimesteps: [200, 800],
      },
    }),
    quiet,
  );
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function expectEqual(a: string, b: string): Promise<void> {
  const [left, right] = [await filesOf(a), await filesOf(b)];
  expect([...left.keys()].sort()).toEqual([...right.keys()].sort());
  for (const [name, bytes] of left) expect(bytes.equals(right.get(name)!), name).toBe(true);
}

describe('train', () => {
  it('lowers the loss, and writes what a run folder promises', async () => {
    const run = path.join(root, 'straight');
    const stats = await readStats(path.join(run, 'stats.jsonl'));
    expect(stats.filter(line => 'loss' in line).map(line => line.step)).toEqual([1, 2, 3, 4, 5, 6]);
    const heldOut = stats.filter(line => 'heldOut/loss' in line).map(line => line['heldOut/loss'] as number);
    expect(heldOut).toHaveLength(2);
    expect(heldOut[1]!).toBeLessThan(heldOut[0]!);
    const files = await readdir(run);
    for (const name of [
      'config.yaml',
      'trainable.json',
      'stats.jsonl',
      'scheduler',
      'text_encoder',
      'tokenizer',
      'samples',
      'checkpoints',
    ]) {
      expect(files, name).toContain(name);
    }
    expect(files.some(name => name.includes('tfevents'))).toBe(true);
    const samples = await readdir(path.join(run, 'samples', 'step-6'));
    expect(samples.filter(name => /\.(gif|png)$/.test(name)).sort()).toEqual([
      '00-a-red-square-moves-up.gif',
      'sheet.png',
    ]);
    expect(existsSync(path.join(at('straight', 6), 'unet', 'diffusion_pytorch_model.safetensors'))).toBe(true);
  });

  it('interrupted and resumed, it computes byte-identical weights, moments and averages', async () => {
    const controller = new AbortController();
    const config = tinyConfig(root, 'interrupted');
    const print = (line: string) => {
      if (line.startsWith('step 2/')) controller.abort();
    };
    await expect(train(config, { signal: controller.signal, print })).rejects.toMatchObject({ exitCode: 130 });
    await train(config, { ...quiet, resume: true });
    await expectEqual(at('interrupted', 6), at('straight', 6));
  });

  it('hears an interruption from outside even when every clip comes from memory', async () => {
    const controller = new AbortController();
    const config = tinyConfig(root, 'cached', {
      train: { steps: 60, batchSize: 1 },
      data: { source: path.join(root, 'shapes', 'train'), workers: 0 },
      log: { everySteps: 30 },
    });
    const print = (line: string) => {
      if (line.startsWith('step 30/')) setTimeout(() => controller.abort(), 0); // as a signal: by the event loop
    };
    await expect(train(config, { signal: controller.signal, print })).rejects.toThrow(/interrupted at step 3\d;/);
  });

  it('with accumulation it takes the same number of optimizer steps over more clips', async () => {
    const config = tinyConfig(root, 'accumulated', {
      train: { steps: 2, batchSize: 1, accumulate: 2, dropout: false },
    });
    const summary = await train(config, quiet);
    expect(summary.loss).toBeGreaterThan(0);
    expect(existsSync(at('accumulated', 2))).toBe(true);
  });

  it('a masked run leaves every other tensor bit-identical and keeps no state for it', async () => {
    const first = tinyConfig(root, 'mask', {
      model: { pretrained: at('straight', 6), textEncoder: { path: path.join(root, 'straight', 'text_encoder') } },
      train: { steps: 2, trainable: { preset: 'temporal-attention' } },
    });
    await train(first, quiet);
    const [before, after] = [
      openSafetensors(path.join(at('straight', 6), 'ema')), // what a run gives to be started from,
      openSafetensors(path.join(at('mask', 2), 'unet')),
    ];
    const changed = before
      .names()
      .filter(
        name =>
          Buffer.compare(Buffer.from(before.readSync(name).buffer), Buffer.from(after.readSync(name).buffer)) !== 0,
      );
    expect(changed.length).toBeGreaterThan(10);
    expect(changed.every(name => name.includes('.temp_attentions.'))).toBe(true);
    const moments = openSafetensors(path.join(at('mask', 2), 'optimizer.safetensors'));
    expect(moments.names().every(name => name.includes('.temp_attentions.'))).toBe(true);
    for (const reader of [before, after, moments]) reader.close();
  });

  it('stops at a loss that is not finite and keeps the last good weights', async () => {
    const config = tinyConfig(root, 'diverged', { train: { steps: 6, learningRate: 1e30, clipNorm: 0 } });
    await expect(train(config, quiet)).rejects.toThrow(
      /the loss is .* The weights of step \d+ are intact and saved.*Lower train\.learningRate/s,
    );
  });

  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors;
    await train(tinyConfig(root, 'leak', { train: { steps: 1 } }), quiet);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('learns a variance with six output channels', async () => {
    const { TINY_UNET } = await import('../helpers/tiny-run.js');
    const config = tinyConfig(root, 'variance', {
      model: { unet: { ...TINY_UNET, out_channels: 6 } },
      diffusion: { scheduler: { prediction_type: 'epsilon', variance_type: 'learned_range' } },
      train: { steps: 2 },
    });
    expect((await train(config, quiet)).loss).toBeGreaterThan(0);
  });
});

describe('what training refuses', () => {
  it('a folder that holds a run, without --resume', async () => {
    await expect(train(tinyConfig(root, 'straight'), quiet)).rejects.toThrow(
      /already holds a run at step 6\. Add --resume/,
    );
  });
  it('a resume with another seed or other trainable parameters', async () => {
    const other = { ...tinyConfig(root, 'interrupted', { train: { steps: 8 } }), seed: 6 };
    await expect(train(other, { ...quiet, resume: true })).rejects.toThrow(/seed was 5, is now 6/);
    const mask = tinyConfig(root, 'interrupted', { train: { steps: 8, trainable: { preset: 'temporal' } } });
    await expect(train(mask, { ...quiet, resume: true })).rejects.toThrow(/it trained other parameters/);
  });
  it('a UNet whose text width is not the encoder’s', async () => {
    const { TINY_UNET } = await import('../helpers/tiny-run.js');
    const config = tinyConfig(root, 'width', { model: { unet: { ...TINY_UNET, encoder_hid_dim: 48 } } });
    await expect(train(config, quiet)).rejects.toThrow(/text embeddings of width 48, the text encoder gives 32/);
  });
  it('channels that do not fit the stage', async () => {
    const { TINY_UNET } = await import('../helpers/tiny-run.js');
    const config = tinyConfig(root, 'channels', { model: { unet: { ...TINY_UNET, in_channels: 7 } } });
    await expect(train(config, quiet)).rejects.toThrow(/in_channels 7; it must be 3/);
  });
});

describe('plan', () => {
  it('counts parameters and memory, and times a step', async () => {
    const config = tinyConfig(root, 'plan', { train: { trainable: { preset: 'temporal-attention' } } });
    const result = await plan(config);
    expect(result.batchShape).toEqual([2, 4, 16, 16, 3]);
    const parts = Object.values(result.parameters.byPart);
    expect(parts.reduce((sum, part) => sum + part.total, 0)).toBe(result.parameters.total);
    expect(result.parameters.trainable).toBeLessThan(result.parameters.total);
    expect(result.memory.moments).toBe(8 * result.parameters.trainable);
    expect(result.calibration!.secondsPerStep).toBeGreaterThan(0);
    const { stepBytes, peakBytes } = result.predicted;
    expect(stepBytes).toBeGreaterThan(4 * result.parameters.trainable); // the gradients at least
    expect(peakBytes).toBeGreaterThan(stepBytes + result.memory.weights);
    expect(existsSync(config.output)).toBe(false);
  });
});

describe('sampling a run', () => {
  it('writes mp4, GIF, sheet and list; the same seed gives the same video, whatever its batch', async () => {
    const request = { model: path.join(root, 'straight'), seed: 3, steps: 2 };
    const prompts = ['a red square moves up', 'a blue circle moves down'];
    const together = await samplePrompts({ ...request, prompts, out: path.join(root, 'a') });
    await samplePrompts({ ...request, prompts, out: path.join(root, 'b'), batch: 1 });
    const files = await filesOf(path.join(root, 'a'));
    expect([...files.keys()].sort()).toEqual([
      '00-a-red-square-moves-up.gif',
      '00-a-red-square-moves-up.mp4',
      '01-a-blue-circle-moves-down.gif',
      '01-a-blue-circle-moves-down.mp4',
      'samples.json',
      'sheet.png',
    ]);
    expect(together.settings).toMatchObject({ frames: 4, width: 16, height: 16, steps: 2 });
    const list = JSON.parse(await readFile(path.join(root, 'a', 'samples.json'), 'utf8')) as { seed: number }[];
    expect(list.map(entry => entry.seed)).toEqual([3, 4]);
  });

  it.each(['ddim', 'ddpm', 'dpmsolver++'] as const)('samples with %s', async sampler => {
    const result = await samplePrompts({
      model: at('straight', 6),
      prompts: ['a red square'],
      out: path.join(root, sampler),
      seed: 1,
      steps: 3,
      sampler,
      weights: 'raw',
    });
    expect(existsSync(result.samples[0]!.path)).toBe(true);
  });

  it('says what a folder lacks', async () => {
    const ask = (model: string) => samplePrompts({ model, prompts: ['x'], out: path.join(root, 'x'), seed: 1 });
    await expect(ask(path.join(root, 'nowhere'))).rejects.toThrow(/there is no such folder/);
    await expect(ask(path.join(root, 'shapes'))).rejects.toThrow(
      /lacks base .* Each needs a run, or a diffusers pipeline/,
    );
  });
});
