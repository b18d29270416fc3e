/** Values straight into TensorFlow's memory: TF.js's own tensors keep their JavaScript array until an op first reads them. */
import { boolAttr, DType, nativeBackend, typeAttr } from './raw.js';
import type { Tensor } from './tf.js';

/** Floating-point formats of weight files, as safetensors spells them. */
export type FloatFormat = 'F32' | 'F16' | 'BF16';

const DTYPES: Record<FloatFormat, number> = { F32: DType.float32, F16: DType.float16, BF16: DType.bfloat16 };

/**
 * A float32 tensor of values that lie in memory as in a file (little-endian). They are copied at once, narrow formats are
 * widened by TensorFlow: the bytes may be overwritten when the call returns. Not inside a compiled function.
 * @throws Error when the bytes are not those of `shape`
 */
export function upload(bytes: Uint8Array, format: FloatFormat, shape: number[]): Tensor {
  const backend = nativeBackend();
  const { binding } = backend;
  let id = binding.createTensorFromBytes(shape, DTYPES[format], bytes);
  if (format !== 'F32') {
    const narrow = id;
    const attrs = [typeAttr('SrcT', DTYPES[format]), typeAttr('DstT', DType.float32), boolAttr('Truncate', false)];
    id = binding.executeOp('Cast', attrs, [narrow], 1)[0]!.id;
    binding.deleteTensor(narrow);
  }
  return backend.createOutputTensor({ id, shape, dtype: DType.float32 });
}

/**
 * A float32 tensor of 8-bit values, 0 … 255, copied at once and widened by TensorFlow. Not inside a compiled function.
 * @throws Error when the bytes are not those of `shape`
 */
export function uploadBytes(bytes: Uint8Array, shape: number[]): Tensor {
  const backend = nativeBackend();
  const { binding } = backend;
  const narrow = binding.createTensorFromBytes(shape, DType.uint8, bytes);
  const attrs = [typeAttr('SrcT', DType.uint8), typeAttr('DstT', DType.float32), boolAttr('Truncate', false)];
  const { id } = binding.executeOp('Cast', attrs, [narrow], 1)[0]!;
  binding.deleteTensor(narrow);
  return backend.createOutputTensor({ id, shape, dtype: DType.float32 });
}
