/**
 * PIL's resampling of images in mode `F`, bit for bit: sums in float64, each pass stored as float32, nothing rounded to
 * 8 bits or clipped (Pillow `src/libImaging/Resample.c`). Clean-FID resizes each channel so (Parmar et al. 2022).
 */
import {
  checkResize,
  type PilFilter,
  type PilResizeOptions,
  type ResizeFrom,
  rowsFirst,
  type Taps,
  tapsOf,
} from './pil-taps.js';

/** Rows [rows, from, C] at `data[start…]` -> [rows, to, C] at `out[target…]`. */
function columnPass(
  data: Uint8Array | Float32Array,
  start: number,
  rows: number,
  from: number,
  to: number,
  C: number,
  { first, count, weights, width: stride }: Taps,
  out: Float32Array,
  target: number,
): void {
  let at = target;
  for (let y = 0; y < rows; y++) {
    const row = start + y * from * C;
    for (let x = 0; x < to; x++) {
      const source = row + first[x]! * C;
      const end = x * stride + count[x]!;
      if (C === 3) {
        let red = 0;
        let green = 0;
        let blue = 0;
        for (let k = x * stride, i = source; k < end; k++, i += 3) {
          const weight = weights[k]!;
          red += data[i]! * weight;
          green += data[i + 1]! * weight;
          blue += data[i + 2]! * weight;
        }
        out[at] = red;
        out[at + 1] = green;
        out[at + 2] = blue;
        at += 3;
        continue;
      }
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (let k = x * stride, i = source + c; k < end; k++, i += C) sum += data[i]! * weights[k]!;
        out[at++] = sum;
      }
    }
  }
}

/** Rows of `length` values at `data[start…]` -> `to` rows at `out[target…]`. */
function rowPass(
  data: Uint8Array | Float32Array,
  start: number,
  length: number,
  to: number,
  { first, count, weights, width: stride }: Taps,
  out: Float32Array,
  target: number,
): void {
  const sums = new Float64Array(length);
  for (let y = 0; y < to; y++, target += length) {
    sums.fill(0);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const row = start + (first[y]! + k) * length;
      for (let i = 0; i < length; i++) sums[i]! += data[row + i]! * weight;
    }
    out.set(sums, target);
  }
}

/**
 * Resizes every channel as `PIL.Image.resize((width, height), filter)` does in mode `F`. Bicubic goes beyond the values of `data`.
 * @param data [images, height, width, channels]
 * @param from shape of `data`; @param to size wanted
 * @returns [images, to.height, to.width, channels]
 * @throws InputError when the sizes are no positive integers or do not fit the data
 */
export function pilResizeFloat(
  data: Uint8Array | Float32Array,
  from: ResizeFrom,
  to: { height: number; width: number },
  filter: PilFilter = 'bicubic',
  options: Omit<PilResizeOptions, 'crop'> = {},
): Float32Array {
  checkResize(data.length, from, to, {});
  const { images, height, width, channels: C = 3 } = from;
  const columns = tapsOf(width, to.width, filter);
  const rows = tapsOf(height, to.height, filter);
  const size = to.height * to.width * C;
  const out = new Float32Array(images * size);
  const rowsBefore = rowsFirst(from, to, options);
  const between = new Float32Array(rowsBefore ? to.height * width * C : height * to.width * C);
  for (let n = 0; n < images; n++) {
    const start = n * height * width * C;
    if (rowsBefore) {
      rowPass(data, start, width * C, to.height, rows, between, 0);
      columnPass(between, 0, to.height, width, to.width, C, columns, out, n * size);
    } else {
      columnPass(data, start, height, width, to.width, C, columns, between, 0);
      rowPass(between, 0, to.width * C, to.height, rows, out, n * size);
    }
  }
  return out;
}
