/** Where weights come from: a safetensors file, shards, or memory; models read through this interface only. */
import type { FloatFormat } from '../../engine/index.js';
import { InputError } from '../../errors.js';

/** Values as read: floats of any width become float32, I64..I8 become int32, U8 and BOOL stay bytes. */
export type WeightArray = Float32Array | Int32Array | Uint8Array;

/** Floating-point values as they lie in a file, row-major, little-endian. */
export interface FloatBytes {
  dtype: FloatFormat;
  bytes: Uint8Array;
}

/** Memory that reads of one tensor after the other share: it is as large as the largest of them. */
export class Staging {
  private memory = new Uint8Array(0);

  /** Memory for `bytes` bytes; what an earlier call returned may be overwritten. */
  take(bytes: number): Uint8Array {
    if (bytes > this.memory.length) this.memory = new Uint8Array(bytes);
    return this.memory.subarray(0, bytes);
  }
}

export interface TensorInfo {
  /** Type in the file, as safetensors spells it: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL. */
  dtype: string;
  /** Shape in the file (PyTorch's layout). */
  shape: number[];
  /** File that holds the tensor, for messages. */
  file: string;
}

export interface WeightSource {
  names(): string[];
  has(name: string): boolean;
  /** @throws InputError when there is no such tensor */
  info(name: string): TensorInfo;
  /** Reads one tensor, row-major. @throws InputError when there is no such tensor or the file cannot be read */
  read(name: string): Promise<WeightArray>;
  readSync?(name: string): WeightArray;
  /**
   * Reads some rows (first axis) of a tensor, in the order asked for, without touching the others: [rows, …rest].
   * @throws InputError when there is no such tensor or row
   */
  readRows(name: string, rows: readonly number[]): Promise<WeightArray>;
  /** Reads one F32, F16 or BF16 tensor without converting it; valid until the next use of `staging`. */
  readBytes?(name: string, staging: Staging): Promise<FloatBytes>;
  /** Releases the files; safe to call twice. */
  close(): void;
}

/** Weights held in memory, for tests and conversions. */
export function memorySource(
  tensors: Record<string, { shape: number[]; data: WeightArray }>,
  label = 'memory',
): WeightSource & { readSync(name: string): WeightArray } {
  const map = new Map(Object.entries(tensors));
  const get = (name: string) => {
    const tensor = map.get(name);
    if (!tensor) throw missingTensor(name, label, [...map.keys()]);
    return tensor;
  };
  return {
    names: () => [...map.keys()],
    has: name => map.has(name),
    info: name => {
      const { shape, data } = get(name);
      const dtype = data instanceof Float32Array ? 'F32' : data instanceof Int32Array ? 'I32' : 'U8';
      return { dtype, shape: [...shape], file: label };
    },
    readSync: name => get(name).data,
    read: async name => get(name).data,
    readRows: async (name, rows) => {
      const { shape, data } = get(name);
      checkRows(name, label, shape, rows);
      const width = shape.slice(1).reduce((product, n) => product * n, 1);
      const out = new (data.constructor as new (length: number) => WeightArray)(rows.length * width);
      for (const [i, row] of rows.entries()) out.set(data.subarray(row * width, (row + 1) * width), i * width);
      return out;
    },
    close: () => {},
  };
}

/** @throws InputError when one of `rows` is not a row of a tensor of `shape` */
export function checkRows(name: string, file: string, shape: readonly number[], rows: readonly number[]): void {
  const count = shape[0] ?? 0;
  const bad = rows.find(row => !Number.isInteger(row) || row < 0 || row >= count);
  if (bad === undefined) return;
  throw new InputError(`Tensor "${name}" of ${file} has no row ${bad}: its shape is [${shape}].`, {
    code: 'weights.row',
    name,
    file,
    row: bad,
  });
}

/** The error for a tensor that is not there, naming some that are. */
export function missingTensor(name: string, file: string, names: readonly string[]): InputError {
  const some = names.slice(0, 5).join(', ');
  return new InputError(
    `${file} has no tensor "${name}". It has ${names.length}${some && `: ${some}${names.length > 5 ? ', …' : ''}`}.`,
    { code: 'weights.no-tensor', name, file },
  );
}
