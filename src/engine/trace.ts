/**
 * Symbolic tracing: runs a TypeScript function once with tensors that have a shape and a dtype but no values, and records
 * every native op into a TensorFlow graph. TensorFlow infers the shapes, so nothing is computed and no memory is needed.
 * TF.js's own gradient tape works on these tensors as on any others.
 *
 * Inside the function: arguments, variables (captured by reference), and constants made on the way. A tensor made outside
 * that is neither, or reading values back, is an error that says so.
 */
import { type CastMemo, type Precision, runAutocast, wantsAutocast } from './autocast.js';
import { type Attr, DType, type NativeBinding, nativeBackend, type TensorMetadata, typeAttr } from './raw.js';
import { type Tensor, tf, type Variable } from './tf.js';

export interface TensorSpec {
  shape: number[];
  /** TF_DataType. */
  dtype: number;
}

/** A value of the graph. */
export interface TraceValue extends TensorSpec {
  id: number;
}

/** One recorded op. */
export interface TraceNode {
  op: string;
  inputs: number[];
  outputs: TraceValue[];
}

export interface Trace {
  graph: number;
  /** Graph values of the arguments, then of the captured variables. */
  inputs: number[];
  captures: Variable[];
  outputs: number[];
  /** The ops in the order in which the function ran. */
  nodes: TraceNode[];
  arguments: TraceValue[];
  /** What `captures` are in the graph, and weights without memory (see `planned`). */
  weights: TraceValue[];
}

export interface TraceOptions {
  /** Weights that have no memory yet may be used (see `planned`): the graph can be looked at, not run. */
  planning?: boolean;
  /** See `CompileOptions.ordered`. */
  ordered?: boolean;
}

/** Ops with an effect on a resource, whose handle is their first input: they keep their order by control edges. */
const STATEFUL = /^(AssignVariableOp|Assign(Add|Sub)VariableOp|ReadVariableOp|ResourceApply\w+)$/;

/** Constants larger than this whose elements are all equal become `Fill` nodes (TF.js makes many as gradient seeds). */
const FILL_FROM = 64;

let current: Tracer | null = null;

export const isTracing = (): boolean => current !== null;

/** Inside a trace, states the shape of the next op's first output where TensorFlow cannot infer it. */
export function assumeShape(shape: number[]): void {
  if (current) current.assumedShape = shape;
}

/** `t`, which inside a trace is not there before `waits` are (TensorFlow runs whatever is ready); elsewhere `t` itself. */
export function after(t: Tensor, waits: Tensor[]): Tensor {
  return current ? current.after(t, waits) : t;
}

/**
 * While a function is traced to be looked at only (`estimate`), a tensor that stands for a weight without memory; else null.
 * @param owner whose weight it is: the same owner gets the same tensor within one trace
 */
export function planned(owner: object, shape: number[]): Tensor | null {
  return current?.planning ? current.plannedWeight(owner, shape) : null;
}

/** JavaScript holds a graph value v as the tensor id -2 - v: negative ids are never native handles. */
const toId = (value: number) => -2 - value;
const toValue = (id: number) => -2 - id;

class Tracer {
  readonly backend = nativeBackend();
  readonly real: NativeBinding = this.backend.binding;
  readonly graph = this.real.graphNew();
  readonly captures: Variable[] = [];
  readonly captureValues: number[] = [];
  readonly nodes: TraceNode[] = [];
  readonly weights: TraceValue[] = [];
  assumedShape: number[] | null = null;
  private readonly variables = new Map<object, Variable>();
  private readonly captured = new Map<object, number>();
  private readonly madeInside = new WeakSet<object>();
  private readonly memo: CastMemo = new Map();
  private readonly constants = new Map<string, number>();
  private readonly lastOnResource = new Map<number, number>();
  private readonly placeholders = new Map<object, Tensor>();

  constructor(
    private readonly precision: Precision,
    readonly planning: boolean,
    private readonly ordered: boolean,
  ) {
    for (const v of Object.values(tf.engine().registeredVariables) as Variable[]) this.variables.set(v.dataId, v);
  }

