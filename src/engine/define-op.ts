/**
 * Our own differentiable ops, registered as TF.js kernels with gradients. Unlike `tf.customGrad` this computes only the
 * input gradients that are asked for (a frozen weight costs nothing), may keep extra outputs for the backward pass, and
 * never silently returns zero for a captured variable, because nothing is captured: every input is named.
 */
import { type Tensor, tf } from './tf.js';

type Named<K extends string> = Record<K, Tensor>;

export interface OpDefinition<K extends string, A extends object> {
  /** Kernel name; unique in the process. */
  name: string;
  /** Every differentiable or saved input, in a fixed order. */
  inputs: readonly K[];
  /** Inputs that the backward pass reads (default: all). */
  save?: readonly K[];
  /** Number of outputs after the first; they are kept for the backward pass only. */
  extraOutputs?: number;
  /** Computes the value and then the extra outputs. */
  forward(inputs: Named<K>, attrs: A): Tensor[];
  /** One thunk for each input's gradient; only those needed are called. */
  backward(dy: Tensor, saved: Named<K>, extra: Tensor[], attrs: A): Partial<Record<K, () => Tensor>>;
}

/** Registers the op and returns the function that runs it. */
export function defineOp<K extends string, A extends object>(
  op: OpDefinition<K, A>,
): (inputs: Named<K>, attrs: A) => Tensor {
  const save = op.save ?? op.inputs;
  const extraOutputs = op.extraOutputs ?? 0;
  tf.registerKernel({
    kernelName: op.name,
    backendName: 'tensorflow',
    kernelFunc: ({ inputs, attrs }) => tf.tidy(() => op.forward(inputs as Named<K>, attrs as unknown as A)) as never,
  });
  tf.registerGradient({
    kernelName: op.name,
    inputsToSave: [...save],
    outputsToSave: [false, ...Array<boolean>(extraOutputs).fill(true)],
    gradFunc: (dys, saved, attrs) => {
      const dy = (Array.isArray(dys) ? dys[0] : dys) as Tensor;
      const inputs = Object.fromEntries(save.map((key, i) => [key, saved[i]])) as Named<K>;
      return op.backward(dy, inputs, saved.slice(save.length) as Tensor[], attrs as unknown as A) as never;
    },
  });
  return (inputs, attrs) => {
    const out = tf.engine().runKernel(op.name, inputs, attrs as never) as unknown as Tensor | Tensor[];
    return Array.isArray(out) ? out[0]! : out;
  };
}
