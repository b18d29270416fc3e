import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, rngKey, type Tensor, tf, valueAndGrads, withDropout } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { type Block, UNet3DConditionModel } from '../../../src/models/index.js';
import { sample } from '../../engine/finite-difference.js';
import { tempFolder } from '../weights/files.js';
import { LATENT, LATENT_SHOW1, PIXEL, SR } from './configs.js';
import { expectSameState } from './same-state.js';

const text = sample([2, 5, 12], 3);
const steps = tf.tensor1d([3, 700], 'int32');
const labels = tf.tensor1d([0, 250], 'int32');

function ready(config: Record<string, unknown>, seed = 1): UNet3DConditionModel {
  const unet = new UNet3DConditionModel(config);
  unet.initialize(seed);
  return unet;
}

const digest = (values: NodeJS.ArrayBufferView) => createHash('sha256').update(values).digest('hex');
const maxDifference = (a: Tensor, b: Tensor) => tf.tidy(() => a.sub(b).abs().max().dataSync()[0]!);

describe('UNet3DConditionModel', () => {
  it.each([
    ['pixel', PIXEL, [2, 3, 4, 6, 3], [2, 3, 4, 6, 6]],
    ['pixel, one frame', PIXEL, [2, 1, 4, 2, 3], [2, 1, 4, 2, 6]],
    ['super-resolution', SR, [2, 2, 4, 4, 6], [2, 2, 4, 4, 6]],
    ['latent, diffusers', LATENT, [2, 3, 4, 6, 4], [2, 3, 4, 6, 4]],
    ['latent, size not divisible', LATENT, [2, 2, 5, 7, 4], [2, 2, 5, 7, 4]],
    ['latent, Show-1', LATENT_SHOW1, [2, 3, 4, 6, 4], [2, 3, 4, 6, 4]],
  ])('%s: has the output shape and leaves no tensor behind', (_, config, input, output) => {
    const unet = ready(config);
    const x = sample(input);
    const classLabels = 'class_embed_type' in config ? labels : null;
    const before = tf.memory().numTensors;
    const out = unet.forward(x, steps, text, { classLabels });
    expect(out.shape).toEqual(output);
    expect(out.dataSync().every(Number.isFinite)).toBe(true);
    out.dispose();
    const variables = unet.trainableWeights.map(w => w.read());
    tf.tidy(() => {
      const loss = () => unet.forward(x, steps, text, { classLabels }).square().mean();
      expect(valueAndGrads(loss, variables).grads).toHaveLength(variables.length);
    });
    expect(tf.memory().numTensors).toBe(before);
    unet.dispose();
  });

  it.each([
    ['pixel', PIXEL, 3],
    ['latent', LATENT, 4],
  ])('%s: every input changes the output', (_, config, C) => {
    const unet = ready(config);
    // Fresh temporal layers are near the identity in the convolutions: give them weights too.
    let seed = 100;
    for (const p of unet.parameters().values())
      tf.tidy(() => p.assign(p.value().add(sample(p.shape, seed++).mul(0.05))));
    const x = sample([2, 3, 4, 4, C]);
    tf.tidy(() => {
      const out = unet.forward(x, steps, text);
      expect(maxDifference(out, unet.forward(x, tf.tensor1d([3, 690]), text).slice(0, 2))).toBeGreaterThan(1e-3);
      expect(maxDifference(out, unet.forward(x, steps, sample([2, 5, 12], 9)))).toBeGreaterThan(1e-3);
      const other = tf.concat([x.slice([0, 0], [-1, 2]), sample([2, 1, 4, 4, C], 9)], 1); // another last frame
      const moved = unet.forward(other, steps, text);
      expect(maxDifference(out.slice([0, 0], [-1, 1]), moved.slice([0, 0], [-1, 1]))).toBeGreaterThan(1e-4);
      // Videos of a batch do not see each other.
      const alone = unet.forward(x.slice(1, 1), steps.slice(1, 1), text.slice(1, 1));
      expect(maxDifference(out.slice(1, 1), alone)).toBeLessThan(1e-4);
    });
    unet.dispose();
  });

  it('takes a timestep as a number, or one for all', () => {
    const unet = ready(PIXEL);
    const x = sample([2, 2, 2, 2, 3]);
    tf.tidy(() => {
      const out = unet.forward(x, tf.tensor1d([9, 9], 'int32'), text);
      expect(maxDifference(out, unet.forward(x, 9, text))).toBe(0);
      expect(maxDifference(out, unet.forward(x, tf.scalar(9), text))).toBe(0);
    });
    unet.dispose();
  });

  it('gives the same compiled, outputs and gradients', () => {
    const unet = ready(PIXEL);
    const x = sample([2, 2, 4, 4, 3]);
    const variables = unet.trainableWeights.map(w => w.read());
    const step = (a: Tensor, t: Tensor, c: Tensor) => {
      const { value, grads } = valueAndGrads(() => unet.forward(a, t, c).square().mean(), variables);
      return [unet.forward(a, t, c), value, ...grads];
    };
    const compiled = compile(step, { name: 'unet_test' });
    tf.tidy(() => {
      const eager = step(x, steps, text);
      const traced = compiled(x, steps, text);
      for (const [i, expected] of eager.entries()) {
        const scale = Math.max(1e-3, expected.abs().max().dataSync()[0]!);
        expect(maxDifference(expected, traced[i]!) / scale).toBeLessThan(1e-4);
      }
    });
    compiled.dispose();
    unet.dispose();
  });

  it.each([
    ['pixel', PIXEL, 3],
    ['super-resolution', SR, 6],
    ['latent, Show-1', LATENT_SHOW1, 4],
    ['latent, diffusers', LATENT, 4],
  ])('%s: gradient checkpointing changes no bit of the gradients, dropout included', (_, config, C) => {
    const unet = ready(config);
    const variables = unet.trainableWeights.map(w => w.read());
    const temporal = [...unet.parameters().values()].filter(p => p.path.includes('temp_attentions'));
    const classLabels = 'class_embed_type' in config ? labels : null;
    const gradients = (of: Tensor[]) => (x: Tensor, key: Tensor) => {
      const loss = () => unet.forward(x, steps, text.clone(), { classLabels }).square().mean();
      const { value, grads } = withDropout(key, () => valueAndGrads(loss, of));
      return [value, ...grads];
    };
    tf.tidy(() => {
      const x = sample([2, 3, 4, 6, C]);
      const key = rngKey(1, 2, 'dropout');
      // toEqual takes seconds for as many numbers
      const bits = (step: (x: Tensor, key: Tensor) => Tensor[]) => step(x, key).map(t => digest(t.dataSync()));
      for (const of of [variables, temporal.map(p => p.value())] as Tensor[][]) {
        const expected = bits(gradients(of));
        const before = tf.memory().numTensors;
        unet.enableGradientCheckpointing();
        const all = bits(gradients(of));
        unet.enableGradientCheckpointing(['mid_block', 'up_blocks.0']);
        const some = bits(gradients(of));
        unet.disableGradientCheckpointing();
        expect(all).toEqual(expected);
        expect(some).toEqual(expected);
        expect(tf.memory().numTensors - before).toBe(2 * expected.length); // the results alone
      }
    });
    unet.dispose();
  });

  it('runs every layer through runPart with all its tensors', () => {
    const unet = ready(PIXEL);
    const x = sample([2, 2, 4, 4, 3]);
    const seen: [string, number][] = [];
    const plain = unet.runPart;
    const expected = unet.forward(x, steps, text);
    unet.runPart = (block, fn, inputs) => {
      seen.push([block.path, inputs.length]);
      return plain(
        block,
        fn,
        inputs.map(t => t.clone()),
      );
    };
    const out = tf.tidy(() => unet.forward(x, steps, text));
    expect(maxDifference(out, expected)).toBe(0);
    expect(seen).toEqual([
      ['down_blocks.0', 3],
      ['down_blocks.0', 2], // the sampler
      ['down_blocks.1', 3],
      ['mid_block', 3],
      ['mid_block', 2],
      ['up_blocks.0', 4],
      ['up_blocks.0', 4],
      ['up_blocks.0', 2],
      ['up_blocks.1', 4],
      ['up_blocks.1', 4],
    ]);
    expect([...new Set(seen.map(([block]) => block))]).toEqual(unet.checkpointableBlocks);
    unet.dispose();
  });

  it.each<[string, () => Tensor | Promise<unknown>, string]>([
    [
      'channels',
      () => new UNet3DConditionModel(PIXEL).forward(tf.zeros([2, 2, 4, 4, 4]), steps, text),
      'sample is [2,2,4,4,4]; it must be [B, F, H, W, 3]',
    ],
    [
      'odd pixels',
      () => new UNet3DConditionModel(PIXEL).forward(tf.zeros([2, 2, 4, 5, 3]), steps, text),
      'multiples of 2',
    ],
    [
      'text width',
      () => new UNet3DConditionModel(PIXEL).forward(tf.zeros([2, 2, 4, 4, 3]), steps, tf.zeros([2, 5, 64])),
      'encoderHiddenStates is [2,5,64]; it must be [2, L, 12]',
    ],
    [
      'no labels',
      () => new UNet3DConditionModel(SR).forward(tf.zeros([2, 2, 4, 4, 6]), steps, text),
      'classLabels is missing',
    ],
    [
      'labels for nothing',
      () => new UNet3DConditionModel(PIXEL).forward(tf.zeros([2, 2, 4, 4, 3]), steps, text, { classLabels: labels }),
      'no class embedding',
    ],
  ])('explains a wrong input: %s', (_, run, message) => {
    expect(run).toThrow(InputError);
    expect(run).toThrow(message);
  });

  it('saves a folder that loads again, bit for bit', async () => {
    const dir = join(tempFolder(), 'unet');
    for (const config of [PIXEL, LATENT]) {
      const unet = ready(config, 4);
      await unet.savePretrained(dir);
      const json = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
      expect(json).toMatchObject(config);
      expect(existsSync(join(dir, 'diffusion_pytorch_model.safetensors'))).toBe(true);
      const again = await UNet3DConditionModel.fromPretrained(dir);
      expect(again.config).toEqual(unet.config);
      expectSameState(again.stateDict(), unet.stateDict());
      unet.dispose();
      again.dispose();
    }
  });

  it('refuses a folder whose weights belong to another config', async () => {
    const dir = tempFolder();
    const unet = ready(PIXEL);
    await unet.savePretrained(dir);
    unet.dispose();
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...PIXEL, in_channels: 7, class_embed_type: 'timestep' }));
    const failed = UNet3DConditionModel.fromPretrained(dir);
    await expect(failed).rejects.toThrow(/4 missing:\n {2}class_embedding\.linear_1\.weight/);
    await expect(failed).rejects.toThrow(/conv_in\.weight: the model has \[32,7,3,3\], .* has \[32,3,3,3\]/);
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...PIXEL, in_channels: 0 }));
    await expect(UNet3DConditionModel.fromPretrained(dir)).rejects.toThrow(`${join(dir, 'config.json')}: in_channels`);
  });

  it('reads a config of either class as the other when told to', () => {
    const named = new UNet3DConditionModel(LATENT, { family: 'show1' });
    expect(named.parameters().has('transformer_in.proj_in.weight')).toBe(false);
    const blocks: Block[] = [...named.blocks()].map(([, block]) => block);
    expect(blocks[0]).toBe(named);
    expect(blocks.length).toBeGreaterThan(50);
  });
});
