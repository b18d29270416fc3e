/** Compiled functions: a TypeScript function over tensors, run as one TensorFlow function. */
import { type Precision, runAutocast, wantsAutocast } from './autocast.js';
import { type Attr, type NativeBinding, nativeBackend } from './raw.js';
import { type Tensor, tf, type Variable } from './tf.js';
import { isTracing, trace } from './trace.js';

export { assumeShape, isTracing } from './trace.js';
export type { Precision };

export interface CompileOptions {
  /** Shown in TensorFlow's error messages. */
  name?: string;
  /** bf16 runs matrix products and convolutions in bfloat16 (default fp32). */
  precision?: Precision;
  /** false runs the function eagerly, op by op: slower, for debugging; the results agree within 1e-5 (default true). */
  enabled?: boolean;
  /** Compile the whole function with XLA (default false: on CPUs it brings nothing for whole steps). */
  xla?: boolean;
  /**
   * Run ops in the order in which `fn` called them, so that the memory is what `estimate` says (default false). Left
   * alone, TensorFlow runs whatever is ready: the bfloat16 casts of all weights first, for example.
   */
  ordered?: boolean;
}

export interface CompiledFunction {
  /** Runs the function; outputs belong to the caller (or to the surrounding `tf.tidy`). */
  (...inputs: Tensor[]): Tensor[];
  /** Number of graph nodes of each signature traced so far. */
  readonly traces: { signature: string; nodes: number; milliseconds: number }[];
  /** Frees the native functions. */
  dispose(): void;
}

interface Instance {
  name: string;
  captures: Variable[];
  outputs: number;
}

let counter = 0;
/**
 * ConfigProto { graph_options { rewrite_options { disable_meta_optimizer: true } } }, serialized. TensorFlow's graph
 * rewriter doubles the time to the first result and brings nothing here (measured: 3.5 s against 7.3 s of CPU time for the
 * first call of the tiny training step, later calls alike), because the ops are fused already.
 */
const CONFIG = Uint8Array.of(0x52, 0x05, 0x52, 0x03, 0x98, 0x01, 0x01);

/**
 * Wraps `fn` so that its first call with arguments of given shapes and dtypes traces it, and further calls run the
 * TensorFlow function at once. Variables used inside are read at each call. Inside another trace the function is inlined.
 */
export function compile(fn: (...inputs: Tensor[]) => Tensor[], options: CompileOptions = {}): CompiledFunction {
  const { name = fn.name || 'step', precision = 'fp32', enabled = true, xla = false, ordered = false } = options;
  const instances = new Map<string, Instance>();
  const traces: CompiledFunction['traces'] = [];

  function build(signature: string, inputs: Tensor[]): Instance {
    const start = performance.now();
    const { binding, tensorMap } = nativeBackend();
    const specs = inputs.map(t => ({ shape: t.shape, dtype: tensorMap.get(t.dataId).dtype }));
    const traced = trace(fn, specs, precision, { ordered });
    const functionName = `show1_${name.replace(/\W/g, '_')}_${counter++}`;
    try {
      const nodes = binding.graphToFunction(traced.graph, functionName, traced.inputs, traced.outputs);
      traces.push({ signature, nodes, milliseconds: performance.now() - start });
    } finally {
      binding.graphDelete(traced.graph);
    }
    return { name: functionName, captures: traced.captures, outputs: traced.outputs.length };
  }

  const run = (...inputs: Tensor[]): Tensor[] => {
    if (isTracing()) return fn(...inputs);
    if (!enabled) return runEagerly(fn, inputs, precision);
    const backend = nativeBackend();
    const signature = inputs.map(t => `${backend.tensorMap.get(t.dataId).dtype}[${t.shape}]`).join(' ');
    let instance = instances.get(signature);
    if (!instance) {
      instance = build(signature, inputs);
      instances.set(signature, instance);
    }
    const ids = backend.getInputTensorIds([...inputs, ...instance.captures]);
    return backend.binding
      .runFunction(instance.name, ids, instance.outputs, CONFIG, xla)
      .map(metadata => backend.createOutputTensor(metadata));
  };
  const dispose = () => {
    for (const instance of instances.values()) nativeBackend().binding.removeFunction(instance.name);
    instances.clear();
  };
  return Object.assign(run, { traces, dispose });
}

/** Runs `fn` op by op, with the same bf16 rule as a compiled function. */
function runEagerly(fn: (...inputs: Tensor[]) => Tensor[], inputs: Tensor[], precision: Precision): Tensor[] {
  if (precision === 'fp32') return tf.tidy(() => fn(...inputs));
  const backend = nativeBackend();
  const real = backend.binding;
  const executeOp = (name: string, attrs: Attr[], ids: number[], n: number) => {
    if (!wantsAutocast(name, attrs)) return real.executeOp(name, attrs, ids, n);
    const made: ReturnType<NativeBinding['executeOp']> = [];
    runAutocast(
      (op, opAttrs, opIds) => {
        made.push(real.executeOp(op, opAttrs, opIds, 1)[0]!);
        return made.at(-1)!.id;
      },
      name,
      attrs,
      ids,
      new Map(),
    );
    const output = made.pop()!;
    for (const { id } of made) real.deleteTensor(id);
    return [output];
  };
  backend.binding = Object.create(real, { executeOp: { value: executeOp } }) as NativeBinding;
  try {
    return tf.tidy(() => fn(...inputs));
  } finally {
    backend.binding = real;
  }
}
