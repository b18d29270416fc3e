import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, type Tensor, tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { UNet2DConditionModel, UNet3DConditionModel } from '../../../src/models/index.js';
import { inflateConfig } from '../../../src/models/unet3d/index.js';
import { judge } from '../../../src/verify/index.js';
import { checkModel } from '../../../src/verify/model-check.js';
import { unconsumedBy } from '../../../src/verify/types.js';
import { runUnet } from '../../../src/verify/unet.js';
import { sample } from '../../engine/finite-difference.js';
import { expectSameState } from '../unet3d/same-state.js';
import { tempFolder } from '../weights/files.js';
import { CONFIGS, PARAMETERS, referenceIo, referenceModel } from './reference.js';

type Name = keyof typeof CONFIGS;
const NAMES = Object.keys(CONFIGS) as Name[];
const IF2 = CONFIGS.if2;

const text = sample([2, 5, 24], 3);
const steps = tf.tensor1d([3, 700], 'int32');
const labels = tf.tensor1d([0, 250], 'int32');
const maxDifference = (a: Tensor, b: Tensor) => tf.tidy(() => a.sub(b).abs().max().dataSync()[0]!);

function ready(config: Record<string, unknown>, seed = 1): UNet2DConditionModel {
  const unet = new UNet2DConditionModel(config);
  unet.initialize(seed);
  return unet;
}

describe('UNet2DConditionModel against diffusers', () => {
  it.each(NAMES)('%s: has its parameters', name => {
    const parameters = [...new UNet2DConditionModel(CONFIGS[name]).parameters()];
    const shapes = Object.fromEntries(parameters.map(([key, p]) => [key, p.torchShape]));
    expect(Object.entries(shapes).sort()).toEqual(Object.entries(PARAMETERS[name]!).sort());
  });

  it.each(NAMES)('%s: gives its output and gradients', async name => {
    const unet = await referenceModel(name);
    const io = referenceIo(name);
    const before = tf.memory().numTensors;
    const checks = checkModel({ io }, { block: unet, run: inputs => runUnet(unet, inputs), output: 'sample' });
    // float64 there, float32 here: 1.4e-6 measured
    const result = judge({ checks, unconsumed: unconsumedBy(checks, { io }) }, { atol: 1e-5, rtol: 1e-5 });
    expect(result.message).toBeUndefined();
    expect(checks.length).toBeGreaterThanOrEqual(5);
    expect(tf.memory().numTensors).toBe(before);
    unet.dispose();
  });
});

