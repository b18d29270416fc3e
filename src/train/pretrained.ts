/** What `model.pretrained` may be: a diffusers pipeline, one UNet of it, a run of ours, or one of its checkpoints. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { findModel } from '../infer/model-folder.js';

export interface PretrainedFolders {
  /** Folder of the UNet (config.json, safetensors). */
  unet: string;
  /** Folder that scheduler/, text_encoder/ and vae/ are looked for in. */
  root: string;
}

const has = (dir: string, file: string): boolean => existsSync(path.join(dir, file));

/** Runs give their averaged weights, as sampling does. */
export async function pretrainedFolders(dir: string): Promise<PretrainedFolders> {
  if (has(dir, 'config.yaml') || has(dir, 'state.json')) return findModel(dir, 'ema');
  return { unet: has(dir, path.join('unet', 'config.json')) ? path.join(dir, 'unet') : dir, root: dir };
}
