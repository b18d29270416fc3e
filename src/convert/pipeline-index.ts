/** `model_index.json`: which Python class loads each part of an exported pipeline. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Stage } from '../config/schema.js';
import { InputError } from '../errors.js';
import { detectFamily } from '../models/unet3d/index.js';
import { type JsonObject, readJsonObject, readModelConfig } from '../models/weights/pretrained.js';

/** The pipeline class of each stage: Show-1's own (`showone/pipelines`), and diffusers' for the last. */
export const PIPELINE_CLASSES: Readonly<Record<Stage, string>> = {
  base: 'TextToVideoIFPipeline',
  interp: 'TextToVideoIFInterpPipeline',
  sr1: 'TextToVideoIFSuperResolutionPipeline_Cond',
  sr2: 'VideoToVideoSDPipeline',
};

/** Library and class, as diffusers' `register_modules` notes them; nulls for a part that is left out. */
export type PartClass = [library: string, name: string] | [null, null];

/** Parts of an exported pipeline, and the folders they are copied from. */
export type PartName = 'unet' | 'scheduler' | 'text_encoder' | 'tokenizer' | 'vae' | 'image_noising_scheduler';

/** The class of a part. @throws InputError when its config does not tell */
export function partClass(part: PartName, dir: string): PartClass {
  if (part === 'unet') {
    // Show-1's class is a file of its own, which diffusers names by its module.
    const show1 = detectFamily(readModelConfig(dir)) === 'show1';
    return [show1 ? 'showone.models.unet_3d_condition' : 'diffusers', 'UNet3DConditionModel'];
  }
  if (part === 'vae') return ['diffusers', 'AutoencoderKL'];
  if (part === 'text_encoder') return ['transformers', textEncoderClass(dir)];
  if (part === 'tokenizer') return ['transformers', tokenizerClass(dir)];
  const { _class_name: name } = readJsonObject(join(dir, 'scheduler_config.json'), "the scheduler's config");
  if (typeof name === 'string') return ['diffusers', name];
  throw new InputError(`${join(dir, 'scheduler_config.json')} names no class (_class_name).`, {
    code: 'convert.class',
    part,
    dir,
  });
}

const TEXT_CLASSES: Readonly<Record<string, string>> = { t5: 'T5EncoderModel', clip_text_model: 'CLIPTextModel' };

function textEncoderClass(dir: string): string {
  const { architectures, model_type: type } = readModelConfig(dir);
  const named: unknown = Array.isArray(architectures) ? architectures[0] : TEXT_CLASSES[String(type)];
  if (typeof named === 'string') return named;
  throw new InputError(
    `${join(dir, 'config.json')} names no class: architectures is ${JSON.stringify(architectures)}, model_type ${JSON.stringify(type)}.`,
    { code: 'convert.class', part: 'text_encoder', dir },
  );
}

/** Files that the slow tokenizers of Python need; without them only the fast class of a `tokenizer.json` loads. */
const SLOW_FILES = ['spiece.model', 'vocab.json'];

function tokenizerClass(dir: string): string {
  const file = join(dir, 'tokenizer_config.json');
  const config: JsonObject = existsSync(file) ? readJsonObject(file, "the tokenizer's config") : {};
  const name = typeof config.tokenizer_class === 'string' ? config.tokenizer_class : 'PreTrainedTokenizerFast';
  const isSlow = SLOW_FILES.some(slow => existsSync(join(dir, slow)));
  return isSlow || name.endsWith('Fast') ? name : `${name}Fast`;
}

/** The whole index. Show-1's pixel pipelines also take a feature extractor, which they never use. */
export function pipelineIndex(stage: Stage, parts: Partial<Record<PartName, PartClass>>, note: JsonObject): JsonObject {
  const unused = stage === 'sr2' ? {} : { feature_extractor: [null, null] };
  const sorted = Object.entries({ ...unused, ...parts }).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    _class_name: PIPELINE_CLASSES[stage],
    _diffusers_version: '0.19.3',
    _show1: note,
    ...Object.fromEntries(sorted),
  };
}