  /** Diverts the backend to this tracer while `fn` runs. */
  divert<R>(fn: () => R): R {
    const { backend, real } = this;
    const stock = { getInputTensorIds: backend.getInputTensorIds, move: backend.move };
    backend.binding = Object.create(real, {
      createTensor: {
        value: (shape: number[], dtype: number, values: ArrayBufferView) => this.constant(shape, dtype, values),
      },
      executeOp: { value: (name: string, attrs: Attr[], ids: number[]) => this.execute(name, attrs, ids) },
      tensorDataSync: { value: () => this.refuseRead() },
      tensorBytes: { value: () => this.refuseRead() },
    }) as NativeBinding;
    backend.move = (dataId, ...rest) => {
      this.madeInside.add(dataId);
      stock.move.call(backend, dataId, ...rest);
    };
    backend.getInputTensorIds = tensors => {
      for (const t of tensors) this.admit(t);
      return stock.getInputTensorIds
        .call(backend, tensors)
        .map((id, i) => this.captured.get((tensors[i] as Tensor).dataId) ?? id);
    };
    const outer = current;
    current = this;
    try {
      return fn();
    } finally {
      current = outer;
      backend.binding = real;
      backend.move = stock.move;
      backend.getInputTensorIds = stock.getInputTensorIds;
    }
  }

  argument({ shape, dtype }: TensorSpec): { tensor: Tensor; value: number } {
    const value = this.real.graphPlaceholder(this.graph, dtype, dtype === DType.resource ? null : shape);
    return { tensor: this.backend.createOutputTensor({ id: toId(value), shape, dtype }), value };
  }

  plannedWeight(owner: object, shape: number[]): Tensor {
    let tensor = this.placeholders.get(owner);
    if (!tensor) {
      const made = this.argument({ shape, dtype: DType.float32 });
      tensor = tf.keep(made.tensor);
      this.placeholders.set(owner, tensor);
      this.weights.push({ id: made.value, shape, dtype: DType.float32 });
    }
    return tensor;
  }

  /** Frees what outlives the scopes of the traced function. */
  finish(): void {
    for (const tensor of this.placeholders.values()) tensor.dispose();
  }

  /** The graph value that a function returns for `t`; it waits for all effects. */
  output(t: Tensor): number {
    const id = this.backend.getInputTensorIds([t])[0]!;
    const { dtype } = this.backend.tensorMap.get(t.dataId);
    const attrs = [typeAttr('T', dtype)];
    const value = toValue(id);
    const waits = [...this.lastOnResource.values()];
    const made = this.real.graphAddOp(this.graph, 'Identity', attrs, [value], waits)[0]!.id;
    this.nodes.push({ op: 'Identity', inputs: [value], outputs: [{ id: made, shape: t.shape, dtype }] });
    return made;
  }

  /** `t` as a value that waits for others. */
  after(t: Tensor, waits: Tensor[]): Tensor {
    const [value, ...others] = this.backend.getInputTensorIds([t, ...waits]).map(toValue) as [number, ...number[]];
    const { dtype } = this.backend.tensorMap.get(t.dataId);
    const [made] = this.real.graphAddOp(this.graph, 'Identity', [typeAttr('T', dtype)], [value], others);
    const output = { id: made!.id, shape: t.shape, dtype };
    this.nodes.push({ op: 'Identity', inputs: [value], outputs: [output] });
    return this.backend.createOutputTensor({ ...output, id: toId(output.id) });
  }

  /** Checks that `t` may be used here, and turns a variable into an argument of the function. */
  private admit(t: Tensor): void {
    if (!('dataId' in t)) return; // tfjs-node's Int64Scalar: a constant
    const entry = this.backend.tensorMap.get(t.dataId);
    if (entry.values === null && entry.id <= -2) return; // made by this trace
    if (this.captured.has(t.dataId) || this.madeInside.has(t.dataId)) return;
    const variable = this.variables.get(t.dataId);
    if (!variable) {
      throw new Error(
        `compile: a tensor of shape [${t.shape}] was made outside of the compiled function and is not one of its arguments. ` +
          'Its value would be frozen into the graph: pass it as an argument, or make it a tf.Variable.',
      );
    }
    if (entry.values !== null) {
      entry.id = this.real.createTensor(entry.shape, entry.dtype, entry.values); // upload now, not into the graph
      entry.values = null;
    }
    const value = this.real.graphPlaceholder(this.graph, entry.dtype, entry.shape);
    this.captured.set(t.dataId, toId(value));
    this.captures.push(variable);
    this.captureValues.push(value);
    this.weights.push({ id: value, shape: entry.shape, dtype: entry.dtype });
  }

  private refuseRead(): never {
    throw new Error(
      'compile: the function reads a tensor value (dataSync, data, array or print) while it is being traced, where tensors ' +
        'have no values. Return the tensor and read it after the call, or switch compilation off (compile: false).',
    );
  }

