/** Where weights come from: a safetensors file, shards, or memory; models read through this interface only. */
import { InputError } from '../../errors.js';

/** Values as read: floats of any width become float32, I64..I8 become int32, U8 and BOOL stay bytes. */
export type WeightArray = Float32Array | Int32Array | Uint8Array;

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
    close: () => {},
  };
}

/** The error for a tensor that is not there, naming some that are. */
export function missingTensor(name: string, file: string, names: readonly string[]): InputError {
  const some = names.slice(0, 5).join(', ');
  return new InputError(
    `${file} has no tensor "${name}". It has ${names.length}${some && `: ${some}${names.length > 5 ? ', …' : ''}`}.`,
    { code: 'weights.no-tensor', name, file },
  );
}
