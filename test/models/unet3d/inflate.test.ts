import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Tensor, tf } from '../../../src/engine/index.js';
import { isTemporal, UNet3DConditionModel } from '../../../src/models/index.js';
import { writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { sample } from '../../engine/finite-difference.js';
import { tempFolder } from '../weights/files.js';
import { LATENT_SHOW1, PIXEL } from './configs.js';
import { expectSameState, sameBytes } from './same-state.js';

type State = ReturnType<UNet3DConditionModel['stateDict']>;

/** A folder of a 2D UNet: the spatial weights of a video model, and its config with 2D block names. */
async function imageModel(config: Record<string, unknown>, change: (state: State) => State = s => s) {
  const unet = new UNet3DConditionModel(config);
  unet.initialize(7);
  const spatial = Object.fromEntries(Object.entries(unet.stateDict()).filter(([name]) => !isTemporal(name)));
  unet.dispose();
  const dir = tempFolder();
  const entries = Object.entries(change(spatial)).map(([name, tensor]) => ({ name, ...tensor }));
  await writeSafetensors(join(dir, 'diffusion_pytorch_model.safetensors'), entries);
  const json = JSON.stringify({ ...config, _class_name: 'UNet2DConditionModel' })
    .replaceAll('3D"', '2D"')
    .replaceAll('Block3D', 'Block2D');
  writeFileSync(join(dir, 'config.json'), json);
  return { dir, spatial };
}

const maxDifference = (a: Tensor, b: Tensor) => tf.tidy(() => a.sub(b).abs().max().dataSync()[0]!);

describe('inflation of an image UNet', () => {
  it.each([
    ['pixel', PIXEL, 3],
    ['latent', LATENT_SHOW1, 4],
  ])('%s: keeps the image weights and draws the temporal ones by seed', async (_, config, C) => {
    const { dir, spatial } = await imageModel(config);
    const unet = await UNet3DConditionModel.fromPretrained2d(dir, { seed: 3 });
    expect(unet.config.family).toBe('show1');
    expect(unet.config.downBlockTypes).toEqual(config.down_block_types);
    const state = unet.stateDict();
    for (const [name, { data }] of Object.entries(spatial)) expect(sameBytes(state[name]!.data, data), name).toBe(true);
    const temporal = Object.keys(state).filter(isTemporal);
    expect(temporal.length).toBeGreaterThan(50);

    const same = await UNet3DConditionModel.fromPretrained2d(dir, { seed: 3 });
    const other = await UNet3DConditionModel.fromPretrained2d(dir, { seed: 4 });
    expectSameState(same.stateDict(), state);
    const name = 'mid_block.temp_attentions.0.proj_out.weight';
    expect(sameBytes(other.stateDict()[name]!.data, state[name]!.data)).toBe(false);
    expect(state['mid_block.temp_convs.0.conv4.3.weight']!.data.every(v => v === 0)).toBe(true);

    // Fresh temporal attention mixes frames; cleared, each frame is the image model's.
    const x = sample([1, 3, 4, 4, C]);
    const text = sample([1, 4, 12], 2);
    const still = await UNet3DConditionModel.fromPretrained2d(dir, { seed: 3, zeroInitTemporal: true });
    tf.tidy(() => {
      const frame = (unet: UNet3DConditionModel) => unet.forward(x.slice([0, 1], [1, 1]), 5, text);
      const middle = (unet: UNet3DConditionModel) => unet.forward(x, 5, text).slice([0, 1], [1, 1]);
      expect(maxDifference(middle(still), frame(still))).toBeLessThan(1e-5);
      expect(maxDifference(middle(unet), frame(still))).toBeGreaterThan(1e-3);
    });
    for (const model of [unet, same, other, still]) model.dispose();
  });

  it('does not start an image layer from nothing', async () => {
    const { dir } = await imageModel(PIXEL, ({ 'conv_in.bias': _, ...state }) => state);
    await expect(UNet3DConditionModel.fromPretrained2d(dir)).rejects.toThrow(/1 missing:\n {2}conv_in\.bias/);
  });

  it('refuses a block without a 3D twin', async () => {
    const { dir } = await imageModel(PIXEL);
    writeFileSync(
      join(dir, 'config.json'),
      JSON.stringify({ ...PIXEL, down_block_types: ['AttnDownBlock2D', 'DownBlock2D'] }),
    );
    await expect(UNet3DConditionModel.fromPretrained2d(dir)).rejects.toThrow('AttnDownBlock3D');
  });
});
