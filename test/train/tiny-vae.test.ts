import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openManifest } from '../../src/data/index.js';
import { tf } from '../../src/engine/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import { type TinyVaeRequest, trainTinyVae } from '../../src/train/tiny-vae.js';
import { filesOf, tinyData } from '../helpers/tiny-run.js';

let root: string;
let request: TinyVaeRequest;
beforeAll(async () => {
  root = await tinyData();
  const { entries } = await openManifest(path.join(root, 'shapes', 'train'));
  request = {
    options: { blockOutChannels: [8, 16], latentChannels: 4, steps: 60, batchSize: 4, learningRate: 5e-3, seed: 3 },
    data: { entries, frames: 4, fps: 8, width: 16, height: 16, seed: 0 },
    crop: 8,
    precision: 'fp32',
    compile: true,
    print: () => {},
  };
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('trainTinyVae', () => {
  it('learns to reconstruct, scales its latents, and gives the same weights again', async () => {
    const first = await trainTinyVae(path.join(root, 'short'), {
      ...request,
      options: { ...request.options, steps: 1 },
    });
    const before = tf.memory().numTensors;
    const psnr = await trainTinyVae(path.join(root, 'vae'), request);
    expect(tf.memory().numTensors).toBe(before);
    expect(psnr).toBeGreaterThan(first + 5); // dB

    const vae = await AutoencoderKL.fromPretrained(path.join(root, 'vae'));
    expect(vae.downsampleFactor).toBe(2);
    const noise = tf.randomUniform([4, 16, 16, 3], -1, 1, 'float32', 1);
    expect(vae.encode(noise).mean.shape).toEqual([4, 8, 8, 4]);
    expect(vae.config.scalingFactor).not.toBe(0.18215);
    vae.dispose();

    await trainTinyVae(path.join(root, 'again'), request);
    const [left, right] = [await filesOf(path.join(root, 'vae')), await filesOf(path.join(root, 'again'))];
    for (const [name, bytes] of left) expect(bytes.equals(right.get(name)!), name).toBe(true);
  });
});
