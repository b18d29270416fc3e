import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openManifest, writeShapes } from '../../src/data/index.js';
import { tf } from '../../src/engine/index.js';
import { openData } from '../../src/train/data.js';
import { readStats } from '../../src/train/logging/index.js';
import { train } from '../../src/train/loop.js';
import { plan } from '../../src/train/plan.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';

/** Each shape is traced anew, which takes long on a busy machine. */
const MINUTES_5 = 300_000;

let root: string;
const quiet = { print: () => {} };

/** A source of square clips of 4 frames and wide ones of 8, and a folder of pictures. */
beforeAll(async () => {
  root = await tinyData();
  await writeShapes(path.join(root, 'wide'), { clips: 32, frames: 8, width: 32, height: 16 });
  for (const part of ['train', 'heldout']) {
    const entries = [];
    for (const name of ['shapes', 'wide'])
      entries.push(...(await openManifest(path.join(root, name, part))).entries.slice(0, 7));
    const rows = entries.map(({ path: file, caption }) => JSON.stringify({ path: file, caption }));
    writeFileSync(path.join(root, `${part}.jsonl`), `${rows.join('\n')}\n`);
  }
  mkdirSync(path.join(root, 'pictures'));
  for (let i = 0; i < 5; i++) {
    const picture = sharp({
      create: { width: 16 + 16 * (i % 2), height: 16, channels: 3, background: { r: 50 * i, g: 90, b: 0 } },
    });
    await picture.png().toFile(path.join(root, 'pictures', `${i}.png`));
    writeFileSync(path.join(root, 'pictures', `${i}.txt`), `picture ${i}`);
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

const SHAPES = [
  { width: 16, height: 16, frames: 4 },
  { width: 32, height: 16, frames: 8, batchSize: 1 },
];
type Changes = Record<string, Record<string, unknown>>;
const shaped = (output: string, changes: Changes = {}, stage: Record<string, unknown> = {}) => {
  const data = {
    ...{ source: path.join(root, 'train.jsonl'), heldOut: { source: path.join(root, 'heldout.jsonl') } },
    ...{ frames: 4, fps: 8, width: 16, height: 16, buckets: SHAPES, ...changes.data },
  };
  return tinyConfig(root, output, { ...changes, data }, stage);
};
const pictures = () => ({ images: { source: path.join(root, 'pictures'), share: 0.3, batchSize: 3 } });

describe('training with buckets and pictures', () => {
  it('resumed in the middle of an epoch, with accumulation, computes the same weights; tensors stay flat', {
    timeout: MINUTES_5,
  }, async () => {
    const changes = {
      data: pictures(),
      train: { steps: 8, batchSize: 2, accumulate: 3 },
      checkpoint: { everySteps: 4 },
    };
    const tensors: number[] = [];
    await train(shaped('straight', changes), {
      print: line => {
        if (line.startsWith('step ')) tensors.push(tf.memory().numTensors);
      },
    });
    expect(tensors).toHaveLength(8);
    expect(new Set(tensors.slice(4)).size).toBe(1);
    const stop = new AbortController();
    const print = (line: string) => {
      if (line.startsWith('step 3/')) stop.abort();
    };
    await expect(train(shaped('stopped', changes), { signal: stop.signal, print })).rejects.toMatchObject({
      exitCode: 130,
    });
    await train(shaped('stopped', changes), { ...quiet, resume: true });
    const files = async (run: string) => filesOf(path.join(root, run, 'checkpoints', 'step-8'));
    const [left, right] = [await files('straight'), await files('stopped')];
    expect([...left.keys()].sort()).toEqual([...right.keys()].sort());
    for (const [name, bytes] of left) expect(bytes.equals(right.get(name)!), name).toBe(true);
  });

  it('measures the held-out loss of all shapes', { timeout: MINUTES_5 }, async () => {
    const validate = {
      heldOutEverySteps: 2,
      heldOutTimesteps: [500],
      everySteps: 2,
      prompts: ['a'],
      sampler: { steps: 1 },
    };
    const lines: string[] = [];
    await train(shaped('measured', { train: { steps: 2, batchSize: 2 }, validate }), {
      print: line => lines.push(line),
    });
    const stats = await readStats(path.join(root, 'measured', 'stats.jsonl'));
    const losses = stats.filter(line => 'heldOut/loss' in line);
    expect(losses).toHaveLength(1);
    expect(losses[0]!['heldOut/loss']).toBeGreaterThan(0);
    expect(lines.filter(line => line.startsWith('data.'))).toEqual([
      'data.source in 16x16x4: 7, 32x16x8: 7',
      'data.heldOut in 16x16x4: 7, 32x16x8: 7',
    ]);
  });

  it.each(['interp', 'sr1', 'sr2'] as const)(
    'stage %s trains and draws validation clips of each shape',
    { timeout: MINUTES_5 },
    async name => {
      const stage = STAGE_CHANGES[name];
      const validate = {
        everySteps: 3,
        clips: 3,
        sampler: { steps: 2 },
        heldOutEverySteps: 3,
        heldOutTimesteps: [200],
      };
      const data = name === 'sr2' ? pictures() : {};
      await train(shaped(name, { data, train: { steps: 3, batchSize: 2 }, validate }, stage), quiet);
      const samples = JSON.parse(await readFile(path.join(root, name, 'samples', 'step-3', 'samples.json'), 'utf8'));
      expect(samples).toHaveLength(3);
      const sizes = await Promise.all(
        samples.map(({ path: file }: { path: string }) =>
          sharp(path.join(root, name, 'samples', 'step-3', file)).metadata(),
        ),
      );
      expect(new Set(sizes.map(({ width, height }) => width! / height!)).size).toBe(2); // 3:1 and 6:1 side by side
    },
  );
});

describe('the data of a config', () => {
  it('has only clips with a bucket, and counts the others', async () => {
    const lines: string[] = [];
    const config = shaped('x', { data: { buckets: [SHAPES[0]!], bucketMaxCrop: 0.3, ...pictures() } });
    const data = await openData(config, line => lines.push(line));
    expect([data.train.length, data.skipped, data.images!.entries.length, data.captions.includes('picture 2')]).toEqual(
      [7, 7, 3, true],
    );
    expect(lines).toContain('data.source in 16x16x4: 7; left out 7 other aspect');
    expect(lines.find(line => line.startsWith('  left out'))).toMatch(
      /is 32x16; the nearest bucket, 16x16, would lose 50 % of it, more than 30 %/,
    );
    expect(lines).toContain('data.images in 16x16x1: 3; left out 2 other aspect');
    expect(data.clipsPerBatch).toBeCloseTo(0.7 * 2 + 0.3 * 3, 6);
  });

  it('of which no clip has a bucket is refused', async () => {
    const config = shaped('x', { data: { frames: 40, buckets: [{ width: 16, height: 16, frames: 40 }] } });
    await expect(openData(config, () => {})).rejects.toMatchObject({
      code: 'data.no-bucket',
      message: expect.stringMatching(
        /none of the 14 clips of .*train\.jsonl fits a shape of data\.buckets: 14 too short\. First: .* has 4 frames at 8 fps .* needs 40\. Add a shape, or raise/,
      ),
    });
  });

  it('is planned for by its largest shape', async () => {
    expect((await plan(shaped('x', { train: { batchSize: 2 } }), { calibrate: false })).batchShape).toEqual([
      1, 8, 16, 32, 3,
    ]);
  });
});
