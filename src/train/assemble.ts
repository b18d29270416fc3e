/** Builds what a training config names: UNet, text encoder, noise schedule, VAE. A new run keeps what sampling needs. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { DDPMScheduler } from '../diffusion/index.js';
import { InputError } from '../errors.js';
import { pretrainedRoot } from '../infer/model-folder.js';
import type { TextSource } from '../models/text/index.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import type { LatentStore } from './cache/latent-store.js';
import { openLatents } from './cached-latents.js';
import { type FrozenCodec, findVae, openCodec } from './codec.js';
import type { TrainingData } from './data.js';
import { pretrainedFolders } from './pretrained.js';
import { buildText } from './text.js';

export interface Assembly {
  unet: UNet3DConditionModel;
  text: TextSource;
  scheduler: DDPMScheduler;
  /** Pixels to latents and back; null in the pixel stages. */
  codec: FrozenCodec | null;
  /** What the loaders of training and held-out loss read in place of frames, where `data.cached.latents` is set. */
  latents: LatentStore | null;
}

/** The UNet of `model.unet`, `model.pretrained` or `model.inflateFrom`, with weights. */
export async function buildUnet({
  unet,
  pretrained,
  inflateFrom,
  init,
}: Config['model']): Promise<UNet3DConditionModel> {
  if (pretrained) return UNet3DConditionModel.fromPretrained((await pretrainedFolders(pretrained)).unet);
  if (inflateFrom)
    return UNet3DConditionModel.fromPretrained2d((await pretrainedFolders(inflateFrom)).unet, { seed: init.seed });
  if (!unet) {
    throw new InputError(
      'the config names no UNet: set model.unet (a diffusers config), model.pretrained or model.inflateFrom',
      { code: 'train.no-unet' },
    );
  }
  const json = typeof unet === 'string' ? readModelConfig(unet) : unet;
  const model = new UNet3DConditionModel(json);
  model.initialize(init.seed);
  return model;
}

/** The noise schedule: `diffusion.scheduler`, else that of the pretrained pipeline, else diffusers' defaults of the schema. */
async function buildScheduler({ diffusion, model }: Config): Promise<DDPMScheduler> {
  if (diffusion.scheduler) {
    // Keys that only other samplers have are kept as they are; training uses the schedule and the prediction type.
    const { _class_name: _, ...rest } = diffusion.scheduler as Record<string, unknown>;
    // Without signal at the last timestep, sampling must begin there (Lin et al. 2023).
    const spacing = rest.rescale_betas_zero_snr ? { timestep_spacing: 'trailing' } : {};
    return DDPMScheduler.fromConfig({ ...spacing, ...rest });
  }
  const folder = model.pretrained && path.join(pretrainedRoot(model.pretrained), 'scheduler');
  if (folder && existsSync(folder)) return DDPMScheduler.fromPretrained(folder);
  return DDPMScheduler.fromConfig({ beta_schedule: 'squaredcos_cap_v2' });
}

/** @param data what a new run makes its tiny parts from */
export async function assemble(
  config: Config,
  data: Pick<TrainingData, 'captions' | 'train' | 'heldOut' | 'loaderOptions'>,
  print: (line: string) => void,
): Promise<Assembly> {
  const scheduler = await buildScheduler(config);
  await scheduler.savePretrained(path.join(config.output, 'scheduler'));
  const text = await buildText(config, data.captions, print);
  let codec: FrozenCodec | null = null;
  let latents: LatentStore | null = null;
  try {
    if (config.stage === 'sr2') {
      const vae = await findVae(config, data, print);
      latents = await openLatents(config, vae, data, print);
      codec = await openCodec(vae, config);
    }
    const unet = await buildUnet(config.model);
    const { encoderHidDim, crossAttentionDim } = unet.config;
    const wants = encoderHidDim ?? [crossAttentionDim].flat()[0]!;
    if (wants !== text.width) {
      throw new InputError(
        `the UNet takes text embeddings of width ${wants}, the text encoder gives ${text.width}: set encoder_hid_dim (or cross_attention_dim) of model.unet to ${text.width}, or use the encoder that belongs to the UNet`,
        { code: 'train.text-width', unet: wants, text: text.width },
      );
    }
    return { unet, text, scheduler, codec, latents };
  } catch (error) {
    latents?.close();
    codec?.dispose();
    text.dispose();
    throw error;
  }
}
