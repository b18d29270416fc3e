/**
 * From 8-bit frames to what each metric's network takes, as the public scripts make it. All functions give tensors that are the
 * caller's to dispose, run outside compiled functions, and keep few frames at full size in float at a time.
 */
import type { Frames } from '../data/frames.js';
import { sliceFrames } from '../data/frames.js';
import { pilResize } from '../data/pil-resize.js';
import { pilResizeFloat } from '../data/pil-resize-float.js';
import { resizeBilinear, type Tensor, tf, uploadBytes } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { C3dMean } from './c3d-mean.js';

/** Floats of full-size frames that may be in memory at once: 16 frames of 1024×576. */
const BUDGET = 16 * 1024 * 576 * 3;

/** Runs `work` on as many frames as the budget allows, [n, H, W, 3] in 0 … 255, and joins what it gives [n, …]. */
function inPieces(frames: Frames, work: (pixels: Tensor) => Tensor): Tensor {
  const { height, width } = frames;
  const piece = Math.max(1, Math.floor(BUDGET / (height * width * 3)));
  return tf.tidy(() => {
    const parts: Tensor[] = [];
    for (let at = 0; at < frames.frames; at += piece) {
      const part = sliceFrames(frames, at, Math.min(piece, frames.frames - at));
      parts.push(tf.tidy(() => work(uploadBytes(part.data, [part.frames, height, width, 3]))));
    }
    return parts.length === 1 ? parts[0]! : tf.concat(parts, 0);
  });
}

const FVD_SIZE = 224;

/** Height and width with the short side at 224, as the videogpt port rounds: up, also what only rounding puts above 224. */
function videogptSize(height: number, width: number): [number, number] {
  const scale = FVD_SIZE / Math.min(height, width);
  return height < width ? [FVD_SIZE, Math.ceil(width * scale)] : [Math.ceil(height * scale), FVD_SIZE];
}

/**
 * I3D's input for FVD.
 * - `stylegan-v` (stylegan-v's frechet_video_distance.py, and the original TensorFlow one): bilinear to 224×224 without antialiasing,
 *   whatever the aspect ratio; 2x / 255 - 1.
 * - `videogpt` (common_metrics' fvd/videogpt, TATS): bilinear without antialiasing of the short side to 224, the middle 224×224 (offsets
 *   rounded down). That script first makes 8-bit values of its floats by truncation, which leaves 8-bit frames as they are.
 * @returns [1, F, 224, 224, 3] in [-1, 1]
 */
export function fvdInput(frames: Frames, preprocess: 'stylegan-v' | 'videogpt'): Tensor {
  return tf.tidy(() => {
    const pixels = inPieces(frames, x => {
      if (preprocess === 'stylegan-v') return resizeBilinear(x, [FVD_SIZE, FVD_SIZE]);
      const [height, width] = videogptSize(frames.height, frames.width);
      const [top, left] = [height, width].map(side => Math.floor((side - FVD_SIZE) / 2)) as [number, number];
      return resizeBilinear(x, [height, width]).slice([0, top, left, 0], [-1, FVD_SIZE, FVD_SIZE, 3]);
    }); // [F, 224, 224, 3]
    return pixels
      .mul(2 / 255)
      .sub(1)
      .expandDims(0);
  });
}

const C3D_SIZE = 112;

/**
 * C3D's input for the Inception score, as tgan2's models/c3d/c3d_ucf101.py: x in [-1, 1] times 128, blue first, bilinear with aligned
 * corners to 112×112, plus 128 less the mean.
 * @param mean {@link c3dMeanOf} the folder of the weights
 * @returns [1, 16, 112, 112, 3], BGR
 * @throws InputError `eval.frames` unless there are 16 frames
 */
export function c3dInput(frames: Frames, mean: C3dMean): Tensor {
  if (frames.frames !== 16) {
    throw new InputError(`C3D takes clips of 16 frames, got ${frames.frames}`, {
      code: 'eval.frames',
      frames: frames.frames,
    });
  }
  return tf.tidy(() => {
    const pixels = inPieces(frames, x => resizeBilinear(x, [C3D_SIZE, C3D_SIZE], { alignCorners: true }));
    const shape = mean.values.length === 3 ? [1, 1, 1, 3] : [16, C3D_SIZE, C3D_SIZE, 3];
    // (v / 127.5 - 1) · 128 + 128 - mean
    return pixels
      .reverse(-1)
      .mul(128 / 127.5)
      .sub(tf.tensor(mean.values, shape))
      .expandDims(0);
  });
}

const INCEPTION_SIZE = 299;

/**
 * Inception-v3's input for FID, as clean-fid (cleanfid/resize.py): `clean` resizes as PIL's bicubic filter does on floats, `legacy-pytorch`
 * bilinearly without antialiasing; both clip to 0 … 255.
 * @returns [F, 299, 299, 3], (x - 128) / 128
 */
export function inceptionInput(frames: Frames, preprocess: 'clean' | 'legacy-pytorch'): Tensor {
  const { frames: images, height, width } = frames;
  const to = { height: INCEPTION_SIZE, width: INCEPTION_SIZE };
  return tf.tidy(() => {
    const pixels =
      preprocess === 'clean'
        ? tf.tensor(pilResizeFloat(frames.data, { images, height, width }, to), [images, to.height, to.width, 3])
        : inPieces(frames, x => resizeBilinear(x, [to.height, to.width]));
    return pixels.clipByValue(0, 255).sub(128).div(128);
  });
}

/** OpenAI's constants (CLIP clip/clip.py). */
const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];

/** Half of n, rounded as Python's `round` does: .5 to the even neighbour. */
function roundHalf(n: number): number {
  const low = Math.floor(n / 2);
  return n % 2 === 0 || low % 2 === 0 ? low : low + 1;
}

/**
 * CLIP's input: PIL's bicubic filter on the short side (the long one rounded down), the middle square (offsets rounded as torchvision
 * does), then the published mean and deviation.
 * @param size the model's image size, in pixels
 * @returns [F, size, size, 3]
 */
export function clipInput(frames: Frames, size: number): Tensor {
  const { frames: images, height, width } = frames;
  const long = Math.trunc((size * Math.max(height, width)) / Math.min(height, width));
  const to = height < width ? { height: size, width: long } : { height: long, width: size };
  const crop = { top: roundHalf(to.height - size), left: roundHalf(to.width - size), height: size, width: size };
  const square = pilResize(frames.data, { images, height, width }, to, 'bicubic', { crop });
  return tf.tidy(() => {
    const pixels = uploadBytes(square, [images, size, size, 3]).div(255);
    return pixels.sub(tf.tensor1d(CLIP_MEAN)).div(tf.tensor1d(CLIP_STD));
  });
}
