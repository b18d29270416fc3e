/** Measures of one video against the truth. Videos are 8-bit RGB, `[F, H, W, 3]`, of equal size. */
import type { Frames } from '../../src/data/frames.js';

/** Mean squared error over the listed frames (default all), in units of 255². */
export function meanSquaredError(
  video: Frames,
  truth: Frames,
  frames: readonly number[] = indices(truth.frames),
): number {
  const size = truth.height * truth.width * 3;
  let sum = 0;
  for (const f of frames) {
    for (let i = f * size; i < (f + 1) * size; i++) sum += (video.data[i]! - truth.data[i]!) ** 2;
  }
  return sum / (frames.length * size) / 255 ** 2;
}

/** Peak signal-to-noise ratio in dB of a mean squared error in units of 255². */
export const decibels = (mse: number): number => -10 * Math.log10(mse);

const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Length of the luma's gradient (central differences) at each inner pixel of each frame, else 0: [F, H, W]. */
function gradients({ data, frames, height, width }: Frames): Float64Array {
  const luma = new Float64Array(frames * height * width);
  for (let i = 0; i < luma.length; i++) {
    luma[i] = 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!;
  }
  const lengths = new Float64Array(luma.length);
  for (let f = 0; f < frames; f++) {
    for (let y = 1; y < height - 1; y++) {
      for (let x = 1; x < width - 1; x++) {
        const i = (f * height + y) * width + x;
        lengths[i] = Math.hypot(luma[i + 1]! - luma[i - 1]!, luma[i + width]! - luma[i - width]!) / 2;
      }
    }
  }
  return lengths;
}

/** Edges of the truth: where its gradient is at least this share of its largest. */
const EDGE = 0.5;

/**
 * Sharpness: the mean gradient of the video where the truth has its edges, as a share of the truth's own. 1 is as sharp as the
 * truth; blur lowers it, and so do edges in the wrong place. Noise elsewhere does not count.
 */
export function sharpness(video: Frames, truth: Frames): number {
  const [ours, theirs] = [gradients(video), gradients(truth)];
  const threshold = EDGE * theirs.reduce((a, b) => Math.max(a, b), 0);
  let [sum, whole] = [0, 0];
  for (let i = 0; i < theirs.length; i++) {
    if (theirs[i]! < threshold) continue;
    sum += ours[i]!;
    whole += theirs[i]!;
  }
  return whole === 0 ? 1 : sum / whole;
}

/** Distance of the colours, of 255, where the truth shows its object: mean over pixels of the RGB difference's length / √3. */
export function colourError(video: Frames, truth: Frames): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < truth.data.length; i += 3) {
    const [r, g, b] = [truth.data[i]!, truth.data[i + 1]!, truth.data[i + 2]!];
    if (Math.max(r, g, b) - Math.min(r, g, b) < OBJECT_CHROMA) continue; // the backgrounds are grey
    sum += Math.hypot(video.data[i]! - r, video.data[i + 1]! - g, video.data[i + 2]! - b) / Math.sqrt(3);
    count++;
  }
  return count === 0 ? 0 : sum / count;
}
const OBJECT_CHROMA = 100;

/** A straight line in time between every `step`-th frame, as 8-bit frames. */
export function blendKeyframes(truth: Frames, step: number): Frames {
  const size = truth.height * truth.width * 3;
  const data = truth.data.slice();
  for (let f = 0; f < truth.frames; f++) {
    const from = Math.floor(f / step) * step;
    const share = (f - from) / step;
    if (share === 0) continue;
    for (let i = 0; i < size; i++) {
      const [a, b] = [truth.data[from * size + i]!, truth.data[(from + step) * size + i]!];
      data[f * size + i] = Math.round(a + share * (b - a));
    }
  }
  return { ...truth, data };
}

/**
 * Apparent movement from each frame to the next, in pixels: the least-squares solution of the brightness constancy equation
 * over the whole picture (Lucas & Kanade 1981), summed over the colour channels.
 */
export function apparentMotion({ data, frames, height, width }: Frames): { x: number; y: number }[] {
  const at = (f: number, y: number, x: number, c: number) => data[((f * height + y) * width + x) * 3 + c]!;
  return indices(frames - 1).map(f => {
    let [xx, xy, yy, xt, yt] = [0, 0, 0, 0, 0];
    for (let y = 1; y < height - 1; y++) {
      for (let x = 1; x < width - 1; x++) {
        for (let c = 0; c < 3; c++) {
          // The mean of both frames' gradients: exact to second order for a moving edge.
          const dx = (at(f, y, x + 1, c) - at(f, y, x - 1, c) + at(f + 1, y, x + 1, c) - at(f + 1, y, x - 1, c)) / 4;
          const dy = (at(f, y + 1, x, c) - at(f, y - 1, x, c) + at(f + 1, y + 1, x, c) - at(f + 1, y - 1, x, c)) / 4;
          const dt = at(f + 1, y, x, c) - at(f, y, x, c);
          xx += dx * dx;
          xy += dx * dy;
          yy += dy * dy;
          xt += dx * dt;
          yt += dy * dt;
        }
      }
    }
    const determinant = xx * yy - xy * xy;
    if (determinant < 1e-9 * (xx + yy) ** 2) return { x: 0, y: 0 };
    return { x: (xy * yt - yy * xt) / determinant, y: (xy * xt - xx * yt) / determinant };
  });
}

/**
 * Share of the steps between frames that move as the truth's do: the apparent movement points within 45 degrees of the truth's
 * and is at least half and at most twice as long. Fading between two places is not movement.
 */
export function stepsInDirection(video: Frames, truth: Frames): { right: number; steps: number } {
  const [ours, theirs] = [apparentMotion(video), apparentMotion(truth)];
  const right = theirs.filter((b, i) => {
    const a = ours[i]!;
    const [length, wanted] = [Math.hypot(a.x, a.y), Math.hypot(b.x, b.y)];
    const cosine = (a.x * b.x + a.y * b.y) / (length * wanted || 1);
    return cosine >= Math.SQRT1_2 && length >= wanted / 2 && length <= 2 * wanted;
  }).length;
  return { right, steps: theirs.length };
}
