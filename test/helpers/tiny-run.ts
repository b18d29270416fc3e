/** A training run small enough for tests: a real shapes dataset and a real UNet, seconds to train. */
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Config, parseConfig } from '../../src/config/index.js';
import { writeShapes } from '../../src/data/shapes.js';

export const TINY_UNET = {
  _class_name: 'UNet3DConditionModel',
  in_channels: 3,
  out_channels: 3,
  block_out_channels: [32, 32],
  layers_per_block: 1,
  down_block_types: ['ResnetDownsampleBlock3D', 'SimpleCrossAttnDownBlock3D'],
  mid_block_type: 'UNetMidBlock3DSimpleCrossAttn',
  up_block_types: ['SimpleCrossAttnUpBlock3D', 'ResnetUpsampleBlock3D'],
  act_fn: 'gelu',
  norm_num_groups: 8,
  attention_head_dim: 16,
  cross_attention_dim: 32,
  cross_attention_norm: 'group_norm',
  encoder_hid_dim: 32,
  encoder_hid_dim_type: 'text_proj',
  addition_embed_type: 'text',
  addition_embed_type_num_heads: 2,
  resnet_time_scale_shift: 'scale_shift',
};

/** What the later stages change in `tinyConfig`, section by section. */
export const STAGE_CHANGES: Record<'interp' | 'sr1' | 'sr2', { stage: string } & Record<string, unknown>> = {
  interp: { stage: 'interp', model: { unet: { ...TINY_UNET, in_channels: 7 } } },
  sr1: {
    stage: 'sr1',
    model: { unet: { ...TINY_UNET, in_channels: 6, class_embed_type: 'timestep' } },
    conditioning: { scale: 4, crop: 8, firstFrame: 0.5 },
  },
  sr2: {
    stage: 'sr2',
    model: {
      unet: {
        _class_name: 'UNet3DConditionModel',
        in_channels: 4,
        out_channels: 4,
        block_out_channels: [32, 32],
        layers_per_block: 1,
        down_block_types: ['DownBlock3D', 'CrossAttnDownBlock3D'],
        up_block_types: ['CrossAttnUpBlock3D', 'UpBlock3D'],
        norm_num_groups: 8,
        attention_head_dim: 16,
        cross_attention_dim: 32,
      },
      vae: { tiny: { blockOutChannels: [8, 8], steps: 4, batchSize: 2 } },
    },
    conditioning: { scale: 2 },
    validate: { heldOutTimesteps: [200, 800] },
  },
};

/** A temporary folder with a dataset in `shapes/`. */
export async function tinyData(): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'show1-train-'));
  await writeShapes(path.join(root, 'shapes'), { clips: 32, frames: 4 });
  return root;
}

/** A config for `root`'s dataset; a stage's changes, then `changes`, go on top, section by section. */
export function tinyConfig(
  root: string,
  output: string,
  changes: Record<string, Record<string, unknown>> = {},
  stage: Record<string, unknown> = {},
): Config {
  const base: Record<string, unknown> = {
    stage: 'base',
    seed: 5,
    output: path.join(root, output),
    model: {
      unet: TINY_UNET,
      textEncoder: { tiny: { dModel: 32, layers: 1, heads: 2, dFf: 32 } },
      maxTextLength: 8,
    },
    data: {
      source: path.join(root, 'shapes', 'train'),
      heldOut: { source: path.join(root, 'shapes', 'heldout') },
      frames: 4,
      fps: 8,
      width: 16,
      height: 16,
    },
    diffusion: { scheduler: { prediction_type: 'v_prediction' } },
    train: { steps: 6, batchSize: 2, learningRate: 1e-3, ema: { decay: 0.9 }, captionDropout: 0.3 },
    checkpoint: { everySteps: 3, keepLast: 5 },
    log: { everySteps: 1, histogramsEverySteps: 0 },
  };
  for (const [section, values] of [...Object.entries(stage), ...Object.entries(changes)]) {
    base[section] = typeof values === 'object' ? { ...(base[section] as object), ...values } : values;
  }
  return parseConfig(base as never).config;
}

/** Every file below a folder with its bytes, by relative path. */
export async function filesOf(dir: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(dir, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile());
  const files = new Map<string, Buffer>();
  for (const { parentPath, name } of names) {
    const file = path.join(parentPath, name);
    files.set(path.relative(dir, file), await readFile(file));
  }
  return files;
}
