/**
 * Damage of a known strength to clips: a metric has to rise with it (Heusel et al. 2017, figure 3; Unterthiner et al. 2018, section 4).
 * All functions return new clips and follow from their arguments alone.
 */
import { type Frames, frameBytes } from '../../src/data/frames.js';
import { PURPOSE, permutation, randomStream } from '../../src/data/random.js';

/**
 * Normal noise on every value, rounded and cut to 8 bits. The noise of a (seed, clip) is the same at all strengths, only scaled.
 * @param strength standard deviation, as a share of the range 0 … 255
 * @param clip number of the clip in its set
 */
export function addNoise(frames: Frames, strength: number, seed: number, clip = 0): Frames {
  const random = randomStream(seed, PURPOSE.noise, clip);
  const data = new Uint8ClampedArray(frames.data.length); // rounds and cuts
  for (let i = 0; i < data.length; i++) data[i] = frames.data[i]! + 255 * strength * random.normal();
  return { ...frames, data: new Uint8Array(data.buffer) };
}

/** Weights of a Gaussian, cut at three deviations, at distances 0, 1 …; they are not normalised. */
function gaussian(deviation: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(3 * deviation) + 1 }, (_, i) =>
    Math.exp(-(i * i) / (2 * deviation ** 2)),
  );
}

/** Weighted means along one axis of [outer, size, inner]; at the border, of what is there. */
function blurAxis(data: Float32Array, outer: number, size: number, inner: number, weights: Float64Array): Float32Array {
  const out = new Float32Array(data.length);
  const reach = weights.length - 1;
  for (let x = 0; x < size; x++) {
    const [first, last] = [Math.max(0, x - reach), Math.min(size - 1, x + reach)];
    let sum = 0;
    for (let k = first; k <= last; k++) sum += weights[Math.abs(k - x)]!;
    for (let o = 0; o < outer; o++) {
      for (let k = first; k <= last; k++) {
        const weight = weights[Math.abs(k - x)]! / sum;
        const [from, to] = [(o * size + k) * inner, (o * size + x) * inner];
        for (let i = 0; i < inner; i++) out[to + i]! += weight * data[from + i]!;
      }
    }
  }
  return out;
}

/**
 * Gaussian blur of every frame.
 * @param strength standard deviation in pixels; 0 changes nothing
 */
export function blur(frames: Frames, strength: number): Frames {
  if (strength === 0) return { ...frames, data: frames.data.slice() };
  const weights = gaussian(strength);
  const { frames: count, height, width } = frames;
  const wide = blurAxis(Float32Array.from(frames.data), count * height, width, 3, weights);
  const both = blurAxis(wide, count, height, width * 3, weights);
  return { ...frames, data: new Uint8Array(new Uint8ClampedArray(both).buffer) };
}

/**
 * The same frames in another order.
 * @param strength share of the frames that change their place (rounded; one alone cannot)
 * @param clip number of the clip in its set
 */
export function shuffleFrames(frames: Frames, strength: number, seed: number, clip = 0): Frames {
  const order = permutation(frames.frames, seed, PURPOSE.permutation, 0, clip);
  const moved = order.subarray(0, Math.round(strength * frames.frames));
  const bytes = frameBytes(frames);
  const data = frames.data.slice();
  // Each takes the place of the next one: none stays where it was.
  for (const [i, from] of moved.entries()) {
    const to = moved[(i + 1) % moved.length]!;
    data.set(frames.data.subarray(from * bytes, (from + 1) * bytes), to * bytes);
  }
  return { ...frames, data };
}
