import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schedulerFromConfig } from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { planFolders, planSampling } from '../../src/infer/plan.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import { writeTinyCascade } from '../helpers/tiny-cascade.js';

const GB = 1e9;

describe('planSampling', () => {
  // ModelScope's latent UNet and Stable Diffusion's autoencoder at the size of the last stage: 1.4 B parameters.
  const latent = () => ({
    name: 'sr2' as const,
    unet: new UNet3DConditionModel(
      {
        down_block_types: [...Array(3).fill('CrossAttnDownBlock3D'), 'DownBlock3D'],
        up_block_types: ['UpBlock3D', ...Array(3).fill('CrossAttnUpBlock3D')],
        block_out_channels: [320, 640, 1280, 1280],
        cross_attention_dim: 1024,
        attention_head_dim: 64,
      },
      { family: 'diffusers' },
    ),
    scheduler: schedulerFromConfig({ _class_name: 'DPMSolverMultistepScheduler' }),
    size: { sample: [1, 29, 40, 72, 4], text: [77, 1024], guided: true },
    codec: {
      vae: new AutoencoderKL({
        block_out_channels: [128, 256, 512, 512],
        down_block_types: Array(4).fill('DownEncoderBlock2D'),
        up_block_types: Array(4).fill('UpDecoderBlock2D'),
        layers_per_block: 2,
      }),
      frames: 29,
      height: 320,
      width: 576,
    },
  });

  it.each(['fp32', 'bf16'] as const)('plans the last stage in %s without its memory, within 15 GB', precision => {
    const before = tf.memory().numTensors;
    const { stages, peakBytes, programBytes } = planSampling({ stages: [latent()], precision });
    const [stage] = stages;
    expect(stage!.parameters).toBe(1_411_233_860 + 83_653_863);
    expect(stage!.weightBytes).toBe(4 * stage!.parameters);
    expect(stage!.peakBytes).toBeGreaterThan(programBytes + stage!.weightBytes + stage!.activationBytes);
    expect(peakBytes).toBe(stage!.peakBytes);
    expect(peakBytes).toBeLessThan(15 * GB);
    expect(stage!.activationBytes).toBeGreaterThan(4 * 58 * 40 * 72 * 2 * 2048); // the entry's feed-forward alone
    expect(stage!.passes.encode!).toBeLessThan(stage!.passes.step);
    expect(tf.memory().numTensors).toBe(before);
    expect(process.memoryUsage().rss).toBeLessThan(2 * GB);
  });

  it('says when it does not fit', () => {
    const stage = latent();
    const huge = { ...stage, size: { ...stage.size, sample: [400, 29, 40, 72, 4] } };
    expect(planSampling({ stages: [huge] }).fits).toBe(false);
  });

  it('counts a large T5 by its layers, since it is streamed', () => {
    const t5 = { model_type: 't5', vocab_size: 32128, d_model: 4096, d_kv: 64, d_ff: 10240, num_heads: 64 };
    const json = { ...t5, num_layers: 24, feed_forward_proj: 'gated-gelu' };
    const { texts, programBytes } = planSampling({ stages: [], texts: [json] });
    expect(texts[0]).toMatchObject({ family: 't5', streamed: true, parameters: 4_762_310_656 });
    expect(texts[0]!.peakBytes - programBytes).toBeLessThan(2 * GB);
  });
});

describe('planFolders', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'show1-plan-'));
    await writeTinyCascade(dir);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it('plans every stage that is there, each on what the one before makes', async () => {
    const { stages, texts, peakBytes } = await planFolders({ models: [dir] });
    expect(stages.map(({ name }) => name).filter(name => name !== 'firstFrame')).toEqual([
      'base',
      'interp',
      'sr1',
      'sr2',
    ]);
    expect(texts.length).toBeGreaterThan(0);
    expect(peakBytes).toBe(Math.max(...[...stages, ...texts].map(part => part.peakBytes)));
  });

  it('plans some of them, and more for more videos at a time', async () => {
    const one = await planFolders({ models: [dir], stages: ['base'] });
    const four = await planFolders({ models: [dir], stages: ['base'], batch: 4 });
    expect(four.stages[0]!.sample[0]).toBe(4);
    expect(four.stages[0]!.activationBytes).toBeGreaterThan(3 * one.stages[0]!.activationBytes);
    expect(four.stages[0]!.weightBytes).toBe(one.stages[0]!.weightBytes);
  });

  it('refuses a folder without any stage', async () => {
    await expect(planFolders({ models: [tmpdir()] })).rejects.toThrow('base');
  });
});
