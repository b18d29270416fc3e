/** What a stage's folder must hold, checked before anything is loaded: parts, configs, names and shapes of all weights. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  type AnyScheduler,
  DDPMScheduler,
  type NoiseSchedule,
  noiseSchedule,
  schedulerFromConfig,
} from '../diffusion/index.js';
import { readSchedulerConfig } from '../diffusion/scheduler-file.js';
import { InputError } from '../errors.js';
import { readJsonObject } from '../models/weights/pretrained.js';
import type { ModelFolder } from './model-folder.js';
import { type SamplerName, samplerConfig } from './scheduler.js';
import type { StageName } from './stage-names.js';

/** Parts that sampling uses; others of a pipeline (a safety checker, a watermarker) are left alone. */
const USED = ['unet', 'scheduler', 'text_encoder', 'tokenizer', 'vae', 'image_noising_scheduler'];

/**
 * @throws InputError naming a part that `model_index.json` lists and that is not there. Text encoders may be left out of all
 * stages but one, so they are looked for elsewhere.
 */
export function checkParts(stage: StageName | 'firstFrame', { root }: ModelFolder): void {
  const file = path.join(root, 'model_index.json');
  const listed = existsSync(file) ? readJsonObject(file, "the pipeline's list of parts") : {};
  const isListed = (part: string) => Array.isArray(listed[part]) && (listed[part] as unknown[])[0] !== null;
  const needed = ['unet', 'scheduler', ...(stage === 'sr2' ? ['vae'] : [])];
  const mayBeElsewhere = ['text_encoder', 'tokenizer'];
  const isRun = existsSync(path.join(root, 'config.yaml')); // its UNets are in its checkpoints
  for (const part of new Set([...needed, ...USED.filter(isListed)])) {
    if (mayBeElsewhere.includes(part) || (isRun && part === 'unet') || existsSync(path.join(root, part))) continue;
    const why = isListed(part) ? `${file} lists it` : `stage ${stage} needs it`;
    throw new InputError(`${path.join(root, part)} is missing: ${why}. Download or copy the whole folder.`, {
      code: 'infer.missing-part',
      stage,
      part,
      root,
    });
  }
}

/** The folder's scheduler, or another sampler on its noise schedule. */
export async function openScheduler(root: string, sampler?: SamplerName): Promise<AnyScheduler> {
  const dir = path.join(root, 'scheduler');
  const config = await readSchedulerConfig(dir);
  try {
    return schedulerFromConfig(sampler ? samplerConfig(config, sampler) : config, dir);
  } catch (cause) {
    const { message } = cause as Error;
    const where = message.includes(dir) ? '' : `${dir}: `;
    throw new InputError(
      `${where}${message}. Another sampler can be taken on its noise schedule with --sampler ddim, ddpm or dpmsolver++`,
      { code: 'infer.scheduler', dir },
      cause,
    );
  }
}

/** The schedule that a condition's noise is measured in: the folder's `image_noising_scheduler`, else Show-1's. */
export async function openNoisingSchedule(root: string): Promise<NoiseSchedule> {
  const dir = path.join(root, 'image_noising_scheduler');
  if (!existsSync(dir)) return noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
  const { _class_name: _, ...config } = await readSchedulerConfig(dir);
  try {
    return DDPMScheduler.fromConfig(config).schedule;
  } catch (cause) {
    throw new InputError(`${dir}: ${(cause as Error).message}`, { code: 'infer.noising-schedule', dir }, cause);
  }
}
