/**
 * TensorFlow resource variables: state that native ops update in place. Optimizers use them; models keep ordinary
 * `tf.Variable`s, whose tensor can share a resource's buffer (see `shareBuffer`).
 */
import { DType, nativeBackend, raw, shapeAttr, stringAttr, type TensorMetadata, typeAttr } from './raw.js';
import { type Tensor, tf, type Variable } from './tf.js';
import { assumeShape } from './trace.js';

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

/** Replaces the native tensor behind a variable without copying; the variable owns `metadata`'s handle from then on. */
function adopt(variable: Variable, id: number): void {
  const entry = nativeBackend().tensorMap.get(variable.dataId);
  entry.id = id;
  entry.values = null;
}

/** Makes `variable` read the resource's current buffer. Returns the native id, by which `isShared` recognises it. */
export function shareBuffer(variable: Variable, resource: Resource): number {
  const backend = nativeBackend();
  releaseBuffer(variable);
  const [metadata] = backend.binding.executeOp(
    'ReadVariableOp',
    [dtypeAttr],
    backend.getInputTensorIds([resource.handle]),
    1,
  ) as [TensorMetadata];
  adopt(variable, metadata.id);
  return metadata.id;
}

/** Drops the variable's native tensor, so that an update of the resource happens in place. Call `shareBuffer` after it. */
export function releaseBuffer(variable: Variable): void {
  const { binding, tensorMap } = nativeBackend();
  const entry = tensorMap.get(variable.dataId);
  if (entry.values === null && entry.id >= 0) binding.deleteTensor(entry.id);
  adopt(variable, -1);
}

/** True if `variable` still reads the tensor that `shareBuffer` gave it (nobody assigned to it since). */
export function isShared(variable: Variable, id: number): boolean {
  const { tensorMap } = nativeBackend();
  const entry = tensorMap.get(variable.dataId);
  return entry.values === null && entry.id === id;
}
