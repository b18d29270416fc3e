import { readdirSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { inflateFolder } from '../../src/convert/inflate.js';
import { tf } from '../../src/engine/index.js';
import { UNet2DConditionModel, UNet3DConditionModel } from '../../src/models/index.js';
import { filesOf } from '../helpers/tiny-run.js';
import { SR } from '../models/unet3d/configs.js';
import { tempFolder, thrown } from '../models/weights/files.js';
import { expectSameFiles, put } from './folders.js';

const IMAGE = JSON.parse(JSON.stringify(SR).replaceAll('3D', '2D')) as Record<string, unknown>;

let root: string;
const at = (...name: string[]) => join(root, ...name);
beforeAll(async () => {
  root = tempFolder();
  const image = new UNet2DConditionModel(IMAGE);
  image.initialize(7);
  await image.savePretrained(at('image', 'unet'));
  image.dispose();
});

/** What the model itself would save. */
async function saved(name: string, options: Parameters<typeof UNet3DConditionModel.fromPretrained2d>[1]) {
  const video = await UNet3DConditionModel.fromPretrained2d(at('image', 'unet'), options);
  await video.savePretrained(at(name));
  video.dispose();
  return filesOf(at(name));
}

describe('an inflated folder', () => {
  it('is what the inflated model saves, byte for byte, without the model in memory', async () => {
    const expected = await saved('saved', { seed: 3 });
    const before = tf.memory().numTensors;
    const seen: number[] = [];
    const { parameters, bytes } = await inflateFolder(at('image'), at('video'), {
      seed: 3,
      onProgress: (done, total) => void seen.push(done / total),
    });
    expectSameFiles(await filesOf(at('video')), expected);
    expect(tf.memory().numTensors).toBe(before);
    expect([seen.at(-1), seen.length]).toEqual([1, new UNet3DConditionModel(SR).parameters().size]);
    expect(parameters.spatial).toBe(new UNet2DConditionModel(IMAGE).countParams());
    expect(bytes).toBe(4 * (parameters.spatial + parameters.temporal));
  });

  it('starts as the image model when asked to', async () => {
    await inflateFolder(at('image'), at('still'), { zeroInitTemporal: true });
    expectSameFiles(await filesOf(at('still')), await saved('saved-still', { zeroInitTemporal: true }));
  });

  it('comes in other types and shards', async () => {
    const { bytes } = await inflateFolder(at('image'), at('half'), { dtype: 'BF16', maxShardBytes: 1e6 });
    const files = readdirSync(at('half')).filter(name => name.endsWith('.safetensors'));
    expect(files).toHaveLength(Math.ceil(bytes / 1e6));
    const video = await UNet3DConditionModel.fromPretrained(at('half'));
    expect(video.config.inChannels).toBe(6);
    video.dispose();
  });

  it('is not begun with an image model that does not fit', async () => {
    put(at('other', 'config.json'), JSON.stringify({ ...IMAGE, in_channels: 3 }));
    const file = 'diffusion_pytorch_model.safetensors';
    await inflateFolder(at('image'), at('spare'), {});
    await rename(at('spare', file), at('other', file)); // a video model's weights
    const error = await thrown(() => inflateFolder(at('other'), at('none')));
    expect(error.message).toMatch(/conv_in\.weight: the model has \[32,3,3,3\], .* has \[32,6,3,3\]/);
    expect(readdirSync(root)).not.toContain('none');
  });
});
