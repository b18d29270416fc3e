/**
 * The mean that C3D's input is without. tgan2's scores (C3DVersion1UCF101) need the mean video of the file `mean2.npz` that its
 * README points to: users bring it as safetensors, made by one line of Python:
 *
 *   python -c "import numpy, safetensors.numpy as s; s.save_file({'mean': numpy.load('mean2.npz')['mean']}, 'mean.safetensors')"
 *
 * Lying in the folder of converted C3D weights under the name `mean.safetensors` it is found there.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../errors.js';
import { fileSha256 } from '../models/metrics/index.js';
import { openSafetensors } from '../models/weights/safetensors.js';

export const C3D_MEAN_FILE = 'mean.safetensors';
const [FRAMES, SIZE, MARGIN] = [16, 112, 8];

export interface C3dMean {
  /** For protocol records: the sha256 of the file, or `channels`. */
  id: string;
  /** BGR, 0 … 255: [16, 112, 112, 3], or one value for each channel [3]. */
  values: Float32Array;
}

/**
 * The mean colour, where the mean video is not at hand: the constant that tgan2 (models/c3d/c3d_ucf101.py) names in its place.
 * Scores differ a little from those with the video, so that a protocol record must name it.
 */
export const C3D_CHANNEL_MEAN: C3dMean = {
  id: 'channels',
  values: new Float32Array([90.25164795, 97.65701294, 101.4083252]),
};

/** The cut that C3D sees of a mean video [3, 16, H, W] -> [16, 112, 112, 3]. */
function cut(video: Float32Array, height: number, width: number, margin: number): Float32Array {
  const out = new Float32Array(FRAMES * SIZE * SIZE * 3);
  let at = 0;
  for (let f = 0; f < FRAMES; f++) {
    for (let y = margin; y < margin + SIZE; y++) {
      for (let x = margin; x < margin + SIZE; x++) {
        for (let c = 0; c < 3; c++) out[at++] = video[((c * FRAMES + f) * height + y) * width + x]!;
      }
    }
  }
  return out;
}

/**
 * @param path a safetensors file with the tensor `mean`: [3, 16, 128, 171] as Caffe and tgan2 have it, or cut to [3, 16, 112, 112]
 * @throws InputError `eval.c3d-mean`, and as `openSafetensors`
 */
export async function readC3dMean(path: string): Promise<C3dMean> {
  const file = openSafetensors(path);
  try {
    const shape = file.has('mean') ? file.info('mean').shape : undefined;
    const whole = shape?.join() === [3, FRAMES, 128, 171].join();
    if (!shape || (!whole && shape.join() !== [3, FRAMES, SIZE, SIZE].join())) {
      const found = shape ? `its tensor "mean" is [${shape}]` : 'it has no tensor "mean"';
      throw new InputError(
        `${path}: not a mean video of C3D: ${found}; it must be [3, 16, 128, 171] (blue, green, red; frames; height; width)`,
        { code: 'eval.c3d-mean', path, shape },
      );
    }
    const video = Float32Array.from(await file.read('mean'));
    const values = whole ? cut(video, 128, 171, MARGIN) : cut(video, SIZE, SIZE, 0);
    const bad = values.find(value => !(value >= 0 && value <= 255));
    if (bad !== undefined) {
      throw new InputError(`${path}: a mean of ${bad} is no colour from 0 to 255`, {
        code: 'eval.c3d-mean',
        path,
        value: bad,
      });
    }
    return { id: await fileSha256(path), values };
  } finally {
    file.close();
  }
}

/** @param path converted C3D weights @returns the mean video beside them, or the mean colour where there is none */
export function c3dMeanOf(path: string): Promise<C3dMean> {
  const folder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ? path : dirname(path);
  const file = join(folder, C3D_MEAN_FILE);
  return existsSync(file) ? readC3dMean(file) : Promise.resolve(C3D_CHANNEL_MEAN);
}
