/**
 * How much memory a function will need, from its trace: nothing is computed, and weights need no memory either. Ops run in
 * the order in which the function called them; a result lives from its op to its last reader. As in TensorFlow, reshapes
 * share their input's memory, and pointwise ops write into an input that nobody reads afterwards.
 */
import type { Precision } from './autocast.js';
import { DType, nativeBackend } from './raw.js';
import type { Tensor } from './tf.js';
import { type TensorSpec, type Trace, type TraceNode, type TraceValue, trace } from './trace.js';

export interface EstimateOptions {
  /** bf16 counts the bfloat16 copies of operands (default fp32). */
  precision?: Precision;
}

export interface MemoryEstimate {
  /** Most bytes alive at once without the weights: arguments, intermediate results and outputs. */
  activationBytes: number;
  /** Bytes of the variables and weights that the function reads. */
  weightBytes: number;
  /** Recorded ops. */
  nodes: number;
  /** What is alive where the most is, largest first: the op that made it ("argument" for arguments), shape, bytes. */
  peak: { op: string; alive: { op: string; shape: number[]; bytes: number }[] };
}

const BYTES: Record<number, number> = {
  [DType.float64]: 8,
  [DType.int64]: 8,
  [DType.float32]: 4,
  [DType.int32]: 4,
  [DType.bfloat16]: 2,
  [DType.float16]: 2,
};

const bytesOf = ({ shape, dtype }: TensorSpec): number =>
  dtype === DType.resource ? 0 : shape.reduce((a, b) => a * b, 1) * (BYTES[dtype] ?? 1);

/** Ops whose output is their first input's memory. */
const ALIASES = new Set(['Identity', 'Reshape', 'Squeeze', 'ExpandDims', 'StopGradient']);

/** Ops that write into an input of the output's size when it is not needed any more (TensorFlow's buffer forwarding). */
const IN_PLACE = new Set([
  ...['Add', 'AddV2', 'AddN', 'Sub', 'Mul', 'Div', 'RealDiv', 'Maximum', 'Minimum', 'SquaredDifference', 'BiasAdd'],
  ...['Neg', 'Square', 'Sqrt', 'Rsqrt', 'Exp', 'Log', 'Tanh', 'Sigmoid', 'Erf', 'Relu', 'Softplus', 'Softmax', 'Abs'],
]);

/**
 * Estimates the memory of `fn` for arguments of the given shapes.
 * @param fn as for `compile`; parameters of models may be without memory
 * @param specs shape and TF dtype (default float32) of each argument
 */
export function estimate(
  fn: (...inputs: Tensor[]) => Tensor[],
  specs: { shape: number[]; dtype?: 'float32' | 'int32' }[],
  { precision = 'fp32' }: EstimateOptions = {},
): MemoryEstimate {
  const typed = specs.map(({ shape, dtype }) => ({ shape, dtype: dtype === 'int32' ? DType.int32 : DType.float32 }));
  const traced = trace(fn, typed, precision, { planning: true });
  nativeBackend().binding.graphDelete(traced.graph);
  return peakOf(traced);
}

/** One piece of memory: what holds it, and until when. */
interface Buffer {
  op: string;
  value: TraceValue;
  bytes: number;
  /** Index of the last op that reads it. */
  last: number;
  /** Belongs to the caller (arguments, weights): never written into. */
  foreign: boolean;
}

/** The largest sum of live bytes over the ops of a trace. */
export function peakOf({
  nodes,
  arguments: args,
  weights,
  outputs,
}: Omit<Trace, 'graph' | 'inputs' | 'captures'>): MemoryEstimate {
  const bufferOf = new Map<number, Buffer>();
  const alive = new Set<Buffer>();
  const foreign = (value: TraceValue, op: string, counted: boolean) => {
    const buffer = { op, value, bytes: counted ? bytesOf(value) : 0, last: nodes.length, foreign: true };
    bufferOf.set(value.id, buffer);
    if (counted) alive.add(buffer);
  };
  for (const value of args) foreign(value, 'argument', true);
  for (const value of weights) foreign(value, 'weight', false);
  const last = lastReaders(nodes, outputs);

  let live = [...alive].reduce((sum, { bytes }) => sum + bytes, 0);
  let peak = live;
  let at: MemoryEstimate['peak'] = { op: 'start', alive: [] };
  for (const [i, node] of nodes.entries()) {
    const inputs = node.inputs.map(id => bufferOf.get(id)).filter(buffer => buffer !== undefined); // constants have none
    for (const [k, value] of node.outputs.entries()) {
      const until = last.get(value.id) ?? i;
      const shared = k === 0 ? reuse(node, value, inputs, i) : undefined;
      if (shared) {
        shared.last = Math.max(shared.last, until);
        bufferOf.set(value.id, shared);
        continue;
      }
      const buffer = { op: node.op, value, bytes: bytesOf(value), last: until, foreign: false };
      bufferOf.set(value.id, buffer);
      alive.add(buffer);
      live += buffer.bytes;
    }
    if (live > peak) {
      peak = live;
      at = { op: node.op, alive: [...alive].map(({ op, value, bytes }) => ({ op, shape: value.shape, bytes })) };
    }
    for (const buffer of alive) {
      if (buffer.last > i) continue;
      alive.delete(buffer);
      live -= buffer.bytes;
    }
  }
  at.alive.sort((a, b) => b.bytes - a.bytes);
  const weightBytes = weights.reduce((sum, value) => sum + bytesOf(value), 0);
  return { activationBytes: peak, weightBytes, nodes: nodes.length, peak: at };
}

/** Index of the last op that reads each value; function outputs are read after all. */
function lastReaders(nodes: TraceNode[], outputs: number[]): Map<number, number> {
  const last = new Map<number, number>();
  for (const [i, { inputs }] of nodes.entries()) for (const id of inputs) last.set(id, i);
  for (const id of outputs) last.set(id, nodes.length);
  return last;
}

/** The input whose memory the op's first output takes, if any. */
function reuse({ op }: TraceNode, value: TraceValue, inputs: Buffer[], i: number): Buffer | undefined {
  if (ALIASES.has(op)) return inputs[0];
  if (!IN_PLACE.has(op)) return undefined;
  const size = bytesOf(value);
  return inputs.find(b => !b.foreign && b.last === i && b.bytes === size && b.value.dtype === value.dtype);
}
