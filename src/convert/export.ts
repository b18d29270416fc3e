/** A training run of ours, or one of its checkpoints, to a diffusers pipeline folder. */
import { statSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Config, Stage } from '../config/schema.js';
import { DDPMScheduler } from '../diffusion/index.js';
import { InputError } from '../errors.js';
import { findModel, pretrainedRoots } from '../infer/model-folder.js';
import { recipeOf } from '../infer/recipe.js';
import { textFolders } from '../models/text/folders.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import { readCheckpointState } from '../train/checkpoint.js';
import { VERSION } from '../version.js';
import { type ConvertFolderOptions, watchOf } from './dtype.js';
import { convertWeights, copyInto, measureModel } from './model.js';
import { checkOutput, writeFolder } from './output-folder.js';
import { type PartClass, type PartName, partClass, pipelineIndex } from './pipeline-index.js';
import { isWeightFile, weightSet } from './weight-files.js';

export interface ExportOptions extends ConvertFolderOptions {
  /** The averaged weights where the run has any, or the last ones (default ema). */
  weights?: 'ema' | 'raw';
  /** False leaves out text_encoder/ and tokenizer/ (default true). */
  textEncoder?: boolean;
}

export interface ExportResult {
  out: string;
  stage: Stage;
  step: number;
  weights: 'ema' | 'raw';
  /** Python class of each part. */
  parts: Partial<Record<PartName, string>>;
  /** Bytes of weights written. */
  bytes: number;
  /** What the pipeline lacks to be run here or in Python, if anything. */
  notes: string[];
}

/**
 * @param run a run folder (its newest checkpoint) or a checkpoint of one
 * @throws InputError when it is none, a part is missing, or `out` must not be written; WorkError when the disk is full
 */
export async function exportPipeline(run: string, out: string, options: ExportOptions): Promise<ExportResult> {
  checkOutput(out, run, options);
  const { unet, root, config } = await findModel(run, options.weights ?? 'ema');
  if (!config) {
    throw new InputError(`${run} is a diffusers pipeline already: use show1 convert dtype to change its files.`, {
      code: 'convert.not-a-run',
      run,
    });
  }
  const { stage } = config;
  const { step } = await readCheckpointState(path.dirname(unet));
  const folders = partFolders(unet, root, config, options.textEncoder ?? true);
  const classes = new Map([...folders].map(([part, dir]) => [part, partClass(part, dir)] as const));
  const models = MODELS.flatMap(part => folders.get(part) ?? []);
  const sizes = models.map(dir => measureModel(dir, options));
  const sum = (key: 'before' | 'after') => sizes.reduce((total, size) => total + size[key], 0);
  const watch = watchOf(sum('before'), options);
  const weights = path.basename(unet) === 'ema' ? 'ema' : 'raw';

  await writeFolder(out, sum('after'), options, async temporary => {
    for (const [part, dir] of folders) {
      const target = path.join(temporary, part);
      const stem = MODELS.includes(part) ? weightSet(dir, options.fromVariant).stem : undefined;
      if (stem) await convertWeights(dir, target, stem, options, watch(part));
      await copyFiles(dir, target, stem ? options.dtype : null);
    }
    if (stage === 'sr1' && !folders.has('image_noising_scheduler')) {
      await releasedNoising().savePretrained(path.join(temporary, 'image_noising_scheduler'));
      classes.set('image_noising_scheduler', ['diffusers', 'DDPMScheduler']);
    }
    const note = { version: VERSION, stage, step, weights, ...recipeOf(config) };
    const index = pipelineIndex(stage, { ...absent(stage), ...Object.fromEntries(classes) }, note);
    await writeFile(path.join(temporary, 'model_index.json'), `${JSON.stringify(index, null, 2)}\n`);
  });
  const parts = Object.fromEntries([...classes].map(([part, [, name]]) => [part, name!]));
  return { out, stage, step, weights, parts, bytes: sum('after'), notes: notesOn(stage, folders) };
}

/** Parts with weights. */
const MODELS: readonly PartName[] = ['unet', 'text_encoder', 'vae'];

const isFolder = (dir: string) => statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true;

/** The folder of each part that there is. @throws InputError when one that the run names is not there */
function partFolders(unet: string, root: string, { model }: Config, wantsText: boolean): Map<PartName, string> {
  const roots = [root, ...pretrainedRoots(model.pretrained)];
  const inRoots = (part: string) => roots.map(dir => path.join(dir, part)).find(isFolder);
  const text = wantsText ? textFolders(roots, model.textEncoder) : undefined;
  const found: Record<PartName, string | undefined> = {
    unet,
    scheduler: inRoots('scheduler'),
    text_encoder: text?.encoder,
    tokenizer: text?.tokenizer,
    vae: model.vae?.path ?? inRoots('vae'),
    image_noising_scheduler: inRoots('image_noising_scheduler'),
  };
  const parts = Object.entries(found).filter(([, dir]) => dir !== undefined) as [PartName, string][];
  const gone = parts.find(([, dir]) => !isFolder(dir));
  if (gone) {
    const [part, dir] = gone;
    throw new InputError(
      `${dir} is missing, the ${part} that the run was trained with.${part === 'tokenizer' ? ' Give its folder back, or leave both out with --no-text-encoder.' : ''}`,
      { code: 'convert.missing-part', part, dir },
    );
  }
  return new Map(parts);
}

/** Parts that the stage's class asks for, as left out. */
function absent(stage: Stage): Partial<Record<PartName, PartClass>> {
  const none: PartClass = [null, null];
  return { text_encoder: none, tokenizer: none, ...(stage === 'sr2' ? { vae: none } : {}) };
}

function notesOn(stage: Stage, folders: ReadonlyMap<PartName, string>): string[] {
  const lacking = ['scheduler', 'text_encoder', 'tokenizer', ...(stage === 'sr2' ? ['vae'] : [])].filter(
    part => !folders.has(part as PartName),
  );
  const notes = lacking.map(part => `no ${part}/: add the one that the run was trained with before using the folder`);
  // They split the output in two without looking.
  if (stage !== 'sr2' && readModelConfig(folders.get('unet')!).out_channels === 3) {
    notes.push('the UNet has out_channels 3: show1 sample takes it, Show-1’s own Python pipelines need 6');
  }
  return notes;
}

/** The schedule of the condition's noise in Show-1's release, which ours is too. */
const releasedNoising = () => DDPMScheduler.fromConfig({ beta_schedule: 'squaredcos_cap_v2' });

/** A part's files but its weights. */
async function copyFiles(dir: string, out: string, dtype: ConvertFolderOptions['dtype']): Promise<void> {
  const files = (await readdir(dir, { withFileTypes: true })).filter(
    entry => !entry.isDirectory() && !entry.name.startsWith('.') && !isWeightFile(entry.name),
  );
  for (const { name } of files) {
    await copyInto(path.join(dir, name), path.join(out, name), name === 'config.json' ? dtype : null);
  }
}
