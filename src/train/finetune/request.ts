/** What a user asks of a fine-tuning, and the checks that need no model. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Stage, TrainableConfig } from '../../config/schema.js';
import { readSidecar } from '../../data/folder.js';
import { InputError } from '../../errors.js';

export const MODES = ['motion', 'style'] as const;
export type Mode = (typeof MODES)[number];

export interface FinetuneRequest {
  mode: Mode;
  /** A run of ours, one of its checkpoints, a diffusers pipeline, or a cascade folder (then `stage` says which part). */
  base: string;
  /** Default: the base's own, of a cascade folder `base`. */
  stage?: Stage;
  /** Clips of the motion or style. */
  videos: readonly string[];
  /** Style: a folder of captioned pictures. */
  images?: string;
  /** One for all clips, or one for each; none: the text file beside each clip. */
  prompts: readonly string[];
  out: string;
  /** Sampled while training (default: the clips' own prompts). */
  tries?: readonly string[];
  /** Videos that the base makes of `priorPrompts` before training, trained on beside the clips; 0 for none. */
  prior?: number;
  priorPrompts?: readonly string[];
  /** Clips for the held-out loss, a source as `data.source`; default: the clips themselves under fixed noise. */
  heldOut?: string;
  steps?: number;
  learningRate?: number;
  /** What trains; default: temporal attention. */
  preset?: TrainableConfig['preset'];
  /** `KEY=VALUE` of the training config. */
  set?: readonly string[];
  resume?: boolean;
}

export interface CaptionedClip {
  path: string;
  caption: string;
}

/**
 * Pairs clips with their prompts.
 * @throws InputError `finetune.*` when there is no clip, a file is missing, or prompts and clips do not pair up
 */
export async function captionedClips({ videos, images, prompts, mode }: FinetuneRequest): Promise<CaptionedClip[]> {
  if (videos.length === 0 && !images) {
    const pictures = mode === 'style' ? ', or pictures with --images DIR' : '';
    throw new InputError(`finetune needs a clip that shows the ${mode}: --video FILE (may be repeated)${pictures}`, {
      code: 'finetune.no-clips',
    });
  }
  if (images && mode === 'motion') {
    throw new InputError(`--images ${images}: pictures show no motion; give clips with --video, or use --mode style`, {
      code: 'finetune.images',
      images,
    });
  }
  for (const file of [...videos, ...(images ? [images] : [])]) {
    if (existsSync(file)) continue;
    throw new InputError(`${file}: there is no such file`, { code: 'finetune.missing', path: file });
  }
  if (prompts.length > 1 && prompts.length !== videos.length) {
    throw new InputError(
      `${prompts.length} prompts for ${videos.length} clips: give one --prompt for all, or one for each --video in the same order`,
      { code: 'finetune.prompts', prompts: prompts.length, videos: videos.length },
    );
  }
  return Promise.all(
    videos.map(async (video, i) => {
      const caption = prompts[i] ?? prompts[0] ?? (await readSidecar(video))?.caption;
      if (caption) return { path: path.resolve(video), caption };
      const beside = `${path.basename(video, path.extname(video))}.txt`;
      throw new InputError(`${video} has no prompt: say what it shows with --prompt "…", or in ${beside} beside it`, {
        code: 'finetune.no-prompt',
        path: video,
      });
    }),
  );
}