  private constant(shape: number[], dtype: number, values: ArrayBufferView): number {
    const array = values as Float32Array;
    const uniform = array.length > FILL_FROM && array.every(v => v === array[0]);
    if (uniform) {
      const dims = this.constant([shape.length], DType.int32, Int32Array.from(shape));
      const scalar = this.constant([], dtype, array.slice(0, 1));
      const attrs = [typeAttr('T', dtype), typeAttr('index_type', DType.int32)];
      return toId(this.add('Fill', attrs, [toValue(dims), toValue(scalar)])[0]!.id);
    }
    const make = () => this.real.graphConst(this.graph, dtype, shape, values);
    if (array.length > 16) return toId(make());
    const key = `${dtype}|${shape}|${array.join()}|${Object.is(array[0], -0)}`;
    if (!this.constants.has(key)) this.constants.set(key, make());
    return toId(this.constants.get(key)!);
  }

  private execute(name: string, attrs: Attr[], ids: number[]): TensorMetadata[] {
    const inputs = ids.map(toValue);
    if (inputs.some(v => v < 0))
      throw new Error(`compile: op ${name} reads a native tensor that is not part of the traced function`);
    if (this.precision === 'bf16' && wantsAutocast(name, attrs)) {
      const single = (op: string, opAttrs: Attr[], values: number[]) => this.add(op, opAttrs, values)[0]!.id;
      const id = runAutocast(single, name, attrs, inputs, this.memo);
      return [{ id: toId(id), shape: this.shapes.get(id)!, dtype: DType.float32 }];
    }
    return this.add(name, attrs, inputs).map(({ id, shape, dtype }) => ({ id: toId(id), shape: shape!, dtype }));
  }

  private readonly shapes = new Map<number, number[]>();
  private lastOutputs: number[] = [];

  /**
   * What an op must wait for so that ops run in the order in which the function called them; undefined where its inputs
   * see to that. Left alone, TensorFlow runs whatever is ready: the casts of all weights and the projections of the text
   * for all layers first, which then wait in memory.
   */
  private previous(inputs: number[]): number | undefined {
    if (!this.ordered || inputs.some(id => this.lastOutputs.includes(id))) return undefined;
    return this.lastOutputs[0];
  }

  private add(name: string, attrs: Attr[], inputs: number[]): { id: number; shape: number[] | null; dtype: number }[] {
    const stateful = STATEFUL.test(name);
    const before = stateful ? this.lastOnResource.get(inputs[0]!) : undefined;
    const waits = [before, this.previous(inputs)].filter(id => id !== undefined);
    const outputs = this.real.graphAddOp(this.graph, name, attrs, inputs, waits);
    if (stateful) this.lastOnResource.set(inputs[0]!, outputs[0]!.id);
    this.lastOutputs = outputs.map(({ id }) => id);
    if (this.assumedShape && outputs[0]) {
      this.real.graphSetShape(this.graph, outputs[0].id, this.assumedShape);
      outputs[0].shape = this.assumedShape;
      this.assumedShape = null;
    }
    for (const { id, shape, dtype } of outputs) {
      if (shape === null && dtype !== undefined)
        throw new Error(`compile: TensorFlow cannot infer the output shape of ${name}`);
      if (shape) this.shapes.set(id, shape);
    }
    const made = outputs.filter(({ shape }) => shape) as TraceValue[];
    this.nodes.push({ op: name, inputs, outputs: made });
    return outputs;
  }
}

/** Traces `fn` for arguments of the given shapes. The caller owns the graph (`binding.graphDelete`). */
export function trace(
  fn: (...inputs: Tensor[]) => Tensor[],
  specs: TensorSpec[],
  precision: Precision,
  { planning = false, ordered = false }: TraceOptions = {},
): Trace {
  if (current) throw new Error('compile: traces do not nest; a compiled function called inside a trace is inlined');
  const tracer = new Tracer(precision, planning, ordered);
  try {
    let args: TraceValue[] = [];
    let outputs: number[] = [];
    tracer.divert(() =>
      tf.tidy(() => {
        const made = specs.map(spec => tracer.argument(spec));
        outputs = fn(...made.map(({ tensor }) => tensor)).map(t => tracer.output(t));
        args = made.map(({ value }, i) => ({ id: value, ...specs[i]! }));
      }),
    );
    return {
      graph: tracer.graph,
      inputs: [...args.map(({ id }) => id), ...tracer.captureValues],
      captures: tracer.captures,
      outputs,
      nodes: tracer.nodes,
      arguments: args,
      weights: tracer.weights,
    };
  } catch (error) {
    tracer.real.graphDelete(tracer.graph);
    throw error;
  } finally {
    tracer.finish();
  }
}
