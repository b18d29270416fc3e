/** The configs, inputs and weights that `test/reference/unet2d.py` used, and what diffusers gave. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UNet2DConditionModel } from '../../../src/models/index.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import type { TensorValue } from '../../../src/verify/types.js';

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

/** Numbers in [-1, 1) from a hash of name and position: the script's `values`. */
function values(name: string, count: number): Float32Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619);
  return Float32Array.from({ length: count }, (_, i) => {
    let h = (Math.imul(i, 2654435761) + seed) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
    return ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
  });
}

function weight(name: string, shape: number[]): { shape: number[]; data: Float32Array } {
  const count = shape.reduce((product, n) => product * n, 1);
  const isWeight = name.endsWith('.weight');
  const [factor, offset] =
    isWeight && shape.length > 1 ? [Math.sqrt((3 * shape[0]!) / count), 0] : [0.25, isWeight ? 1 : 0];
  const [scale, shift] = [Math.fround(factor), offset];
  return { shape, data: values(name, count).map(u => Math.fround(u * scale) + shift) };
}

/** The weights of a config, by diffusers' names and shapes. */
export const referenceWeights = (name: string) =>
  Object.fromEntries(Object.entries(PARAMETERS[name]!).map(([key, shape]) => [key, weight(key, shape)]));

/** The model with those weights. */
export async function referenceModel(name: keyof typeof CONFIGS): Promise<UNet2DConditionModel> {
  const unet = new UNet2DConditionModel(CONFIGS[name]);
  await unet.loadStateDict(memorySource(referenceWeights(name)));
  return unet;
}
