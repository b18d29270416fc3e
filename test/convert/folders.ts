/** Small model, pipeline and cascade folders to convert. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { writeSafetensors, writeShardedSafetensors } from '../../src/models/weights/safetensors.js';

/** Equal names and bytes (vitest's own comparison takes a minute for a megabyte). */
export function expectSameFiles(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): void {
  expect([...a.keys()].sort()).toEqual([...b.keys()].sort());
  for (const [name, bytes] of a) expect(bytes.equals(b.get(name)!), name).toBe(true);
}

export type Tensors = Record<string, Float32Array>;

/** Numbers of many sizes, fp16's smallest and largest among them; the same for the same seed. */
export function numbers(count: number, seed = 1): Float32Array {
  let state = (seed * 2654435761) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const special = [0, -0, 65504, -65504, 65519, 2 ** -24, 2 ** -25, 2 ** -14, 1 + 2 ** -11, 1 + 3 * 2 ** -11];
  return Float32Array.from(
    { length: count },
    (_, i) => special[i] ?? (next() - 0.5) * 2 ** Math.round(next() * 40 - 28),
  );
}

export const WEIGHTS: Tensors = { 'a.weight': numbers(3000), 'b.bias': numbers(40, 2), 'c.weight': numbers(700, 3) };

export function put(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

export interface ModelOptions {
  stem?: string;
  variant?: string;
  maxShardBytes?: number;
  config?: Record<string, unknown>;
}

/** A model folder: config.json and weights, with whole numbers among them. */
export async function modelFolder(
  dir: string,
  weights: Tensors = WEIGHTS,
  { stem = 'diffusion_pytorch_model', config = { _class_name: 'Some' }, ...options }: ModelOptions = {},
): Promise<void> {
  const entries = Object.entries(weights).map(([name, data]) => ({ name, shape: [data.length], data }));
  const ids = { name: 'ids', shape: [3], data: Int32Array.of(1, 2, 3), dtype: 'I64' as const };
  mkdirSync(dir, { recursive: true });
  if (options.variant || options.maxShardBytes) await writeShardedSafetensors(dir, stem, [...entries, ids], options);
  else await writeSafetensors(join(dir, `${stem}.safetensors`), [...entries, ids], { format: 'pt', made: 'here' });
  put(join(dir, 'config.json'), JSON.stringify(config, null, 2));
}

/** A pipeline as one downloads it: parts, weights in other formats, and files that belong to the download. */
export async function pipelineFolder(dir: string): Promise<void> {
  await modelFolder(join(dir, 'unet'));
  await modelFolder(join(dir, 'text_encoder'), WEIGHTS, {
    stem: 'model',
    config: { architectures: ['T5EncoderModel'], layer_norm_epsilon: 1e-6, torch_dtype: 'float32' },
  });
  const parts = {
    unet: ['diffusers', 'UNet3DConditionModel'],
    text_encoder: ['transformers', 'T5EncoderModel'],
    tokenizer: ['transformers', 'T5Tokenizer'],
    scheduler: ['diffusers', 'DDPMScheduler'],
    safety_checker: [null, null],
  };
  put(join(dir, 'model_index.json'), JSON.stringify({ _class_name: 'P', ...parts }));
  put(join(dir, 'scheduler', 'scheduler_config.json'), '{"beta": 1e-06}');
  put(join(dir, 'tokenizer', 'tokenizer_config.json'), '{"torch_dtype": "float32"}');
  put(join(dir, 'tokenizer', 'spiece.model'), 'pieces');
  put(join(dir, 'unet', 'diffusion_pytorch_model.bin'), 'the same in another format');
  put(join(dir, 'original', 'weights.pth'), 'the same in another format');
  put(join(dir, 'whole.safetensors'), 'the same in one file');
  put(join(dir, 'README.md'), 'about');
  put(join(dir, '.git', 'config'), 'hidden');
}
