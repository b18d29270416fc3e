/** Every config of configs/tiny trains, measures, samples and saves, all from one dataset of 128 × 128 pixels at 32 frames a second. */
import { readdirSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { createLoader, openManifest } from '../../src/data/index.js';
import { writeShapes } from '../../src/data/shapes.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import type { Combination } from '../../src/data/shapes-vocabulary.js';
import { train } from '../../src/train/loop.js';

const CONFIGS = fileURLToPath(new URL('../../configs/tiny', import.meta.url));
const SIZE = { width: 128, height: 128, frames: 29 };
const at = (...parts: string[]) => path.join(root, ...parts);
let root: string;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'show1-tiny-configs-'));
  await writeShapes(at('shapes'), { ...SIZE, clips: 26, fps: 32 });
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(readdirSync(CONFIGS))('configs/tiny/%s', file => {
  it('runs end to end', async () => {
    const { config } = loadConfig(path.join(CONFIGS, file), {
      set: [
        `data.source=${at('shapes', 'train')}`,
        `data.heldOut.source=${at('shapes', 'heldout')}`,
        `output=${at(file)}`,
        ...['train.steps=2', 'train.batchSize=1', 'train.warmupSteps=0'],
        ...['validate.everySteps=2', 'validate.sampler.steps=5', 'validate.heldOutEverySteps=2'],
        ...(file === 'base.yaml' ? ['validate.prompts=[a red square moves up]'] : ['validate.clips=1']),
        ...(file === 'sr2.yaml'
          ? ['model.vae.tiny.steps=2', 'model.vae.tiny.batchSize=1', 'model.vae.tiny.blockOutChannels=[8, 8, 8]']
          : []),
      ],
    });
    const summary = await train(config, { print: () => {} });
    expect(summary.loss).toBeGreaterThan(0);
    expect(summary.heldOutLoss).toBeGreaterThan(0);
    expect(summary.skippedClips).toBe(0);
    expect(await readdir(at(file, 'samples', 'step-2'))).toContain('sheet.png');
  });
});

/** Which of the drawn frames each frame of a clip is: the one that it differs least from. */
function frameIndices(video: Float32Array, shape: readonly number[], reference: Float32Array[]): number[] {
  const [, F, H, W] = shape as [number, number, number, number];
  const size = H * W * 3;
  return Array.from({ length: F }, (_, f) => {
    const errors = reference.map(frame => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += (video[f * size + i]! - frame[i]!) ** 2;
      return sum;
    });
    return errors.indexOf(Math.min(...errors));
  });
}

/** The clip's 29 frames at a small size: means of blocks, in [-1, 1]. */
function drawn(row: Combination, index: number, side: number): Float32Array[] {
  const { data, frames, width } = renderClip(describeClip(row, SIZE, 0, index));
  const factor = width / side;
  return Array.from({ length: frames }, (_, f) => {
    const small = new Float32Array(side * side * 3);
    for (let y = 0; y < width; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) {
          const to = (Math.floor(y / factor) * side + Math.floor(x / factor)) * 3 + c;
          small[to]! += (data[((f * width + y) * width + x) * 3 + c]! / 127.5 - 1) / factor ** 2;
        }
      }
    }
    return small;
  });
}

describe('one dataset for all stages', () => {
  it.each([
    ['base', 8, 8, 16],
    ['interp', 5, 32, 16],
    ['sr1', 8, 32, 64],
    ['sr2', 8, 32, 128],
  ])('%s reads exactly the frames of its rate, from windows anywhere', async (_, frames, fps, side) => {
    const { entries } = await openManifest(at('shapes', 'train'));
    const loader = createLoader({
      entries,
      frames,
      fps,
      width: side,
      height: side,
      batchSize: 1,
      seed: 1,
      prefetch: 0,
    });
    const step = 32 / fps;
    const starts = new Set<number>();
    for (let i = 0; i < 12; i++) {
      const batch = await loader.batch(i);
      const [, number, colour, shape, direction] = /(\d+)-(\w+)-(\w+)-(\w+)/.exec(batch.ids[0]!)!;
      const reference = drawn({ colour, shape, direction } as Combination, Number(number), side);
      const found = frameIndices(batch.videos, batch.shape, reference);
      expect(found).toEqual(Array.from({ length: frames }, (_, f) => found[0]! + f * step));
      starts.add(found[0]!);
    }
    await loader.close();
    if (fps === 8)
      expect([...starts]).toEqual([0]); // the keyframes 0, 4, … 28
    else expect(starts.size).toBeGreaterThan(5);
  });
});
