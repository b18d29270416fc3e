import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tf } from '../../src/engine/index.js';
import { train } from '../../src/train/loop.js';
import { failure } from '../data/helpers.js';
import { writeTinyNetwork } from '../helpers/tiny-metrics.js';
import { STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
const net = (kind: string) => path.join(root, 'nets', kind);
beforeAll(async () => {
  root = await tinyData();
  for (const kind of ['clip', 'inception-v3', 'c3d'] as const) await writeTinyNetwork(path.join(root, 'nets'), kind);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const changes = (metrics: object, train: object = {}) => ({
  train: { steps: 2, batchSize: 2, ema: { decay: 0 }, ...train },
  validate: { sampler: { steps: 2 }, metrics },
});
const stats = async (run: string) =>
  (await readFile(path.join(root, run, 'stats.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, number>);

describe('validate.metrics', () => {
  it('logs figures of drawn videos, the same for the same weights; once says that samples are few', async () => {
    const metrics = {
      everySteps: 1,
      samples: 2,
      clipsim: { weights: net('clip') },
      fidVid: { weights: net('inception-v3') },
    };
    const lines: string[] = [];
    const before = tf.memory().numTensors;
    await train(tinyConfig(root, 'still', changes(metrics, { learningRate: 1e-30 })), {
      print: line => lines.push(line),
    });
    expect(tf.memory().numTensors).toBe(before);
    const logged = (await stats('still')).filter(line => 'metrics/clipsim' in line);
    expect(logged.map(({ step }) => step)).toEqual([1, 2]);
    expect(logged[0]!['metrics/fid-vid']).toBeGreaterThan(0);
    const [first, second] = logged.map(({ step: _, time: __, ...figures }) => figures);
    expect(
      Object.keys(first!)
        .filter(name => name.startsWith('metrics/'))
        .sort(),
    ).toEqual(['metrics/clipsim', 'metrics/consistency', 'metrics/fid-vid']);
    for (const name of Object.keys(first!).filter(one => one.startsWith('metrics/'))) {
      expect(second![name], name).toBe(first![name]);
    }
    expect(lines.filter(line => line.includes('are few for FID-vid (papers: 2048)'))).toHaveLength(1);
    expect(
      lines.filter(line => /^metrics of 2 samples at step [12]: fid-vid \d.*, clipsim -?\d/.test(line)),
    ).toHaveLength(2);
  });
  it('follows the weights, in a stage that works on clips too', async () => {
    const metrics = { everySteps: 2, samples: 2, clipsim: { weights: net('clip') } };
    await train(tinyConfig(root, 'sr1', changes(metrics, { steps: 3, learningRate: 0.01 }), STAGE_CHANGES.sr1), {
      print: () => {},
    });
    const figures = (await stats('sr1')).flatMap(line => ('metrics/clipsim' in line ? [line['metrics/clipsim']] : []));
    expect(figures).toHaveLength(2); // at step 2, and at the last
    expect(figures[0]).not.toBe(figures[1]);
  });
  it('is checked before anything is written', async () => {
    const wrong = tinyConfig(root, 'wrong', changes({ samples: 2, clipsim: { weights: path.join(root, 'no') } }));
    const error = await failure(() => train(wrong, { print: () => {} }));
    expect(error.exitCode).toBe(2);
    expect(error.message).toMatch(/^validate\.metrics\.clipsim\.weights: There are no weights of clip at /);
    const kind = tinyConfig(root, 'wrong', changes({ samples: 2, fidVid: { weights: net('c3d') } }));
    expect((await failure(() => train(kind, { print: () => {} }))).message).toContain(
      'holds c3d, where inception-v3 is',
    );
    await expect(readFile(path.join(root, 'wrong', 'config.yaml'))).rejects.toThrow('ENOENT');
  });
  it('asks for clips that the networks take', async () => {
    const reasons = (metrics: object) => {
      try {
        tinyConfig(root, 'none', changes(metrics));
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(reasons({ fvd: { weights: 'x' } })).toContain('validate.metrics.fvd needs clips of 10 frames or more');
    expect(reasons({ is: { weights: 'x' } })).toContain('validate.metrics.is needs clips of 16 frames');
    expect(reasons({ samples: 4 })).toContain('validate.metrics names no metric');
    expect(reasons({ clipsim: {} })).toContain('weights');
  });
});
