/** The tensor types of safetensors: their sizes, and conversion to and from the arrays TensorFlow.js takes. */
import type { FloatFormat } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { decodeBF16, decodeF16, encodeBF16, encodeF16 } from './half.js';
import type { WeightArray } from './source.js';

/** Bytes an element. Float8 types are known by size only (their files open; reading such a tensor is an error). */
export const DTYPE_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** Types that can be written. */
export type WriteDtype = 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'U8' | 'BOOL';

/** Whether TensorFlow takes the file's bytes as they are (see engine `upload`). */
export const isFloatFormat = (dtype: string): dtype is FloatFormat =>
  dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';

/** Array that values of a file type are read into. */
export function allocate(dtype: string, length: number, where: string): WeightArray {
  switch (dtype) {
    case 'F64':
    case 'F32':
    case 'F16':
    case 'BF16':
      return new Float32Array(length);
    case 'I64':
    case 'U64':
    case 'I32':
    case 'U32':
    case 'I16':
    case 'U16':
    case 'I8':
      return new Int32Array(length);
    case 'U8':
    case 'BOOL':
      return new Uint8Array(length);
    default:
      throw new InputError(
        `${where} is stored as ${dtype}, which cannot be read. Convert the file to F32, F16 or BF16 first.`,
        { code: 'weights.dtype', dtype, where },
      );
  }
}

/** True where the file's bytes are already the array's bytes (both little-endian). */
export const isPlain = (dtype: string) => dtype === 'F32' || dtype === 'I32' || dtype === 'U8' || dtype === 'BOOL';

/**
 * Converts file bytes into `out` from element `at`.
 * @throws InputError when an integer does not fit in 32 bits
 */
export function decode(dtype: string, bytes: Uint8Array, out: WeightArray, at: number, where: string): void {
  const size = DTYPE_BYTES[dtype]!;
  const n = bytes.byteLength / size;
  if (isPlain(dtype)) {
    new Uint8Array(out.buffer, out.byteOffset + at * size, bytes.byteLength).set(bytes);
    return;
  }
  // typed views need aligned memory; the buffers read into are allocated aligned, so this copies only for odd callers
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const target = out.subarray(at, at + n);
  if (dtype === 'F16') decodeF16(new Uint16Array(buffer, byteOffset, n), target as Float32Array);
  else if (dtype === 'BF16') decodeBF16(new Uint16Array(buffer, byteOffset, n), target as Float32Array);
  else if (dtype === 'F64') target.set(new Float64Array(buffer, byteOffset, n));
  else if (dtype === 'I16') target.set(new Int16Array(buffer, byteOffset, n));
  else if (dtype === 'U16') target.set(new Uint16Array(buffer, byteOffset, n));
  else if (dtype === 'I8') target.set(new Int8Array(buffer, byteOffset, n));
  else if (dtype === 'U32') narrow(new Uint32Array(buffer, byteOffset, n), target, dtype, where);
  else if (dtype === 'U64') narrow(new BigUint64Array(buffer, byteOffset, n), target, dtype, where);
  else narrow(new BigInt64Array(buffer, byteOffset, n), target, dtype, where);
}

function narrow(
  from: Uint32Array | BigUint64Array | BigInt64Array,
  out: WeightArray,
  dtype: string,
  where: string,
): void {
  for (let i = 0; i < from.length; i++) {
    const value = Number(from[i]);
    if (value > 0x7fffffff || value < -0x80000000) {
      throw new InputError(`${where} holds the ${dtype} value ${from[i]}, which does not fit in 32 bits.`, {
        code: 'weights.integer-range',
        value: String(from[i]),
        where,
      });
    }
    out[i] = value;
  }
}

/** The file type that an array takes by itself. */
export function naturalDtype(data: WeightArray): WriteDtype {
  return data instanceof Float32Array ? 'F32' : data instanceof Int32Array ? 'I32' : 'U8';
}

/** Values as file bytes of `dtype`. The result may share memory with `data`. */
export function encode(dtype: WriteDtype, data: WeightArray): Uint8Array {
  const asFloat = () => (data instanceof Float32Array ? data : Float32Array.from(data));
  const asBytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  switch (dtype) {
    case 'F32':
      return asBytes(asFloat());
    case 'F16':
    case 'BF16': {
      const bits = new Uint16Array(data.length);
      (dtype === 'F16' ? encodeF16 : encodeBF16)(asFloat(), bits);
      return asBytes(bits);
    }
    case 'I32':
      return asBytes(data instanceof Int32Array ? data : Int32Array.from(data));
    case 'I64':
      return asBytes(BigInt64Array.from(data as Int32Array, value => BigInt(value)));
    case 'U8':
    case 'BOOL':
      return asBytes(data instanceof Uint8Array ? data : Uint8Array.from(data));
  }
}
