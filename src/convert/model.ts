/** Converts one model folder's weights and copies its other files. */
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openSafetensors, writeShardedSafetensors } from '../models/weights/safetensors.js';
import { convertedEntries, type FloatDtype, type Watch, weightBytes } from './tensors.js';

export interface ConvertOptions {
  /** Type of the floats; null keeps each tensor's. */
  dtype: FloatDtype | null;
  /** Largest file before the weights are split (default 10 GB, as diffusers and transformers). */
  maxShardBytes?: number;
  /** Put into the names of the files written, as `fp16`. */
  variant?: string;
  /** Prefer the files of this variant to read. */
  fromVariant?: string;
}

export interface ConvertedModel {
  /** Relative to the whole folder; '' is the whole. */
  folder: string;
  /** Number of tensors. */
  tensors: number;
  /** Bytes of data written. */
  bytes: number;
  /** Weight files and their index. */
  files: string[];
}

/** Bytes that a model's weights have and will have. @throws InputError when they cannot be opened */
export function measureModel(dir: string, { dtype, fromVariant }: ConvertOptions): { before: number; after: number } {
  const reader = openSafetensors(dir, { variant: fromVariant });
  try {
    return weightBytes(reader, dtype);
  } finally {
    reader.close();
  }
}

/**
 * Writes the weights of the folder `dir` into `out`.
 * @param stem file name without ending, as `diffusion_pytorch_model`
 * @throws InputError for values beyond the type's range
 */
export async function convertWeights(
  dir: string,
  out: string,
  stem: string,
  { dtype, maxShardBytes, variant, fromVariant }: ConvertOptions,
  watch: Watch = {},
): Promise<Omit<ConvertedModel, 'folder'>> {
  const reader = openSafetensors(dir, { variant: fromVariant });
  try {
    const entries = convertedEntries(reader, dtype, watch);
    const metadata = { ...reader.metadata, format: reader.metadata.format ?? 'pt' };
    await mkdir(out, { recursive: true });
    const files = await writeShardedSafetensors(out, stem, entries, { maxShardBytes, metadata, variant });
    return { tensors: entries.length, bytes: weightBytes(reader, dtype).after, files };
  } finally {
    reader.close();
  }
}

const TORCH_NAMES: Record<FloatDtype, string> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/**
 * Copies a file to `out`, through to the disk. In a model's config the type that transformers notes of its weights
 * becomes `dtype`; nothing else in it changes.
 */
export async function copyInto(file: string, out: string, dtype: FloatDtype | null = null): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  if (dtype === null) await copyFile(file, out, constants.COPYFILE_FICLONE);
  else {
    const text = await readFile(file, 'utf8');
    const noted = /("(?:torch_)?dtype"\s*:\s*")(?:float32|float16|bfloat16)"/g;
    await writeFile(out, text.replace(noted, `$1${TORCH_NAMES[dtype]}"`));
  }
  const handle = await open(out, 'r');
  await handle.sync().finally(() => handle.close());
}

/** The config of a model folder. */
export const configOf = (folder: string): string => join(folder, 'config.json');
