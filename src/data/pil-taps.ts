/**
 * Which source pixels make a target pixel, and with which weights: the filter tables of Pillow's `src/libImaging/Resample.c`,
 * in its arithmetic. The filter is widened when the image shrinks, and cut and renormalised at the borders.
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

/** Fraction bits of a fixed-point weight: 32, less 8 for the value and 2 for overshoot. */
export const BITS = 22;

export interface Taps {
  /** First source pixel of each target pixel. */
  first: Int32Array;
  /** Number of source pixels of each target pixel. */
  count: Int32Array;
  /** `width` weights for each target pixel. */
  weights: Float64Array;
  /** The same in fixed point, for 8-bit images. */
  fixed: Int32Array;
  width: number;
}

function computeTaps(from: number, to: number, { support, weight }: Kernel): Taps {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const reach = support * widening;
  const width = Math.ceil(reach) * 2 + 1;
  const [first, count] = [new Int32Array(to), new Int32Array(to)];
  const [weights, fixed] = [new Float64Array(to * width), new Int32Array(to * width)];
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const length = Math.min(from, Math.trunc(centre + reach + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      sum += weights[i * width + k] = weight((k + start - centre + 0.5) * (1 / widening));
    }
    for (let at = i * width; at < i * width + length; at++) {
      if (sum !== 0) weights[at]! /= sum;
      const scaled = weights[at]! * 2 ** BITS;
      fixed[at] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    first[i] = start;
    count[i] = length;
  }
  return { first, count, weights, fixed, width };
}

/** Tables of the last sizes: a video's frames all need the same two. */
const CACHED = 16;
const cache = new Map<string, Taps>();

export function tapsOf(from: number, to: number, filter: PilFilter): Taps {
  const key = `${filter} ${from} ${to}`;
  let taps = cache.get(key);
  if (!taps) {
    taps = computeTaps(from, to, KERNELS[filter]);
    if (cache.size >= CACHED) cache.delete(cache.keys().next().value!);
    cache.set(key, taps);
  }
  return taps;
}

export interface ResizeFrom {
  images: number;
  height: number;
  width: number;
  /** Default 3. */
  channels?: number;
}

/** A part of the resized image. */
export interface Window {
  top: number;
  left: number;
  height: number;
  width: number;
}

export interface PilResizeOptions {
  /**
   * Pillow's major version, of which the order of the two passes depends where the height shrinks and the width does not, or
   * far less (a tall image into a square): from 13 on rows come first there, before it columns always do. Default 13.
   */
  pillow?: 12 | 13;
  /** Compute this part of the result alone. */
  crop?: Window;
}

interface Size {
  height: number;
  width: number;
}

/** Whether Pillow runs the pass over rows first (`ImagingResampleInner`). */
export function rowsFirst(from: Size, to: Size, { pillow = 13 }: PilResizeOptions): boolean {
  const shrinks = from.height - to.height;
  return pillow >= 13 && shrinks > 0 && shrinks > 2 * (from.width - to.width);
}

/** @throws InputError when sizes are no positive integers, do not fit the data, or the part is not inside `to` */
export function checkResize(length: number, from: ResizeFrom, to: Size, { crop }: PilResizeOptions): Window {
  const { images, height, width, channels = 3 } = from;
  const sizes = [images, height, width, channels, to.height, to.width];
  if (sizes.some(n => !Number.isInteger(n) || n < 1) || length !== images * height * width * channels) {
    throw new InputError(
      `resize: ${length} bytes as [${images}, ${height}, ${width}, ${channels}] to ${to.width}×${to.height}: sizes must be positive integers that fit the data`,
      { code: 'resize.shape', from, to },
    );
  }
  if (!crop) return { top: 0, left: 0, ...to };
  const { top, left } = crop;
  const fits = [top, left, crop.height - 1, crop.width - 1].every(n => Number.isInteger(n) && n >= 0);
  if (!fits || top + crop.height > to.height || left + crop.width > to.width) {
    throw new InputError(
      `resize: a part of ${crop.width}×${crop.height} at (${left}, ${top}) is not inside ${to.width}×${to.height}`,
      { code: 'resize.crop', crop, to },
    );
  }
  return crop;
}
