/**
 * Deltas: the tensors that a fine-tuning changed, and nothing else, in one small safetensors file with diffusers' names. They hold
 * whole values, not differences, so that a delta on its own base gives the fine-tuned model bit for bit.
 */
import { createHash } from 'node:crypto';
import { InputError } from '../../errors.js';
import type { Model } from '../layers/model.js';
import type { WriteDtype } from './dtypes.js';
import { openSafetensors, type SafetensorsReader, writeSafetensors } from './safetensors.js';
import { memorySource } from './source.js';

export const DELTA_FILE = 'delta.safetensors';
const FORMAT = 'show1 delta 1';

/** What a delta says about itself; strings, as safetensors has it. */
export interface DeltaAbout {
  /** Stage of the cascade that it belongs to. */
  stage: string;
  /** `weightFingerprint` of the model that it was trained on. */
  base: string;
  step: string;
  /** How it was trained, e.g. "motion", and the prompt: for people. */
  note: string;
  /** Guidance scale of the samples while it was trained: what sampling with it starts from. */
  guidance?: string;
}

export interface Delta {
  file: string;
  about: DeltaAbout;
  /** Close it when done. */
  reader: SafetensorsReader;
}

/**
 * Tells models apart without reading them whole: a hash of all names, shapes and first rows.
 * The same weights in another float type count as another model.
 */
export async function weightFingerprint(dir: string): Promise<string> {
  const reader = openSafetensors(dir);
  const hash = createHash('sha256');
  try {
    for (const name of [...reader.names()].sort()) {
      const { shape } = reader.info(name);
      const row = shape.length === 0 ? await reader.read(name) : await reader.readRows(name, [0]);
      hash.update(`${name} ${shape.join('x')} `).update(new Uint8Array(row.buffer, row.byteOffset, row.byteLength));
    }
  } finally {
    reader.close();
  }
  return hash.digest('hex').slice(0, 16);
}

/** Writes the named tensors of a model, with the values it holds now. */
export async function writeDelta(
  file: string,
  model: Model,
  names: readonly string[],
  about: DeltaAbout,
  dtype: Extract<WriteDtype, 'F32' | 'F16' | 'BF16'> = 'F32',
): Promise<void> {
  const wanted = new Set(names);
  const entries = model.stateDictEntries().filter(({ name }) => wanted.has(name));
  await writeSafetensors(
    file,
    entries.map(entry => ({ ...entry, dtype })),
    { format: 'pt', show1: FORMAT, ...about },
  );
}

/** @throws InputError `delta.format`, or as opening any safetensors */
export function openDelta(file: string): Delta {
  const reader = openSafetensors(file);
  const { show1, stage, base, step, note, guidance } = reader.metadata;
  if (show1 === FORMAT && stage && base) {
    return { file, reader, about: { stage, base, step: step ?? '', note: note ?? '', guidance } };
  }
  reader.close();
  throw new InputError(
    `--delta ${file} is no delta of show1 (its header says ${JSON.stringify(show1 ?? null)}, expected "${FORMAT}"). Give the delta.safetensors of a fine-tuning, or its run folder.`,
    { code: 'delta.format', file },
  );
}

/**
 * Checks that a delta's names and shapes are the model's; reads no values.
 * @throws InputError `delta.misfit`
 */
export function checkDelta(model: Model, { file, reader }: Delta): void {
  const parameters = model.parameters();
  const names = reader.names();
  const foreign = names.filter(name => !parameters.has(name));
  const shaped = names.filter(name => {
    const wanted = parameters.get(name)?.torchShape;
    return wanted && wanted.join() !== reader.info(name).shape.join();
  });
  if (foreign.length + shaped.length === 0) return;
  const of = (name: string) =>
    `"${name}" is [${reader.info(name).shape}], the model's is [${parameters.get(name)!.torchShape}]`;
  const what =
    foreign.length > 0 ? `${foreign.length} of its tensors are not in the model, e.g. "${foreign[0]}"` : of(shaped[0]!);
  throw new InputError(`--delta ${file} belongs to another model: ${what}`, {
    code: 'delta.misfit',
    file,
    foreign,
    shaped,
  });
}

/**
 * Puts a delta's values into a model.
 * @param scale 1 takes them as they are, 0 leaves the model, values between mix the two, above 1 exaggerate
 * @returns number of tensors
 * @throws InputError `delta.misfit`
 */
export async function applyDelta(model: Model, delta: Delta, scale = 1): Promise<number> {
  checkDelta(model, delta);
  const { reader } = delta;
  if (scale === 1) {
    await model.loadStateDict(reader, { strict: false });
    return reader.names().length;
  }
  const parameters = model.parameters();
  for (const name of reader.names()) {
    const [own, tuned] = [parameters.get(name)!.toTorch(), await reader.read(name)];
    const data = own.map((value, i) => value + scale * (tuned[i]! - value));
    const shape = reader.info(name).shape;
    await model.loadStateDict(memorySource({ [name]: { shape, data } }), { strict: false });
  }
  return reader.names().length;
}
