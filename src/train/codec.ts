/** The frozen autoencoder of stage sr2: found or made, bound to its compiled functions, and left in the run folder for sampling. */
import { existsSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { videoShapes } from '../config/shapes.js';
import { InputError } from '../errors.js';
import { pretrainedRoot } from '../infer/model-folder.js';
import { AutoencoderKL, VideoCodec } from '../models/vae/index.js';
import type { TrainingData } from './data.js';
import { trainTinyVae } from './tiny-vae.js';

/** Frames that go through the autoencoder together: small ones keep the cores busy only in company. */
const PIXELS_A_CALL = 256 * 256;

export interface FrozenCodec extends Pick<VideoCodec, 'encode' | 'decode' | 'posterior' | 'draw'> {
  readonly vae: AutoencoderKL;
  dispose(): void;
}

/** Binds an autoencoder, which it takes over. */
export function frozenCodec(vae: AutoencoderKL, config: Config): FrozenCodec {
  const { precision, compile } = config;
  const pixels = Math.max(...videoShapes(config).map(({ width, height }) => width * height));
  const slice = Math.max(1, Math.floor(PIXELS_A_CALL / pixels));
  const codec = new VideoCodec({ vae, precision, compile, slice });
  return {
    vae,
    encode: (video, noise, call) => codec.encode(video, noise, call),
    decode: (latents, call) => codec.decode(latents, call),
    posterior: (video, call) => codec.posterior(video, call),
    draw: (posterior, noise) => codec.draw(posterior, noise),
    dispose() {
      codec.dispose();
      vae.dispose();
    },
  };
}

/** Where a config's autoencoder is; a tiny one is trained into the run folder first. */
export async function findVae(
  config: Config,
  data: Pick<TrainingData, 'train' | 'loaderOptions'>,
  print: (line: string) => void,
): Promise<string> {
  const { model, output: run } = config;
  const own = path.join(run, 'vae');
  const { tiny } = model.vae ?? {};
  if (tiny && !existsSync(path.join(own, 'config.json'))) {
    const { precision, compile } = config;
    const clips = { ...data.loaderOptions, entries: data.train };
    const { crop } = config.conditioning;
    await trainTinyVae(own, { options: tiny, data: clips, crop, precision, compile, print });
  }
  const given = tiny ? own : (model.vae?.path ?? path.join(pretrainedRoot(model.pretrained!), 'vae'));
  if (!existsSync(path.join(given, 'config.json'))) {
    throw new InputError(
      `there is no autoencoder in ${given}: set model.vae.path to a diffusers AutoencoderKL folder, or model.vae.tiny to train a small one`,
      { code: 'train.no-vae', dir: given },
    );
  }
  return given;
}

/** @param given the autoencoder's folder, from `findVae` */
export async function openCodec(given: string, config: Config): Promise<FrozenCodec> {
  // Sampling looks for vae/ beside the checkpoints; a link keeps a large one from being copied into each run.
  const own = path.join(config.output, 'vae');
  if (!existsSync(own)) await symlink(path.resolve(given), own, 'dir');
  return frozenCodec(await AutoencoderKL.fromPretrained(given), config);
}
