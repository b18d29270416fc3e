/** Writes small fixtures of our own: a T5 whose expected output comes from an implementation with loops. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { T5EncoderModel } from '../../src/models/text/t5.js';
import { type TensorEntry, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { naiveT5, type State, TINY_T5 } from '../models/text/naive-t5.js';

export interface FixtureParts {
  config: Record<string, unknown>;
  weights: State;
  io: Record<string, { shape: number[]; data: Float32Array | Int32Array | Uint8Array }>;
}

const IDS = [4, 9, 2, 7, 1, 0];
const MASK = [1, 1, 1, 1, 1, 0];

/** A right fixture, in memory: change it, then write it. */
export function t5Fixture(): FixtureParts {
  const model = new T5EncoderModel(TINY_T5);
  model.initialize(5);
  const weights = model.stateDict();
  model.dispose();
  const hidden = naiveT5(TINY_T5, weights, IDS, MASK);
  return {
    config: { ...TINY_T5, _fixture: { kind: 't5_encoder' } },
    weights,
    io: {
      'in.input_ids': { shape: [1, 6], data: Int32Array.from(IDS) },
      'in.attention_mask': { shape: [1, 6], data: Int32Array.from(MASK) },
      'out.last_hidden_state': { shape: [1, 6, TINY_T5.d_model], data: Float32Array.from(hidden.flat()) },
    },
  };
}

const entries = (tensors: FixtureParts['io']): TensorEntry[] =>
  Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor }));

/** Writes the folder `root/name`. @returns its path */
export async function writeFixture(root: string, name: string, { config, weights, io }: Partial<FixtureParts>) {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  if (config) writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  if (weights) await writeSafetensors(join(dir, 'weights.safetensors'), entries(weights));
  if (io) await writeSafetensors(join(dir, 'io.safetensors'), entries(io));
  return dir;
}

/** Writes `root/index.json`. */
export function writeIndex(root: string, tolerances: Record<string, { atol: number; rtol: number }>) {
  const fixtures = Object.fromEntries(Object.entries(tolerances).map(([name, tolerance]) => [name, { tolerance }]));
  writeFileSync(join(root, 'index.json'), JSON.stringify({ fixtures }));
}
