/** Finds what a `--model` folder holds: a run of ours, one of its checkpoints, or a diffusers pipeline. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { loadConfig } from '../config/index.js';
import type { Config } from '../config/schema.js';
import { InputError } from '../errors.js';
import { newestCheckpoint, readCheckpointState } from '../train/checkpoint.js';
import { exportedRecipe, type Recipe, recipeOf } from './recipe.js';

export interface ModelFolder {
  /** Folder of the UNet (config.json, safetensors). */
  unet: string;
  /** Pipeline-like folder with scheduler/, text_encoder/ and tokenizer/. */
  root: string;
  /** Config of the run, if it is one. */
  config?: Config;
  /** Sampling defaults of a run, or of the pipeline that it was exported to. */
  recipe?: Recipe;
  /** e.g. "runs/tiny-base, step 900, ema". */
  label: string;
}

/** Where scheduler/, text_encoder/ and vae/ of a `model.pretrained` are: of a checkpoint, in its run. */
export const pretrainedRoot = (dir: string): string =>
  existsSync(path.join(dir, 'state.json')) ? path.resolve(dir, '..', '..') : dir;

/**
 * That folder, and those that it was itself trained from, nearest first: a part (text encoder, autoencoder) that a run does not hold is
 * in one of them. Empty for a run that starts from nothing.
 */
export function pretrainedRoots(dir: string | undefined): string[] {
  const roots: string[] = [];
  for (let next = dir; next !== undefined; ) {
    const root = pretrainedRoot(next);
    if (roots.includes(root)) break;
    roots.push(root);
    const config = path.join(root, 'config.yaml');
    next = existsSync(config) ? loadConfig(config).config.model.pretrained : undefined;
  }
  return roots;
}

/** @throws InputError naming what was looked for when `dir` is none of these */
export async function findModel(dir: string, weights: 'ema' | 'raw'): Promise<ModelFolder> {
  if (!existsSync(dir)) throw new InputError(`${dir}: there is no such folder`, { code: 'infer.no-model', dir });
  const isRun = existsSync(path.join(dir, 'config.yaml'));
  const isCheckpoint = existsSync(path.join(dir, 'state.json'));
  if (isRun || isCheckpoint) {
    const run = isRun ? dir : path.resolve(dir, '..', '..');
    const checkpoint = isCheckpoint ? dir : (await newestCheckpoint(dir))?.dir;
    if (!checkpoint) {
      throw new InputError(
        `${dir}: the run has no complete checkpoint yet; train until checkpoint.everySteps, or stop it with Ctrl-C, which saves one`,
        {
          code: 'infer.no-checkpoint',
          dir,
        },
      );
    }
    const { step } = await readCheckpointState(checkpoint);
    const averaged = weights === 'ema' && existsSync(path.join(checkpoint, 'ema'));
    const { config } = loadConfig(path.join(run, 'config.yaml'));
    return {
      unet: path.join(checkpoint, averaged ? 'ema' : 'unet'),
      root: run,
      config,
      recipe: recipeOf(config),
      label: `${run}, step ${step}${averaged ? ', averaged weights' : ''}`,
    };
  }
  if (existsSync(path.join(dir, 'unet', 'config.json'))) {
    return { unet: path.join(dir, 'unet'), root: dir, recipe: exportedRecipe(dir), label: dir };
  }
  throw new InputError(
    `${dir} holds neither a run (config.yaml and checkpoints/), nor a checkpoint (state.json and unet/), nor a diffusers pipeline (unet/config.json)`,
    { code: 'infer.no-model', dir },
  );
}
