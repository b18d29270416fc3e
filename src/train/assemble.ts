/** Builds what a training config names: UNet, text encoder, noise schedule, VAE. A new run keeps what sampling needs. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { DDPMScheduler } from '../diffusion/index.js';
import { InputError } from '../errors.js';
import { createTinyTextEncoder, TextConditioner, textFolders } from '../models/text/index.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import { buildCodec, type FrozenCodec } from './codec.js';
import type { TrainingData } from './data.js';
import { pretrainedFolders } from './pretrained.js';

export interface Assembly {
  unet: UNet3DConditionModel;
  text: TextConditioner;
  scheduler: DDPMScheduler;
  /** Pixels to latents and back; null in the pixel stages. */
  codec: FrozenCodec | null;
}

/** The UNet of `model.unet`, `model.pretrained` or `model.inflateFrom`, with weights. */
export async function buildUnet({
  unet,
  pretrained,
  inflateFrom,
  init,
}: Config['model']): Promise<UNet3DConditionModel> {
  if (pretrained) return UNet3DConditionModel.fromPretrained((await pretrainedFolders(pretrained)).unet);
  if (inflateFrom) {
    return UNet3DConditionModel.fromPretrained2d((await pretrainedFolders(inflateFrom)).unet, { seed: init.seed });
  }
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

/** The run's text encoder; a tiny one is made on the first start and kept in the run folder. */
async function buildText(
  { model, output: run }: Config,
  captions: string[],
  print: (line: string) => void,
): Promise<TextConditioner> {
  const { tiny, ...location } = model.textEncoder ?? {};
  const options = { maxLength: model.maxTextLength };
  if (tiny && !existsSync(path.join(run, 'text_encoder', 'config.json'))) {
    await createTinyTextEncoder(run, [...captions, ''], { ...tiny, maxLength: model.maxTextLength });
    print(`made a tiny text encoder of width ${tiny.dModel} in ${run}`);
  }
  const roots = [run, ...(model.pretrained ? [model.pretrained] : [])];
  return TextConditioner.fromPretrained(textFolders(roots, location), options);
}

/** The noise schedule: `diffusion.scheduler`, else that of the pretrained pipeline, else diffusers' defaults of the schema. */
async function buildScheduler({ diffusion, model }: Config): Promise<DDPMScheduler> {
  if (diffusion.scheduler) {
    // Keys that only other samplers have are kept as they are; training uses the schedule and the prediction type.
    const { _class_name: _, ...rest } = diffusion.scheduler as Record<string, unknown>;
    return DDPMScheduler.fromConfig(rest);
  }
  const folder = model.pretrained && path.join((await pretrainedFolders(model.pretrained)).root, 'scheduler');
  if (folder && existsSync(folder)) return DDPMScheduler.fromPretrained(folder);
  return DDPMScheduler.fromConfig({ beta_schedule: 'squaredcos_cap_v2' });
}

/** @param data what a new run makes its tiny parts from */
export async function assemble(
  config: Config,
  data: Pick<TrainingData, 'captions' | 'train' | 'loaderOptions'>,
  print: (line: string) => void,
): Promise<Assembly> {
  const scheduler = await buildScheduler(config);
  await scheduler.savePretrained(path.join(config.output, 'scheduler'));
  const text = await buildText(config, data.captions, print);
  let codec: FrozenCodec | null = null;
  try {
    if (config.stage === 'sr2') codec = await buildCodec(config, data, print);
    const unet = await buildUnet(config.model);
    const { encoderHidDim, crossAttentionDim } = unet.config;
    const wants = encoderHidDim ?? [crossAttentionDim].flat()[0]!;
    if (wants !== text.width) {
      throw new InputError(
        `the UNet takes text embeddings of width ${wants}, the text encoder gives ${text.width}: set encoder_hid_dim (or cross_attention_dim) of model.unet to ${text.width}, or use the encoder that belongs to the UNet`,
        { code: 'train.text-width', unet: wants, text: text.width },
      );
    }
    return { unet, text, scheduler, codec };
  } catch (error) {
    codec?.dispose();
    text.dispose();
    throw error;
  }
}
