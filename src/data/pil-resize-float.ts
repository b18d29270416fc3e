/**
 * PIL's resampling of images in mode `F`, bit for bit: sums in float64, each pass stored as float32, nothing rounded to
 * 8 bits or clipped (Pillow `src/libImaging/Resample.c`). Clean-FID resizes each channel so (Parmar et al. 2022).
 */
import { checkResize, type PilFilter, type ResizeFrom, type Taps, tapsOf } from './pil-taps.js';

/** Rows [rows, from, C] at `data[start…]` -> [rows, to, C]. */
function columnPass(
  data: Uint8Array | Float32Array,
  start: number,
  rows: number,
  from: number,
  to: number,
  C: number,
  { first, count, weights, width: stride }: Taps,
  out: Float32Array,
): void {
  let target = 0;
  for (let y = 0; y < rows; y++) {
    const row = start + y * from * C;
    for (let x = 0; x < to; x++) {
      const at = row + first[x]! * C;
      const end = x * stride + count[x]!;
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (let k = x * stride, i = at + c; k < end; k++, i += C) sum += data[i]! * weights[k]!;
        out[target++] = sum;
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
): Float32Array {
  checkResize(data.length, from, to, undefined);
  const { images, height, width, channels: C = 3 } = from;
  const columns = tapsOf(width, to.width, filter);
  const rows = tapsOf(height, to.height, filter);
  const between = new Float32Array(height * to.width * C);
  const out = new Float32Array(images * to.height * to.width * C);
  for (let n = 0; n < images; n++) {
    columnPass(data, n * height * width * C, height, width, to.width, C, columns, between);
    rowPass(between, 0, to.width * C, to.height, rows, out, n * to.height * to.width * C);
  }
  return out;
}
