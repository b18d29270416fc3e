/** The configs, inputs and weights that `test/reference/unet2d.py` used, and what diffusers gave. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UNet2DConditionModel } from '../../../src/models/index.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import type { TensorValue } from '../../../src/verify/types.js';
import { hashWeight } from '../../helpers/hash-weights.js';

const at = (...name: string[]) => join(import.meta.dirname, ...name);
const read = (...name: string[]) => JSON.parse(readFileSync(at(...name), 'utf8'));

export type Config = Record<string, unknown>;
export const CONFIGS = read('configs.json') as Record<'if1' | 'if2' | 'sd1' | 'sd2', Config>;
/** Names and shapes of diffusers' parameters, by config. */
export const PARAMETERS = read('reference', 'parameters.json') as Record<string, Record<string, number[]>>;

/** Tensors of `reference/NAME.safetensors`. */
export function referenceIo(name: string): Map<string, TensorValue> {
  const file = openSafetensors(at('reference', `${name}.safetensors`));
  try {
    return new Map(file.names().map(key => [key, { shape: file.info(key).shape, data: file.readSync(key) }]));
  } finally {
    file.close();
  }
}

/** The weights of a config, by diffusers' names and shapes. */
export const referenceWeights = (name: string) =>
  Object.fromEntries(
    Object.entries(PARAMETERS[name]!).map(([key, shape]) => [key, { shape, data: hashWeight(key, shape) }]),
  );

/** The model with those weights. */
export async function referenceModel(name: keyof typeof CONFIGS): Promise<UNet2DConditionModel> {
  const unet = new UNet2DConditionModel(CONFIGS[name]);
  await unet.loadStateDict(memorySource(referenceWeights(name)));
  return unet;
}
