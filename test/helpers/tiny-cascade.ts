/** A whole cascade of tiny random models as diffusers folders: real formats, seconds to sample. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { schedulerFromConfig } from '../../src/diffusion/index.js';
import { createTinyTextEncoder } from '../../src/models/text/index.js';
import { UNet2DConditionModel } from '../../src/models/unet2d/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import type { JsonObject } from '../../src/models/weights/pretrained.js';
import { TINY_UNET } from './tiny-run.js';

const PIXEL_SCHEDULER = {
  _class_name: 'DDPMScheduler',
  beta_schedule: 'squaredcos_cap_v2',
  variance_type: 'learned_range',
  thresholding: true,
  dynamic_thresholding_ratio: 0.95,
  sample_max_value: 1.5,
};
const LATENT_SCHEDULER = {
  _class_name: 'DDIMScheduler',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  clip_sample: false,
  set_alpha_to_one: false,
  steps_offset: 1,
};
const LATENT_UNET = {
  _class_name: 'UNet3DConditionModel',
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [32, 64],
  layers_per_block: 1,
  down_block_types: ['CrossAttnDownBlock3D', 'DownBlock3D'],
  up_block_types: ['UpBlock3D', 'CrossAttnUpBlock3D'],
  norm_num_groups: 16,
  attention_head_dim: 8,
  cross_attention_dim: 32,
};
const VAE = {
  _class_name: 'AutoencoderKL',
  block_out_channels: [32, 32],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
  latent_channels: 4,
  layers_per_block: 1,
  norm_num_groups: 16,
  scaling_factor: 0.18215,
};
const SR = { class_embed_type: 'timestep', in_channels: 6, out_channels: 6, only_cross_attention: true };

type AnyModel = UNet2DConditionModel | UNet3DConditionModel | AutoencoderKL;

async function save(model: AnyModel, dir: string, seed: number): Promise<void> {
  model.initialize(seed);
  await model.savePretrained(dir);
  model.dispose();
}

async function pipeline(dir: string, className: string, parts: string[], scheduler: JsonObject): Promise<void> {
  const index = Object.fromEntries(parts.map(part => [part, ['diffusers', part]]));
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, 'model_index.json'), JSON.stringify({ _class_name: className, ...index }));
  await schedulerFromConfig(scheduler).savePretrained(path.join(dir, 'scheduler'));
}

/**
 * Writes `root/{base,interp,sr1,sr2}` (folder names by `name`); only base and sr2 have a text encoder, as the released
 * script needs no other.
 */
export async function writeTinyCascade(
  root: string,
  {
    name = (stage: string) => stage,
    firstFrame = false,
  }: { name?: (stage: string) => string; firstFrame?: boolean } = {},
): Promise<void> {
  const at = (stage: string, part = '') => path.join(root, name(stage), part);
  const pixel = { ...TINY_UNET, out_channels: 6 };
  const text = { dModel: 32, layers: 1, heads: 2, dFf: 32, maxLength: 8 };
  const captions = ['a red square moves up', 'a blue circle moves down', 'low resolution, blur'];

  await pipeline(
    at('base'),
    'TextToVideoIFPipeline',
    ['unet', 'scheduler', 'text_encoder', 'tokenizer'],
    PIXEL_SCHEDULER,
  );
  await createTinyTextEncoder(at('base'), captions, text);
  await save(new UNet3DConditionModel(pixel), at('base', 'unet'), 1);

  await pipeline(at('interp'), 'TextToVideoIFInterpPipeline', ['unet', 'scheduler'], PIXEL_SCHEDULER);
  await save(new UNet3DConditionModel({ ...pixel, in_channels: 7 }), at('interp', 'unet'), 2);

  await pipeline(at('sr1'), 'TextToVideoIFSuperResolutionPipeline', ['unet', 'scheduler'], PIXEL_SCHEDULER);
  await schedulerFromConfig({ _class_name: 'DDPMScheduler', beta_schedule: 'squaredcos_cap_v2' }).savePretrained(
    at('sr1', 'image_noising_scheduler'),
  );
  await save(new UNet3DConditionModel({ ...pixel, ...SR }), at('sr1', 'unet'), 3);

  await pipeline(
    at('sr2'),
    'VideoToVideoSDPipeline',
    ['unet', 'scheduler', 'vae', 'text_encoder', 'tokenizer'],
    LATENT_SCHEDULER,
  );
  await createTinyTextEncoder(at('sr2'), captions, { ...text, seed: 1 });
  await save(new UNet3DConditionModel(LATENT_UNET), at('sr2', 'unet'), 4);
  await save(new AutoencoderKL(VAE), at('sr2', 'vae'), 5);

  if (!firstFrame) return;
  const to2d = (value: unknown) => (typeof value === 'string' ? value.replace('3D', '2D') : value);
  const image = Object.fromEntries(
    Object.entries({ ...pixel, ...SR }).map(([key, value]) => [
      key,
      Array.isArray(value) ? value.map(to2d) : to2d(value),
    ]),
  );
  await pipeline(at('IF-II-L-v1.0'), 'IFSuperResolutionPipeline', ['unet', 'scheduler'], PIXEL_SCHEDULER);
  await save(new UNet2DConditionModel(image), at('IF-II-L-v1.0', 'unet'), 6);
}
