/**
 * TensorFlow resource variables: state that native ops update in place. Optimizers use them; models keep ordinary
 * `tf.Variable`s, whose tensor can share a resource's buffer (see `shareBuffer`).
 */
import { DType, nativeBackend, raw, shapeAttr, stringAttr, type TensorMetadata, typeAttr } from './raw.js';
import { type Tensor, tf, type Variable } from './tf.js';
import { assumeShape } from './trace.js';
import { upload } from './upload.js';

let counter = 0;
const dtypeAttr = typeAttr('dtype', DType.float32);

/** A float32 resource variable. */
export class Resource {
  /** A scalar tensor of dtype resource; pass it into compiled functions as an argument. */
  readonly handle: Tensor;
  readonly shape: number[];

  /** Creates the resource with a copy of `initial`. */
  constructor(initial: Tensor) {
    this.shape = initial.shape;
    const attrs = [
      stringAttr('container', ''),
      stringAttr('shared_name', `show1/${process.pid}/${counter++}`),
      dtypeAttr,
      shapeAttr('shape', this.shape),
    ];
    this.handle = tf.keep(raw('VarHandleOp', attrs, []));
    this.assign(initial);
  }

  /** The current value; shares the resource's buffer until the next update. */
  read(): Tensor {
    return readResource(this.handle, this.shape);
  }

  assign(value: Tensor): void {
    updateResource('AssignVariableOp', this.handle, value);
  }

  /** The current value on the host. */
  values(): Float32Array {
    const value = this.read();
    try {
      return value.dataSync() as Float32Array; // outside of a tidy, which would walk through every number it returns
    } finally {
      value.dispose();
    }
  }

  /** Takes values from the host; the array may be used again when the call returns. */
  load(values: Float32Array): void {
    const value = upload(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 'F32', this.shape);
    this.assign(value);
    value.dispose();
  }

  dispose(): void {
    const { binding } = nativeBackend();
    binding.executeOp('DestroyResourceOp', [], nativeBackend().getInputTensorIds([this.handle]), 0);
    this.handle.dispose();
  }
}

/** The value behind a resource handle; works inside compiled functions. */
export function readResource(handle: Tensor, shape: number[]): Tensor {
  assumeShape(shape);
  return raw('ReadVariableOp', [dtypeAttr], [handle]);
}

/** `AssignVariableOp`, `AssignAddVariableOp` or `AssignSubVariableOp`; works inside compiled functions. */
export function updateResource(
  op: 'AssignVariableOp' | 'AssignAddVariableOp' | 'AssignSubVariableOp',
  handle: Tensor,
  value: Tensor,
): void {
  const backend = nativeBackend();
  backend.binding.executeOp(op, [dtypeAttr], backend.getInputTensorIds([handle, value]), 0);
}

/** Makes `variable` read the resource's current buffer without a copy. Returns the native id, by which `isShared` knows it. */
export function shareBuffer(variable: Variable, resource: Resource): number {
  const backend = nativeBackend();
  if (backend.refCount(variable.dataId) > 1) {
    // Someone holds a clone of the variable: it keeps the old tensor, the variable gets one of its own.
    const value = resource.read();
    variable.assign(value);
    value.dispose();
    return backend.tensorMap.get(variable.dataId).id;
  }
  releaseBuffer(variable);
  const inputs = backend.getInputTensorIds([resource.handle]);
  const [metadata] = backend.binding.executeOp('ReadVariableOp', [dtypeAttr], inputs, 1) as [TensorMetadata];
  backend.tensorMap.get(variable.dataId).id = metadata.id;
  return metadata.id;
}

/**
 * Drops the variable's native tensor, so that an update of the resource happens in place; call `shareBuffer` after it.
 * Where a clone of the variable exists nothing is dropped, and TensorFlow copies on the update.
 */
export function releaseBuffer(variable: Variable): void {
  const backend = nativeBackend();
  if (backend.refCount(variable.dataId) > 1) return;
  const entry = backend.tensorMap.get(variable.dataId);
  if (entry.values === null && entry.id >= 0) backend.binding.deleteTensor(entry.id);
  entry.id = -1;
  entry.values = null;
}

/** True if `variable` still reads the tensor that `shareBuffer` gave it (nobody assigned to it since). */
export function isShared(variable: Variable, id: number): boolean {
  const { tensorMap } = nativeBackend();
  const entry = tensorMap.get(variable.dataId);
  return entry.values === null && entry.id === id;
}
