/** How a run's model wants to be sampled; an exported pipeline carries it in `model_index.json` as `_show1`. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { readJsonObject } from '../models/weights/pretrained.js';

export interface Recipe {
  /** Clips that it was trained on. */
  video: { frames: number; height: number; width: number; fps: number };
  sampler: Config['validate']['sampler'];
  conditioning: Config['conditioning'];
  /** Tokens a prompt is padded and cut to. */
  maxTextLength: number;
}

export const recipeOf = ({ data, validate, conditioning, model }: Config): Recipe => ({
  video: { frames: data.frames, height: data.height, width: data.width, fps: data.fps },
  sampler: validate.sampler,
  conditioning,
  maxTextLength: model.maxTextLength,
});

/** The recipe of a pipeline that `show1 convert export` wrote; undefined for others. */
export function exportedRecipe(root: string): Recipe | undefined {
  const file = path.join(root, 'model_index.json');
  if (!existsSync(file)) return undefined;
  const note = readJsonObject(file, "the pipeline's list of parts")._show1 as Partial<Recipe> | undefined;
  const { video, sampler, conditioning, maxTextLength } = note ?? {};
  return video && sampler && conditioning && maxTextLength
    ? { video, sampler, conditioning, maxTextLength }
    : undefined;
}
