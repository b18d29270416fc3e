/** `show1 finetune`: the training loop with a ready config, on a few clips of a motion or a style. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.js';
import { DELTA_FILE } from '../../models/weights/delta.js';
import { findRun } from '../checkpoint.js';
import { type TrainOptions, type TrainSummary, train as trainModel } from '../loop.js';
import { priorPlan, priorVideos } from './prior.js';
import { findBase, finetuneConfig } from './recipe.js';
import { type CaptionedClip, captionedClips, type FinetuneRequest } from './request.js';

export { type FinetuneRequest, MODES, type Mode } from './request.js';

export interface FinetuneSummary extends TrainSummary {
  /** The trained tensors alone, for `show1 sample --delta`. */
  delta: string;
  /** Videos of the base that were trained on beside the clips. */
  priorVideos: number;
}

/**
 * Adapts a model to the clips' motion or style. The base is left as it is; the run folder gets the config, checkpoints, samples
 * and the delta.
 * @throws InputError `finetune.*`, `config.*`, and as `train`
 */
export async function finetune(request: FinetuneRequest, options: TrainOptions = {}): Promise<FinetuneSummary> {
  const { print = line => process.stderr.write(`${line}\n`) } = options;
  const clips = await captionedClips(request);
  const base = await findBase(request);
  if (path.resolve(request.out) === path.resolve(base.folder.root)) {
    throw new InputError(`--out ${request.out} is the base itself, which is left as it is: give another folder`, {
      code: 'finetune.out',
      out: request.out,
    });
  }
  await findRun(request.out, request.resume ?? false);
  const plan = priorPlan(request, base);
  const list = path.join(request.out, 'clips.jsonl');
  const priorList = path.join(request.out, 'prior.jsonl');
  const train = clips.length > 0 ? list : request.images!;
  const frames = plan.length > 0 ? priorList : clips.length > 0 ? request.images : undefined;
  const sources = { train, heldOut: request.heldOut ?? train, frames };
  // Checked before the prior videos, which take time.
  const config = await finetuneConfig(request, base, clips, sources, print);
  await mkdir(request.out, { recursive: true });
  const prior = await priorVideos(path.join(request.out, 'prior'), plan, request.base, { ...options, print });
  if (clips.length > 0) await writeManifest(list, clips);
  if (prior.length > 0) await writeManifest(priorList, prior);
  const summary = await trainModel(config, { ...options, print, resume: request.resume });
  return { ...summary, delta: path.join(summary.checkpoint, DELTA_FILE), priorVideos: prior.length };
}

const writeManifest = (file: string, clips: readonly CaptionedClip[]): Promise<void> =>
  writeFile(file, clips.map(clip => `${JSON.stringify(clip)}\n`).join(''));
