import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Frames } from '../../src/data/frames.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { C3D_CHANNEL_MEAN, c3dMeanOf, readC3dMean } from '../../src/eval/c3d-mean.js';
import { c3dInput, clipInput, fvdInput, inceptionInput } from '../../src/eval/preprocess.js';
import { writeSafetensors } from '../../src/models/weights/safetensors.js';
import { tempFolder } from '../models/weights/files.js';
import { uniform } from './features.js';

interface Golden {
  shape: number[];
  mean: number;
  /** Those at 0, 102947, 2 · 102947 … modulo the length. */
  values: number[];
  /** Of the 8-bit values before the normalisation. */
  sha256?: string;
}

/** Made by test/reference/preprocess.py with torch and Pillow. */
const golden = JSON.parse(readFileSync(new URL('./preprocess.json', import.meta.url), 'utf8')) as {
  cases: ({ seed: number; frames: number; height: number; width: number } & Record<
    'stylegan-v' | 'videogpt' | 'clean' | 'legacy-pytorch' | 'clip 224' | 'clip 31',
    Golden
  > &
    Partial<Record<'c3d' | 'c3d channels', Golden>>)[];
};

function clipOf(seed: number, frames: number, height: number, width: number): Frames {
  const values = uniform(seed, frames * height, width * 3);
  const data = new Uint8Array(values.length);
  for (let i = 0; i < data.length; i++) data[i] = Math.floor((values[i]! + 0.5) * 256);
  return { data, frames, height, width };
}

function check(actual: Tensor, { shape, mean, values }: Golden, tolerance: number, batched = false): void {
  const data = actual.dataSync<'float32'>();
  expect(actual.shape).toEqual(batched ? [1, ...shape] : shape);
  actual.dispose();
  const worst = Math.max(...values.map((value, i) => Math.abs(data[(i * 102947) % data.length]! - value)));
  expect(worst).toBeLessThanOrEqual(tolerance);
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]!;
  expect(Math.abs(sum / data.length - mean)).toBeLessThanOrEqual(tolerance);
}

const cases = golden.cases.map(one => [`${one.frames} frames of ${one.width}×${one.height}`, one] as const);
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];
const MEAN_VIDEO = Float32Array.from(uniform(100, 3 * 16 * 128, 171), u => 96 + 32 * Math.fround(u));
const meanVideo = () => MEAN_VIDEO;

describe('inputs of the networks equal torch and PIL', () => {
  it.each(cases)('%s', (_, one) => {
    const frames = clipOf(one.seed, one.frames, one.height, one.width);
    const before = tf.memory().numTensors;
    check(fvdInput(frames, 'stylegan-v'), one['stylegan-v'], 1e-5, true);
    check(fvdInput(frames, 'videogpt'), one.videogpt, 1e-5, true);
    check(inceptionInput(frames, 'clean'), one.clean, 1e-7);
    check(inceptionInput(frames, 'legacy-pytorch'), one['legacy-pytorch'], 1e-5);
    for (const size of [224, 31] as const) {
      const input = clipInput(frames, size);
      const expected = one[`clip ${size}`];
      const bytes = tf.tidy(() => input.mul(STD).add(MEAN).mul(255).round().dataSync());
      expect(createHash('sha256').update(Uint8Array.from(bytes)).digest('hex')).toBe(expected.sha256);
      check(input, expected, 1e-6);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each(cases.filter(([, one]) => one.c3d && one.width !== one.height))('C3D, %s', async (_, one) => {
    const frames = clipOf(one.seed, 16, one.height, one.width);
    const file = join(tempFolder(), 'mean.safetensors');
    await writeSafetensors(file, [{ name: 'mean', shape: [3, 16, 128, 171], data: meanVideo() }]);
    const mean = await readC3dMean(file);
    const before = tf.memory().numTensors;
    check(c3dInput(frames, mean), one.c3d!, 1e-5 * 128, true);
    check(c3dInput(frames, C3D_CHANNEL_MEAN), one['c3d channels']!, 1e-5 * 128, true);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('large clips', () => {
  it('go through in pieces, and give what their frames give alone', () => {
    const data = new Uint8Array(3 * 1200 * 3000 * 3); // more than the budget of one piece, which takes two frames
    for (let i = 0; i < data.length; i++) data[i] = (i * 7919) >> 8;
    const frames = { data, frames: 3, height: 1200, width: 3000 };
    const input = fvdInput(frames, 'videogpt');
    const size = data.length / 3;
    for (const f of [0, 1, 2]) {
      const alone = fvdInput(
        { ...frames, data: frames.data.subarray(f * size, (f + 1) * size), frames: 1 },
        'videogpt',
      );
      expect(input.slice([0, f], [1, 1]).dataSync()).toEqual(alone.dataSync());
      alone.dispose();
    }
    input.dispose();
  });
});

describe('the mean of C3D', () => {
  const write = async (tensors: Parameters<typeof writeSafetensors>[1]) => {
    const file = join(tempFolder(), 'mean.safetensors');
    await writeSafetensors(file, tensors);
    return file;
  };

  it('lies beside the weights, else the mean colour is taken, which says so', async () => {
    const file = await write([{ name: 'mean', shape: [3, 16, 128, 171], data: meanVideo() }]);
    const found = await c3dMeanOf(join(file, '..'));
    expect(found.id).toMatch(/^[0-9a-f]{64}$/);
    // Frame 2, row 1, column 3, green: the cut starts 8 pixels in.
    expect(found.values[((2 * 112 + 1) * 112 + 3) * 3 + 1]).toBe(meanVideo()[((1 * 16 + 2) * 128 + 9) * 171 + 11]);
    expect((await c3dMeanOf(tempFolder())).id).toBe('channels');
  });

  it('may be cut already', async () => {
    const data = meanVideo().subarray(0, 3 * 16 * 112 * 112);
    const { values } = await readC3dMean(await write([{ name: 'mean', shape: [3, 16, 112, 112], data }]));
    expect(values[1]).toBe(data[16 * 112 * 112]);
  });

  it('is refused when it is something else', async () => {
    const other = await write([{ name: 'weight', shape: [2], data: new Float32Array(2) }]);
    await expect(readC3dMean(other)).rejects.toThrow(/has no tensor "mean"; it must be \[3, 16, 128, 171\]/);
    const wrong = await write([{ name: 'mean', shape: [3], data: new Float32Array(3) }]);
    await expect(readC3dMean(wrong)).rejects.toThrow(/its tensor "mean" is \[3\]/);
    const data = meanVideo().slice(0, 3 * 16 * 112 * 112);
    data[5] = -1;
    const negative = await write([{ name: 'mean', shape: [3, 16, 112, 112], data }]);
    await expect(readC3dMean(negative)).rejects.toThrow(/a mean of -1 is no colour/);
  });

  it('needs clips of 16 frames', () => {
    expect(() => c3dInput(clipOf(1, 15, 4, 4), C3D_CHANNEL_MEAN)).toThrow(/clips of 16 frames, got 15/);
  });
});
