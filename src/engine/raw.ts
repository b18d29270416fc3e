/** Thin typed access to raw TensorFlow ops: the floor that every op of `engine/ops` stands on. */
import { type Tensor, tf } from './tf.js';

/** TF_DataType values of the C API that this project uses. */
export const DType = {
  float32: 1,
  float64: 2,
  int32: 3,
  uint8: 4,
  string: 7,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  float16: 19,
  resource: 20,
} as const;

/** TF_AttrType values of the C API. */
export const AttrType = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5, func: 8 } as const;

/** One attribute of a raw op, in the form that the native binding reads. */
export interface Attr {
  name: string;
  type: number;
  value: number | boolean | string | Uint8Array | number[] | boolean[];
}

/** What the native binding says about an output. */
export interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

export const typeAttr = (name: string, value: number): Attr => ({ name, type: AttrType.type, value });
export const intAttr = (name: string, value: number | number[]): Attr => ({ name, type: AttrType.int, value });
export const floatAttr = (name: string, value: number): Attr => ({ name, type: AttrType.float, value });
export const boolAttr = (name: string, value: boolean): Attr => ({ name, type: AttrType.bool, value });
export const stringAttr = (name: string, value: string | Uint8Array): Attr => ({ name, type: AttrType.string, value });
export const shapeAttr = (name: string, value: number[]): Attr => ({ name, type: AttrType.shape, value });
export const funcAttr = (name: string, value: string): Attr => ({ name, type: AttrType.func, value });

/** The part of tfjs-node's NodeJSKernelBackend that we use. */
export interface NativeBackend {
  binding: NativeBinding;
  tensorMap: { get(dataId: object): TensorEntry; has(dataId: object): boolean };
  isUsingGpuDevice: boolean;
  refCount(dataId: object): number;
  getInputTensorIds(tensors: Tensor[]): number[];
  createOutputTensor(metadata: TensorMetadata): Tensor;
  executeSingleOutput(name: string, attrs: Attr[], inputs: Tensor[]): Tensor;
  executeMultipleOutputs(name: string, attrs: Attr[], inputs: Tensor[], numOutputs: number): Tensor[];
  move(dataId: object, values: unknown, shape: number[], dtype: string, refCount: number): void;
}

/** tfjs-node's record of a tensor: a native handle, or values that are not uploaded yet. */
export interface TensorEntry {
  id: number;
  dtype: number;
  shape: number[];
  values: Float32Array | Int32Array | Uint8Array | null;
}

/** The stock functions of the native module and those of `native/show1_ext.cc`. */
export interface NativeBinding {
  TF_Version: string;
  createTensor(shape: number[], dtype: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  executeOp(name: string, attrs: Attr[], inputIds: number[], numOutputs: number): TensorMetadata[];
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
  /** Starts an empty graph; returns its number. */
  graphNew(): number;
  /** Frees a graph that is no longer needed. */
  graphDelete(graph: number): void;
  /** Adds an argument node; returns the number of its output. */
  graphPlaceholder(graph: number, dtype: number, shape: number[] | null): number;
  /** Adds a constant node holding a copy of `values`. */
  graphConst(graph: number, dtype: number, shape: number[], values: ArrayBufferView): number;
  /** Adds an op; inputs and outputs are numbers of this graph; unknown shapes come back as null. */
  graphAddOp(
    graph: number,
    name: string,
    attrs: Attr[],
    inputs: number[],
    controlInputs: number[],
  ): { id: number; shape: number[] | null; dtype: number }[];
  /** Overrides the inferred shape of an output (for calls of functions, whose shapes TensorFlow does not infer). */
  graphSetShape(graph: number, output: number, shape: number[]): void;
  /** Turns the graph into a function registered in the eager context under `name`; returns its node count. */
  graphToFunction(graph: number, name: string, inputs: number[], outputs: number[]): number;
  removeFunction(name: string): void;
  /** Calls a registered function; `config` is a serialized ConfigProto. */
  runFunction(name: string, inputIds: number[], numOutputs: number, config: Uint8Array, xla: boolean): TensorMetadata[];
  /** Bytes of a tensor of any dtype, copied to the host. */
  tensorBytes(id: number): Uint8Array;
  /** A tensor of any fixed-size dtype from raw bytes (copied). */
  createTensorFromBytes(shape: number[], dtype: number, bytes: Uint8Array): number;
  deviceNames(): string[];
  /** Whether TensorFlow knows an op of this name. */
  hasOp(name: string): boolean;
  /** Returns freed heap pages to the operating system where the C library can (glibc). */
  trimMemory(): void;
}

export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend;
}

export function tfDType(dtype: string): number {
  const value = { float32: DType.float32, int32: DType.int32, bool: DType.bool, string: DType.string }[dtype];
  if (value === undefined) throw new Error(`dtype ${dtype} has no TensorFlow twin here`);
  return value;
}

/** The `T` attribute for a tensor's dtype. */
export const T = (x: Tensor): Attr => typeAttr('T', tfDType(x.dtype));

/** Runs a raw op with one output. No gradient is recorded: use inside an op's forward or backward. */
export function raw(name: string, attrs: Attr[], inputs: Tensor[]): Tensor {
  return nativeBackend().executeSingleOutput(name, attrs, inputs);
}

/** Runs a raw op with several outputs. No gradient is recorded. */
export function rawMany(name: string, attrs: Attr[], inputs: Tensor[], outputs: number): Tensor[] {
  return nativeBackend().executeMultipleOutputs(name, attrs, inputs, outputs);
}
