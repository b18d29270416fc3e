/** Weights of one float type to another, piece by piece: no tensor is ever whole in memory. */
import { InputError, InterruptedError } from '../errors.js';
import { DTYPE_BYTES, decode } from '../models/weights/dtypes.js';
import { encodeBF16, encodeF16 } from '../models/weights/half.js';
import { checkRange } from '../models/weights/range.js';
import type { RawTensorEntry, SafetensorsReader } from '../models/weights/safetensors.js';
import { Staging } from '../models/weights/source.js';

/** Types that weights are stored in. */
export const FLOAT_DTYPES = { fp32: 'F32', fp16: 'F16', bf16: 'BF16' } as const;
export type FloatName = keyof typeof FLOAT_DTYPES;
export type FloatDtype = (typeof FLOAT_DTYPES)[FloatName];

/** What long work tells and asks while it runs. */
export interface Watch {
  /** Called with the number of bytes read since the last call, and what they belong to. */
  onBytes?: (bytes: number, what: string) => void;
  /** Stops the work: it throws InterruptedError. */
  signal?: AbortSignal;
}

/** @throws InterruptedError when `signal` asks to stop */
export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new InterruptedError('interrupted; what was written is removed', { code: 'convert.interrupted' });
}

const FLOATS = new Set(['F64', 'F32', 'F16', 'BF16']);

/** Type that a tensor of `dtype` is stored in: integers and flags keep theirs. @throws InputError for 8-bit floats */
function target(dtype: string, wanted: FloatDtype | null, where: string): string {
  if (wanted === null || !/^B?F\d/.test(dtype)) return dtype;
  if (FLOATS.has(dtype)) return wanted;
  throw new InputError(
    `${where} is stored as ${dtype}, whose scale is not in the file: it cannot be converted. Convert the weights that it was made from.`,
    { code: 'convert.dtype', dtype, where },
  );
}

/**
 * Every tensor of `reader`, floats as `dtype` (null: as they are), for `writeShardedSafetensors`. They share memory, so
 * only one may be written at a time.
 * @throws InputError for 8-bit floats; while it is written, for values beyond the range of `dtype`
 */
export function convertedEntries(
  reader: SafetensorsReader,
  dtype: FloatDtype | null,
  { onBytes, signal }: Watch = {},
): RawTensorEntry[] {
  const memory = { read: new Staging(), decoded: new Staging(), encoded: new Staging() };
  return reader.names().map(name => {
    const info = reader.info(name);
    const where = `tensor "${name}" of ${info.file}`;
    const to = target(info.dtype, dtype, where);
    const convert = (bytes: Uint8Array) =>
      to === info.dtype ? bytes : convertPiece(bytes, info.dtype, to as FloatDtype, where, memory);
    const pieces = async function* () {
      for await (const piece of reader.pieces(name, memory.read)) {
        stopIfAborted(signal);
        yield convert(piece);
        onBytes?.(piece.length, name);
      }
    };
    return { name, shape: info.shape, dtype: to, pieces };
  });
}

function convertPiece(
  bytes: Uint8Array,
  from: string,
  to: FloatDtype,
  where: string,
  { decoded, encoded }: Record<'decoded' | 'encoded', Staging>,
): Uint8Array {
  const count = bytes.length / DTYPE_BYTES[from]!;
  if (from === 'F64') checkRange(to, new Float64Array(bytes.buffer, bytes.byteOffset, count), where);
  const floats = decoded.take(4 * count);
  const values = new Float32Array(floats.buffer, floats.byteOffset, count);
  decode(from, bytes, values, 0, where);
  if (to === 'F32') return floats;
  checkRange(to, values, where);
  const result = encoded.take(2 * count);
  (to === 'F16' ? encodeF16 : encodeBF16)(values, new Uint16Array(result.buffer, result.byteOffset, count));
  return result;
}

/** Bytes of a set of weights, in its own types and as `dtype`. @throws InputError for 8-bit floats */
export function weightBytes(reader: SafetensorsReader, dtype: FloatDtype | null): { before: number; after: number } {
  let [before, after] = [0, 0];
  for (const name of reader.names()) {
    const { shape, dtype: from, file } = reader.info(name);
    const count = shape.reduce((product, n) => product * n, 1);
    before += count * DTYPE_BYTES[from]!;
    after += count * DTYPE_BYTES[target(from, dtype, `tensor "${name}" of ${file}`)]!;
  }
  return { before, after };
}
