/**
 * The CPU kernels of `native/kernels`, compiled into the native module by `npm run setup`: normalisation, activations and
 * attention as one pass over memory each. Where they are missing the ops compose themselves from TensorFlow's own.
 */
import { type NativeBinding, nativeBackend } from './raw.js';

let found: boolean | null = null;
let suspended = 0;

function find(): boolean {
  if (process.env.SHOW1_NATIVE_KERNELS === '0') return false;
  const { binding, isUsingGpuDevice } = nativeBackend();
  return !isUsingGpuDevice && ((binding as Partial<NativeBinding>).hasOp?.('Show1GroupNormAct') ?? false);
}

/**
 * Whether ops use the native kernels: the device is the CPU, the module has them, and the environment variable
 * `SHOW1_NATIVE_KERNELS` is not `0`. An op decides when it runs forward; its gradient follows.
 */
export function nativeKernels(): boolean {
  found ??= find();
  return found && suspended === 0;
}

/** Runs `fn` with the composed ops: to compare the two, and for what only TensorFlow's own ops can do (XLA). */
export function withoutNativeKernels<R>(fn: () => R): R {
  suspended++;
  try {
    return fn();
  } finally {
    suspended--;
  }
}
