/** Model folders as diffusers and transformers write them: `config.json` beside safetensors. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { configText } from './config-text.js';
import type { WriteDtype } from './dtypes.js';
import { type OpenOptions, openSafetensors, type SafetensorsReader } from './safetensors.js';
import { type TensorEntry, writeShardedSafetensors } from './writer.js';

export type JsonObject = Record<string, unknown>;

/** A model folder, opened. */
export interface PretrainedFolder {
  config: JsonObject;
  /** Close it when the weights are loaded. */
  weights: SafetensorsReader;
}

/** Names of released model families' weight files, without `.safetensors`. */
export type WeightStem = 'diffusion_pytorch_model' | 'model';

export interface SaveOptions {
  /** Type that floating-point weights are stored in (default F32). */
  dtype?: Extract<WriteDtype, 'F32' | 'F16' | 'BF16'>;
  /** Largest file in bytes before the weights are split (default 10 GB). */
  maxShardBytes?: number;
}

/**
 * Reads a JSON file that must hold an object.
 * @param what what the file is, for messages
 * @param parse another reader of the text, throwing SyntaxError as `JSON.parse` does
 * @throws InputError when it is missing or something else
 */
export function readJsonObject(file: string, what: string, parse: (text: string) => unknown = JSON.parse): JsonObject {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new InputError(`Cannot read ${what} ${file}: ${why}.`, { code: 'json.read', file }, cause);
  }
  let json: unknown;
  try {
    json = parse(text);
  } catch (cause) {
    throw new InputError(
      `${file} is not valid JSON (${(cause as Error).message}). Download ${what} again or correct it.`,
      { code: 'json.parse', file },
      cause,
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InputError(`${file} must hold a JSON object: ${what} is made of named values.`, {
      code: 'json.type',
      file,
    });
  }
  return json as JsonObject;
}

/**
 * Reads `config.json` of a model folder.
 * @throws InputError when the folder or the file is missing or unreadable; a pipeline folder's parts are named
 */
export function readModelConfig(dir: string): JsonObject {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InputError(`There is no model folder ${dir}.`, { code: 'weights.no-folder', dir });
  }
  if (!existsSync(join(dir, 'config.json')) && existsSync(join(dir, 'model_index.json'))) {
    const index = readJsonObject(join(dir, 'model_index.json'), "the pipeline's list of parts");
    const parts = Object.keys(index).filter(key => existsSync(join(dir, key, 'config.json')));
    throw new InputError(
      `${dir} is a whole pipeline, not one model. Give one of its parts: ${parts.map(part => join(dir, part)).join(', ')}.`,
      { code: 'weights.pipeline-folder', dir, parts },
    );
  }
  return readJsonObject(join(dir, 'config.json'), "the model's config");
}

/** Reads a model folder's config and opens its weights (headers only). @throws InputError as its two halves */
export function openPretrained(dir: string, options: OpenOptions = {}): PretrainedFolder {
  const config = readModelConfig(dir);
  return { config, weights: openSafetensors(dir, options) };
}

/**
 * Writes a model folder: the weights, then `config.json`. Each file is complete or absent; a folder that must appear
 * at once (a checkpoint) is written under another name and renamed by its owner.
 */
export async function savePretrainedFolder(
  dir: string,
  stem: WeightStem,
  config: JsonObject,
  entries: Iterable<TensorEntry>,
  { dtype = 'F32', maxShardBytes }: SaveOptions = {},
): Promise<void> {
  const typed = [...entries].map(entry => ({ ...entry, dtype: entry.dtype ?? floatDtype(entry, dtype) }));
  await writeShardedSafetensors(dir, stem, typed, { maxShardBytes });
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), configText(config, dtype));
}

const floatDtype = ({ data }: TensorEntry, dtype: WriteDtype) =>
  typeof data === 'function' || data instanceof Float32Array ? dtype : undefined;
