/** Fine-tuned deltas of a cascade: found and checked before any stage runs, put into the UNet when it is loaded. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../errors.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { applyDelta, checkDelta, DELTA_FILE, openDelta, weightFingerprint } from '../models/weights/delta.js';
import { newestCheckpoint } from '../train/checkpoint.js';
import type { ModelFolder } from './model-folder.js';
import type { StageName } from './stage-names.js';

/** One stage's delta; plain values, so that it can be part of a cache key. */
export interface StageDelta {
  file: string;
  scale: number;
  bytes: number;
  /** Time of the file's last change, ms. */
  modified: number;
  /** Guidance scale that it was looked at with while it was trained. */
  guidance?: number;
}

/**
 * The file of a delta: itself, or that of a checkpoint, or of a run's newest checkpoint.
 * @throws InputError `delta.missing`
 */
export async function findDelta(given: string): Promise<string> {
  if (!existsSync(given)) {
    throw new InputError(`--delta ${given}: there is no such file`, { code: 'delta.missing', path: given });
  }
  if (!statSync(given).isDirectory()) return given;
  const newest = await newestCheckpoint(given);
  const tried = [given, ...(newest ? [newest.dir] : [])].map(dir => path.join(dir, DELTA_FILE));
  const found = tried.find(file => existsSync(file));
  if (found) return found;
  throw new InputError(
    `--delta ${given}: no ${DELTA_FILE} in it. Runs write one with each checkpoint when they train a part of a pretrained model (show1 finetune).`,
    { code: 'delta.missing', path: given },
  );
}

interface DeltaOptions {
  deltas?: readonly string[];
  deltaScale?: number;
  print?: (line: string) => void;
}

/**
 * @returns the deltas by stage
 * @throws InputError `delta.*` when one is missing, belongs to no stage that runs, to a stage that has one already, or does not
 *   fit its UNet
 */
export async function readDeltas(
  { deltas = [], deltaScale = 1, print }: DeltaOptions,
  stages: ReadonlyMap<StageName, ModelFolder>,
): Promise<Map<StageName, StageDelta>> {
  if (!Number.isFinite(deltaScale)) {
    throw new InputError(`--delta-scale is ${deltaScale}; it must be a number, 1 for the delta as it was trained`, {
      code: 'delta.scale',
      value: deltaScale,
    });
  }
  const found = new Map<StageName, StageDelta>();
  for (const given of deltas) {
    const delta = openDelta(await findDelta(given));
    try {
      const { file, about } = delta;
      const stage = about.stage as StageName;
      const model = stages.get(stage);
      if (!model || found.has(stage)) {
        const running = [...stages.keys()].join(', ');
        const why = model ? `and ${found.get(stage)!.file} is one already` : `but the stages that run are ${running}`;
        throw new InputError(`--delta ${file} is for stage ${stage}, ${why}`, { code: 'delta.stage', file, stage });
      }
      checkDelta(UNet3DConditionModel.inspect(model.unet), delta);
      if ((await weightFingerprint(model.unet)) !== about.base) {
        print?.(
          `${file} was trained on other weights than ${model.unet} (another checkpoint, or another float type): it fits, but what it does there was never seen`,
        );
      }
      const { size, mtimeMs } = statSync(file);
      const guidance = about.guidance === undefined ? undefined : Number(about.guidance);
      found.set(stage, { file, scale: deltaScale, bytes: size, modified: mtimeMs, guidance });
    } finally {
      delta.reader.close();
    }
  }
  return found;
}

/** Puts a delta into a loaded UNet, which it gives back. */
export async function withDelta(
  unet: UNet3DConditionModel,
  delta: StageDelta | undefined,
): Promise<UNet3DConditionModel> {
  if (!delta) return unet;
  const opened = openDelta(delta.file);
  try {
    await applyDelta(unet, opened, delta.scale);
    return unet;
  } catch (error) {
    unet.dispose();
    throw error;
  } finally {
    opened.reader.close();
  }
}