describe('UNet2DConditionModel', () => {
  it('takes videos of the samplers’ shape: frames are images that share time, labels and text', () => {
    const unet = ready(IF2);
    const x = sample([2, 3, 4, 8, 6]);
    tf.tidy(() => {
      const out = unet.forward(x, steps, text, { classLabels: labels });
      expect(out.shape).toEqual([2, 3, 4, 8, 6]);
      for (const f of [0, 1, 2]) {
        const image = x.slice([0, f], [-1, 1]).squeeze([1]); // [B, H, W, C]
        const alone = unet.forward(image, steps, text, { classLabels: labels });
        expect(alone.shape).toEqual([2, 4, 8, 6]);
        expect(maxDifference(out.slice([0, f], [-1, 1]).squeeze([1]), alone)).toBeLessThan(1e-5);
      }
    });
    unet.dispose();
  });

  it.each(['if2', 'sd1'] as const)('%s: gives the same compiled', async name => {
    const unet = await referenceModel(name);
    const C = unet.config.inChannels;
    const classLabels = name === 'if2' ? labels : null;
    const x = sample([2, 1, 8, 4, C]);
    const step = (a: Tensor, t: Tensor, c: Tensor, l?: Tensor) => [unet.forward(a, t, c, { classLabels: l })];
    const compiled = compile(step as never, { name: 'unet2d_test' });
    tf.tidy(() => {
      const [traced] = classLabels ? compiled(x, steps, text, classLabels) : compiled(x, steps, text);
      expect(maxDifference(traced!, unet.forward(x, steps, text, { classLabels }))).toBeLessThan(1e-5);
    });
    compiled.dispose();
    unet.dispose();
  });

  it.each(NAMES)('%s: saves a folder with diffusers’ names that loads again, bit for bit', async name => {
    const dir = join(tempFolder(), 'unet');
    const unet = ready(CONFIGS[name], 4);
    await unet.savePretrained(dir);
    const json = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
    expect(json).toMatchObject(CONFIGS[name]);
    expect(json._class_name).toBe('UNet2DConditionModel');
    expect(json).not.toHaveProperty('transfromer_in_opt');
    const again = await UNet2DConditionModel.fromPretrained(dir);
    expect(again.config).toEqual(unet.config);
    expectSameState(again.stateDict(), unet.stateDict());
    unet.dispose();
    again.dispose();
  });

  it.each(['if1', 'if2', 'sd1'] as const)('%s: is what its inflation does to every frame', async name => {
    // Temporal convolutions have 32 groups.
    const config = { ...CONFIGS[name], block_out_channels: [32, 32, 64], attention_head_dim: 8 };
    const dir = tempFolder();
    const image = ready(config, 5);
    await image.savePretrained(dir);
    const video = await UNet3DConditionModel.fromPretrained2d(dir, { zeroInitTemporal: true });
    expect(video.config.downBlockTypes).toEqual(image.config.downBlockTypes.map(type => type.replace('2D', '3D')));
    const x = sample([2, 2, 4, 4, image.config.inChannels]);
    const conditions = { classLabels: name === 'if2' ? labels : null };
    tf.tidy(() => {
      const difference = maxDifference(
        image.forward(x, steps, text, conditions),
        video.forward(x, steps, text, conditions),
      );
      expect(difference).toBeLessThan(1e-5);
    });
    image.dispose();
    video.dispose();
  });

  it('names the models that a config is not for', () => {
    const video = { ...IF2, _class_name: 'UNet3DConditionModel' };
    expect(() => new UNet2DConditionModel(video)).toThrow('a UNet3DConditionModel, not of a UNet2DConditionModel.');
    expect(() => new UNet3DConditionModel(IF2)).toThrow(/not of a UNet3DConditionModel\. .*show1 convert inflate/);
  });

  it('takes the options of later diffusers at what they always were, its inflation too', () => {
    const later = { attention_type: 'default', dropout: 0, reverse_transformer_layers_per_block: null };
    const config = { ...CONFIGS.sd1, ...later, _diffusers_version: '0.42.1' };
    expect(new UNet2DConditionModel(config).config).toEqual(new UNet2DConditionModel(CONFIGS.sd1).config);
    const video = (json: Record<string, unknown>) =>
      new UNet3DConditionModel(inflateConfig({ ...json, block_out_channels: [32, 32, 32] }), { family: 'show1' });
    expect(video(config).config).toEqual(video(CONFIGS.sd1).config);
  });

  const broken: [string, Record<string, unknown>, string][] = [
    ['gated attention', { attention_type: 'gated' }, 'attention_type is "gated"; allowed: "default" only'],
    ['dropout in resnets', { dropout: 0.1 }, 'dropout is 0.1; allowed: 0 only'],
    ['a video block', { down_block_types: ['DownBlock3D', 'DownBlock2D', 'DownBlock2D'] }, 'a list of DownBlock2D'],
    ['a video option', { transfromer_in_opt: true }, 'transfromer_in_opt (true) is not an option'],
    ['a second transformer', { dual_cross_attention: true }, 'dual_cross_attention is true; allowed: false only'],
    ['another block', { mid_block_type: 'UNetMidBlock3DCrossAttn' }, 'allowed: "UNetMidBlock2DCrossAttn"'],
  ];
  it.each(broken)('refuses %s', (_, change, message) => {
    const make = () => new UNet2DConditionModel({ ...IF2, ...change }, { source: 'unet/config.json' });
    expect(make).toThrow(InputError);
    expect(make).toThrow(message);
    expect(make).toThrow('unet/config.json');
  });

  const inputs: [string, () => Tensor, string][] = [
    ['channels', () => tf.zeros([2, 4, 4, 3]), 'sample is [2,4,4,3]; it must be [N, H, W, 6] or [B, F, H, W, 6]'],
    ['rank', () => tf.zeros([4, 4, 6]), 'it must be [N, H, W, 6]'],
    ['size', () => tf.zeros([2, 4, 6, 6]), 'height and width must be multiples of 4'],
    ['batch', () => tf.zeros([3, 4, 4, 6]), 'encoderHiddenStates is [2,5,24]; it must be [3, L, 24]'],
  ];
  it.each(inputs)('explains a wrong input: %s', (_, x, message) => {
    const run = () => new UNet2DConditionModel(IF2).forward(x(), steps, text, { classLabels: labels });
    expect(run).toThrow(InputError);
    expect(run).toThrow(message);
  });

  it('names the file of a wrong config', async () => {
    const dir = tempFolder();
    writeFileSync(join(dir, 'diffusion_pytorch_model.safetensors'), Buffer.from('\x02\0\0\0\0\0\0\0{}'));
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...IF2, in_channels: 0 }));
    const failed = UNet2DConditionModel.fromPretrained(dir);
    await expect(failed).rejects.toThrow(`${join(dir, 'config.json')}: in_channels is 0`);
  });
});
