/**
 * Image resampling with PIL's own arithmetic, bit for bit on 8-bit images: Show-1's last stage and the metrics were made
 * with it. Two passes (columns and rows), each rounded to 8 bits, in fixed point (Pillow `src/libImaging/Resample.c`).
 * Sums stay below 2³¹, as PIL's do, so that integer arithmetic is exact.
 */
import {
  BITS,
  checkResize,
  type PilFilter,
  type PilResizeOptions,
  type ResizeFrom,
  rowsFirst,
  type Taps,
  tapsOf,
  type Window,
} from './pil-taps.js';

export type { PilFilter };

const HALF = 1 << (BITS - 1);

/** Rows [rows, from, C] at `data[start…]` -> columns `left …` of the resized rows [rows, width, C], at `out[target…]`. */
function columnPass(
  data: Uint8Array,
  start: number,
  rows: number,
  from: number,
  C: number,
  taps: Taps,
  { left, width }: Window,
  out: Uint8ClampedArray,
  target: number,
): void {
  const { first, count, fixed, width: stride } = taps;
  let to = target;
  for (let y = 0; y < rows; y++) {
    const row = start + y * from * C;
    for (let x = left; x < left + width; x++) {
      let at = row + first[x]! * C;
      const weightAt = x * stride;
      const end = weightAt + count[x]!;
      if (C === 3) {
        let red = HALF;
        let green = HALF;
        let blue = HALF;
        for (let k = weightAt; k < end; k++, at += 3) {
          const weight = fixed[k]!;
          red = (red + Math.imul(data[at]!, weight)) | 0;
          green = (green + Math.imul(data[at + 1]!, weight)) | 0;
          blue = (blue + Math.imul(data[at + 2]!, weight)) | 0;
        }
        out[to] = red >> BITS; // a clamped array clips to 0 … 255
        out[to + 1] = green >> BITS;
        out[to + 2] = blue >> BITS;
        to += 3;
      } else {
        for (let c = 0; c < C; c++) {
          let sum = HALF;
          for (let k = weightAt, i = at + c; k < end; k++, i += C) sum = (sum + Math.imul(data[i]!, fixed[k]!)) | 0;
          out[to++] = sum >> BITS;
        }
      }
    }
  }
}

/** Rows of `length` bytes at `data[start…]` -> rows `top …` of the resized image, at `out[target…]`. */
function rowPass(
  data: Uint8Array,
  start: number,
  length: number,
  taps: Taps,
  { top, height }: Window,
  out: Uint8ClampedArray,
  target: number,
): void {
  const { first, count, fixed, width: stride } = taps;
  const sums = new Int32Array(length);
  for (let y = top; y < top + height; y++, target += length) {
    const n = count[y]!;
    const row = start + first[y]! * length;
    const weights = fixed.subarray(y * stride, y * stride + n);
    if (n <= 4) {
      // The usual case where an image grows: one sweep. A tap that is not there has no weight, and its row is any row.
      const [w0, w1, w2, w3] = [0, 1, 2, 3].map(k => weights[k] ?? 0) as [number, number, number, number];
      const [a, b, c, d] = [0, 1, 2, 3].map(k => row + Math.min(k, n - 1) * length) as [number, number, number, number];
      for (let i = 0; i < length; i++) {
        const sum =
          (HALF +
            Math.imul(data[a + i]!, w0) +
            Math.imul(data[b + i]!, w1) +
            Math.imul(data[c + i]!, w2) +
            Math.imul(data[d + i]!, w3)) |
          0;
        out[target + i] = sum >> BITS;
      }
      continue;
    }
    sums.fill(HALF);
    for (let k = 0; k < n; k++) {
      const weight = weights[k]!;
      const from = row + k * length;
      for (let i = 0; i < length; i++) sums[i] = (sums[i]! + Math.imul(data[from + i]!, weight)) | 0;
    }
    for (let i = 0; i < length; i++) out[target + i] = sums[i]! >> BITS;
  }
}

/**
 * Resizes images as `PIL.Image.resize((width, height), filter)` does.
 * @param data 8-bit values, [images, height, width, channels]
 * @param from shape of `data`; @param to size wanted
 * @returns [images, to.height, to.width, channels], or of the size of `options.crop`
 * @throws InputError when the sizes are no positive integers or do not fit the data
 */
export function pilResize(
  data: Uint8Array,
  from: ResizeFrom,
  to: { height: number; width: number },
  filter: PilFilter = 'bicubic',
  options: PilResizeOptions = {},
): Uint8Array {
  const window = checkResize(data.length, from, to, options);
  const { images, height, width, channels: C = 3 } = from;
  const columns = tapsOf(width, to.width, filter);
  const rows = tapsOf(height, to.height, filter);
  const size = window.height * window.width * C;
  const out = new Uint8ClampedArray(images * size);
  const rowsBefore = rowsFirst(from, to, options);
  const between = new Uint8ClampedArray(rowsBefore ? window.height * width * C : height * window.width * C);
  const betweenBytes = new Uint8Array(between.buffer);
  for (let n = 0; n < images; n++) {
    const start = n * height * width * C;
    if (rowsBefore) {
      rowPass(data, start, width * C, rows, window, between, 0);
      columnPass(betweenBytes, 0, window.height, width, C, columns, window, out, n * size);
    } else {
      columnPass(data, start, height, width, C, columns, window, between, 0);
      rowPass(betweenBytes, 0, window.width * C, rows, window, out, n * size);
    }
  }
  return new Uint8Array(out.buffer);
}
