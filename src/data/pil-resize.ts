/**
 * Image resampling with PIL's own arithmetic, bit for bit on 8-bit images: Show-1's last stage and the metrics were made
 * with it. Two passes (columns, then rows) in fixed point, the filter widened when the image shrinks
 * (Pillow `src/libImaging/Resample.c`).
 */
import { InputError } from '../errors.js';

export type PilFilter = 'bilinear' | 'bicubic';

interface Kernel {
  /** Reach to each side, in source pixels at scale 1. */
  support: number;
  weight(x: number): number;
}

/** Keys' cubic with a = -1/2. */
const A = -0.5;
const KERNELS: Record<PilFilter, Kernel> = {
  bilinear: { support: 1, weight: x => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight: signed => {
      const x = Math.abs(signed);
      if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
    },
  },
};

/** Fraction bits of a weight: 32, less 8 for the value and 2 for overshoot. */
const BITS = 22;

interface Taps {
  /** First source pixel of each target pixel. */
  first: Int32Array;
  /** Number of source pixels of each target pixel. */
  count: Int32Array;
  /** `width` fixed-point weights for each target pixel. */
  weights: Int32Array;
  width: number;
}

function taps(from: number, to: number, { support, weight }: Kernel): Taps {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const reach = support * widening;
  const width = Math.ceil(reach) * 2 + 1;
  const result = { first: new Int32Array(to), count: new Int32Array(to), weights: new Int32Array(to * width), width };
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - first;
    const values = Array.from({ length: count }, (_, k) => weight((k + first - centre + 0.5) * (1 / widening)));
    const sum = values.reduce((a, b) => a + b, 0);
    for (const [k, value] of values.entries()) {
      const scaled = (sum !== 0 ? value * (1 / sum) : value) * 2 ** BITS;
      result.weights[i * width + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    result.first[i] = first;
    result.count[i] = count;
  }
  return result;
}

/**
 * One pass over an array of [outer, from, inner] bytes -> [outer, to, inner].
 * Sums stay below 2³¹, as PIL's do, so that integer arithmetic is exact.
 */
function pass(data: Uint8Array, outer: number, from: number, to: number, inner: number, kernel: Kernel): Uint8Array {
  if (from === to) return data;
  const { first, count, weights, width } = taps(from, to, kernel);
  const out = new Uint8Array(outer * to * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < to; i++) {
      const start = (o * from + first[i]!) * inner;
      const target = (o * to + i) * inner;
      for (let c = 0; c < inner; c++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0; k < count[i]!; k++) sum += data[start + k * inner + c]! * weights[i * width + k]!;
        const value = sum >> BITS;
        out[target + c] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
  return out;
}

/**
 * Resizes images as `PIL.Image.resize((width, height), filter)` does.
 * @param data 8-bit values, [images, height, width, channels]
 * @param from shape of `data`; @param to size wanted
 * @returns [images, to.height, to.width, channels]
 * @throws InputError when the sizes are no positive integers or do not fit the data
 */
export function pilResize(
  data: Uint8Array,
  from: { images: number; height: number; width: number; channels?: number },
  to: { height: number; width: number },
  filter: PilFilter = 'bicubic',
): Uint8Array {
  const { images, height, width, channels = 3 } = from;
  const sizes = [images, height, width, channels, to.height, to.width];
  if (sizes.some(n => !Number.isInteger(n) || n < 1) || data.length !== images * height * width * channels) {
    throw new InputError(
      `resize: ${data.length} bytes as [${images}, ${height}, ${width}, ${channels}] to ${to.width}×${to.height}: sizes must be positive integers that fit the data`,
      { code: 'resize.shape', from, to },
    );
  }
  const kernel = KERNELS[filter];
  const columns = pass(data, images * height, width, to.width, channels, kernel); // [N, h, W, C]
  return pass(columns, images, height, to.height, to.width * channels, kernel); // [N, H, W, C]
}
