/**
 * Prior preservation (DreamBooth, Ruiz et al. 2023, section 3.2) of looks: single frames of videos that the base itself makes are
 * trained on beside the clips. Frames have no motion, so they keep colours and shapes as they were and leave the new motion free.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.js';
import { samplePrompts } from '../../infer/sample.js';
import type { TrainOptions } from '../loop.js';
import type { Base } from './recipe.js';
import type { CaptionedClip, FinetuneRequest } from './request.js';

/** Videos where the base is a run that knows prompts, and none where it does not. */
const USUAL_VIDEOS = 16;
const SEED = 70_000;

/** Prompts of the prior videos, one a video; empty for none. @throws InputError `finetune.prior` */
export function priorPlan(
  { mode, prior, priorPrompts = [], images }: FinetuneRequest,
  { stage, folder }: Base,
): readonly string[] {
  const known = priorPrompts.length > 0 ? priorPrompts : (folder.config?.validate.prompts ?? []);
  const wanted = prior ?? (mode === 'motion' && stage === 'base' && known.length > 0 ? USUAL_VIDEOS : 0);
  if (!Number.isInteger(wanted) || wanted < 0) {
    throw new InputError(`--prior is ${wanted}; it must be a number of videos, 0 for none`, { code: 'finetune.prior' });
  }
  if (wanted === 0) return [];
  if (images) {
    throw new InputError(
      `--prior ${wanted} and --images ${images}: single frames come from one of them; leave one out`,
      {
        code: 'finetune.prior',
      },
    );
  }
  if (stage !== 'base') {
    throw new InputError(`--prior ${wanted}: stage ${stage} makes no videos from prompts alone; leave it out`, {
      code: 'finetune.prior',
      stage,
    });
  }
  if (known.length === 0) {
    throw new InputError(
      `--prior ${wanted}: the base says no prompts that it knows; give some with --prior-prompt "…" (may be repeated)`,
      { code: 'finetune.prior' },
    );
  }
  return Array.from({ length: wanted }, (_, i) => known[i % known.length]!);
}

/** Makes the videos in `dir`, or finds those of an earlier start there. */
export async function priorVideos(
  dir: string,
  prompts: readonly string[],
  base: string,
  { print, signal }: TrainOptions,
): Promise<CaptionedClip[]> {
  if (prompts.length === 0) return [];
  const list = path.join(dir, 'samples.json');
  const made = existsSync(list) ? (JSON.parse(await readFile(list, 'utf8')) as { prompt: string; path: string }[]) : [];
  if (made.map(({ prompt }) => prompt).join('\n') !== prompts.join('\n')) {
    print?.(`prior preservation: ${prompts.length} videos of the base`);
    const { samples } = await samplePrompts({
      model: base,
      prompts: [...prompts],
      out: dir,
      seed: SEED,
      batch: 8,
      signal,
      print,
    });
    return samples.map(({ prompt, path: file }) => ({ path: path.resolve(file), caption: prompt }));
  }
  return made.map(({ prompt, path: file }) => ({ path: path.resolve(dir, file), caption: prompt }));
}
