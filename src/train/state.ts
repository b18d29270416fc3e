/** What a checkpoint holds and how it goes back: UNet, average, moments. */
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { InputError } from '../errors.js';
import type { UNet3DConditionModel } from '../models/unet3d/index.js';
import { DELTA_FILE, weightFingerprint, writeDelta } from '../models/weights/delta.js';
import { openSafetensors, type TensorEntry, writeSafetensors } from '../models/weights/safetensors.js';
import { VERSION } from '../version.js';
import { readCheckpointState, saveCheckpoint } from './checkpoint.js';
import type { Selection } from './masks.js';
import type { AdamW } from './optimizer.js';
import { pretrainedFolders } from './pretrained.js';
import type { HeldOutRecord } from './save-plan.js';

interface Contents {
  unet: UNet3DConditionModel;
  optimizer: AdamW;
  config: Config;
  trainable: string[];
  /** Fingerprint of the pretrained UNet of which only a part trains; a delta is written beside the weights. */
  base?: string;
  heldOut: HeldOutRecord;
}

const MOMENTS = { exp_avg: 'm', exp_avg_sq: 'v', ema: 'ema' } as const;

/** What a delta of this run belongs to; undefined where it starts from nothing or trains everything. */
export async function baseOf(
  { model }: Pick<Config, 'model'>,
  { trainable, total }: Pick<Selection, 'trainable' | 'total'>,
): Promise<string | undefined> {
  if (!model.pretrained || trainable === total) return undefined;
  return weightFingerprint((await pretrainedFolders(model.pretrained)).unet);
}

/** Writes `checkpoints/step-N`; the delta holds the averaged weights where there are any. `optimizer.safetensors` keys: `exp_avg.NAME`, `exp_avg_sq.NAME`, `ema.NAME` (our layout). */
export async function save(
  run: string,
  step: number,
  { unet, optimizer, config, trainable, base, heldOut }: Contents,
): Promise<string> {
  const state = { step, stage: config.stage, seed: config.seed, trainable, ...heldOut, version: VERSION };
  return saveCheckpoint(run, state, config.checkpoint, async dir => {
    await unet.savePretrained(path.join(dir, 'unet'));
    if (optimizer.options.ema) await optimizer.withAverage(() => unet.savePretrained(path.join(dir, 'ema')));
    if (base) {
      const guidance = String(config.validate.sampler.guidanceScale);
      const about = { stage: config.stage, base, step: String(step), note: config.note ?? '', guidance };
      await optimizer.withAverage(() => writeDelta(path.join(dir, DELTA_FILE), unet, trainable, about));
    }
    const entries: TensorEntry[] = optimizer.slots.flatMap(slot =>
      Object.entries(MOMENTS).flatMap(([key, field]) => {
        const resource = slot[field];
        const data = resource
          ? () => resource.values()
          : field === 'ema' && slot.hostAverage && (() => slot.hostAverage!);
        return data ? [{ name: `${key}.${slot.name}`, shape: slot.weight.shape, dtype: 'F32' as const, data }] : [];
      }),
    );
    await writeSafetensors(path.join(dir, 'optimizer.safetensors'), entries, { format: 'pt', step: String(step) });
  });
}

/** Loads a checkpoint into the model and the optimizer; returns its step. */
export async function restore(
  dir: string,
  unet: UNet3DConditionModel,
  optimizer: AdamW,
  config: Config,
  print: (line: string) => void,
): Promise<number> {
  const state = await readCheckpointState(dir);
  const differs = (['stage', 'seed'] as const).filter(key => state[key] !== config[key]);
  if (differs.length > 0) {
    const list = differs.map(key => `${key} was ${state[key]}, is now ${config[key]}`).join('; ');
    throw new InputError(
      `cannot resume ${dir}: ${list}. Resume with the run's own config.yaml, or start a new run in another folder.`,
      {
        code: 'train.resume-differs',
        keys: differs,
      },
    );
  }
  const names = optimizer.slots.map(s => s.name);
  const missing = names.filter(name => !state.trainable.includes(name));
  const extra = state.trainable.filter(name => !names.includes(name));
  if (missing.length + extra.length > 0) {
    throw new InputError(
      `cannot resume ${dir}: it trained other parameters (${extra.length} no longer train, ${missing.length} are new, e.g. ${[...extra, ...missing][0]}). ` +
        'Keep train.trainable as it was, or start a new run with model.pretrained set to this checkpoint.',
      { code: 'train.resume-differs', missing, extra },
    );
  }
  const weights = openSafetensors(path.join(dir, 'unet'));
  const moments = openSafetensors(path.join(dir, 'optimizer.safetensors'));
  try {
    await unet.loadStateDict(weights);
    for (const slot of optimizer.slots) {
      for (const [key, field] of Object.entries(MOMENTS)) {
        const place = slot[field];
        if (!place && !(field === 'ema' && slot.hostAverage)) continue;
        const values = (await moments.read(`${key}.${slot.name}`)) as Float32Array;
        if (place) place.load(values);
        else slot.hostAverage!.set(values);
      }
    }
  } finally {
    weights.close();
    moments.close();
  }
  print(`resumed ${dir} at step ${state.step}`);
  return state.step;
}
