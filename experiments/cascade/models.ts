/** A trained stage, loaded for measuring: its network, text encoder, sampler settings, and held-out clips at its size. */
import path from 'node:path';
import type { Config } from '../../src/config/schema.js';
import { decode } from '../../src/data/ffmpeg.js';
import { type Frames, sliceFrames, writeUnit } from '../../src/data/frames.js';
import { openManifest } from '../../src/data/index.js';
import { PURPOSE, permutation } from '../../src/data/random.js';
import { type AnyScheduler, loadScheduler, schedulerFromConfig, videoBytes } from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { InputError } from '../../src/errors.js';
import { findModel } from '../../src/infer/model-folder.js';
import { samplerConfig } from '../../src/infer/scheduler.js';
import { textFolders } from '../../src/models/text/folders.js';
import { TextConditioner } from '../../src/models/text/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';

export interface StageModel {
  config: Config;
  label: string;
  /** The run's folder. */
  root: string;
  unet: UNet3DConditionModel;
  scheduler: AnyScheduler;
  text: TextConditioner;
  dispose(): void;
}

/** @throws InputError when `dir` is no run of the stage */
export async function loadStage(dir: string, stage: Config['stage']): Promise<StageModel> {
  const { config, label, root, unet: folder } = await findModel(dir, 'ema');
  if (config?.stage !== stage) {
    throw new InputError(`${dir} is no run of stage ${stage}; train one with configs/tiny/${stage}.yaml`, {
      code: 'cascade.stage',
      dir,
      stage,
    });
  }
  const unet = await UNet3DConditionModel.fromPretrained(folder);
  const text = await TextConditioner.fromPretrained(textFolders([root], config.model.textEncoder), {
    maxLength: config.model.maxTextLength,
  });
  const trained = await loadScheduler(path.join(root, 'scheduler'));
  const scheduler = schedulerFromConfig(samplerConfig(trained.toConfig(), config.validate.sampler.scheduler));
  const dispose = () => {
    unet.dispose();
    text.dispose();
  };
  return { config, label, root, unet, scheduler, text, dispose };
}

export interface HeldOutClip {
  id: string;
  caption: string;
  truth: Frames;
}

/** `count` clips of a held-out set, drawn the same way every time, the first `frames` frames of each at `fps`, reduced to width × height. */
export async function readClips(
  source: string,
  count: number,
  { frames, fps, width, height }: { frames: number; fps: number; width: number; height: number },
): Promise<HeldOutClip[]> {
  const { entries } = await openManifest(source);
  // Drawn, not taken at even distances: the combinations of a shapes dataset take turns.
  const order = permutation(entries.length, 0, PURPOSE.permutation);
  const chosen = Array.from(order.slice(0, count), index => entries[index]!);
  const clips: HeldOutClip[] = [];
  for (const { id, caption, path: file } of chosen) {
    const truth = sliceFrames(await decode(file, { size: { width, height }, fps }), 0, frames);
    clips.push({ id, caption, truth });
  }
  return clips;
}

/** 8-bit frames as a video [1, F, H, W, 3] in [-1, 1]. */
export function toTensor({ data, frames, height, width }: Frames): Tensor {
  const values = new Float32Array(data.length);
  writeUnit(data, values);
  return tf.tensor(values, [1, frames, height, width, 3]);
}

/** A video [1, F, H, W, 3] in [-1, 1] as 8-bit frames; disposes of it. */
export async function toFrames(video: Tensor): Promise<Frames> {
  const [, frames, height, width] = video.shape as [number, number, number, number];
  const data = await videoBytes(video);
  video.dispose();
  return { data, frames, height, width };
}

/** Encodes a clip's caption (and the empty one) for one sampling request. */
export async function withCaption<T>(
  text: TextConditioner,
  caption: string,
  run: (embeddings: { text: Tensor; unconditional: Tensor }) => Promise<T>,
): Promise<T> {
  const [context, empty] = [text.encode([caption]), text.encode([''])];
  try {
    return await run({ text: context, unconditional: empty });
  } finally {
    tf.dispose([context, empty]);
  }
}
