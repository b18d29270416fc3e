/** One weight of a model: its name and shapes at once, its memory only when it is initialised or loaded. */
import { planned, rngKey, type Tensor, tf, upload, type Variable } from '../../engine/index.js';
import { InputError, WorkError } from '../../errors.js';
import { DTYPE_BYTES } from '../weights/dtypes.js';
import type { FloatBytes } from '../weights/source.js';
import type { Initializer } from './initializers.js';
import { fromTorch, type Layout, tfShape, toTorch } from './layout.js';

export interface ParameterOptions {
  init: Initializer;
  /** How the file's order maps to ours (default `plain`). */
  layout?: Layout;
  /** Default true. */
  trainable?: boolean;
}

/** What a parameter asks of the block that owns it. */
export interface ParameterOwner {
  /** Dotted name of a member, from the root of the model. */
  pathOf(member: string): string;
  /** Unique prefix of the model's variables in TensorFlow.js. */
  readonly variableScope: string;
}

type LayerVariable = InstanceType<typeof tf.LayerVariable>;

export class Parameter {
  readonly layout: Layout;
  /** Shape of the variable. */
  readonly shape: number[];
  /** Shape in files. */
  readonly torchShape: number[];
  /** Number of scalars. */
  readonly size: number;
  private readonly init: Initializer;
  private train: boolean;
  private variable: LayerVariable | null = null;

  constructor(
    private readonly owner: ParameterOwner,
    private readonly member: string,
    torchShape: readonly number[],
    { init, layout = 'plain', trainable = true }: ParameterOptions,
  ) {
    this.layout = layout;
    this.torchShape = [...torchShape];
    this.shape = tfShape(layout, torchShape);
    this.size = torchShape.reduce((a, b) => a * b, 1);
    this.init = init;
    this.train = trainable;
  }

  /** Dotted name from the root of the model, as diffusers spells it. */
  get path(): string {
    return this.owner.pathOf(this.member);
  }

  /** The same as `path`. */
  get name(): string {
    return this.path;
  }

  get trainable(): boolean {
    return this.train;
  }

  set trainable(value: boolean) {
    this.train = value;
    if (this.variable) this.variable.trainable = value;
  }

  /** True once it has a value. */
  get isReady(): boolean {
    return this.variable !== null;
  }

  /**
   * The variable. It stays the same object when new values are loaded. While the engine's `estimate` traces a model, a
   * parameter without memory gives a stand-in.
   * @throws WorkError when it has no value yet
   */
  value(): Variable {
    const standIn = this.variable ? null : planned(this, this.shape);
    return (standIn ?? this.layerVariable().read()) as Variable;
  }

  /** The variable as TF.js Layers hold it. @throws WorkError when it has no value yet */
  layerVariable(): LayerVariable {
    if (!this.variable) {
      throw new WorkError(
        `Parameter "${this.path}" [${this.torchShape}] has no value yet: load weights (loadStateDict, fromPretrained) or call initialize(seed) first.`,
        { code: 'model.not-initialised', name: this.path },
      );
    }
    return this.variable;
  }

  /** Draws the first value. It depends on `seed` and the parameter's name only, not on the order of calls. */
  initialize(seed: number): void {
    tf.tidy(() => this.assign(this.init(this.shape, rngKey(seed, 0, `init ${this.path}`))));
  }

  /**
   * Takes values in the file's order: a Float32Array, or bytes as they lie in the file. They are copied into
   * TensorFlow's memory before the call returns, so the array may be used again.
   * @throws InputError when there are not `size` of them
   */
  load(values: Float32Array | FloatBytes): void {
    const { bytes, dtype } =
      values instanceof Float32Array
        ? { bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength), dtype: 'F32' as const }
        : values;
    const count = bytes.length / DTYPE_BYTES[dtype]!;
    if (count !== this.size) {
      throw new InputError(`Parameter "${this.path}" [${this.torchShape}] takes ${this.size} values, not ${count}.`, {
        code: 'model.parameter-size',
        name: this.path,
      });
    }
    tf.tidy(() => this.assign(fromTorch(this.layout, this.torchShape, upload(bytes, dtype, this.torchShape))));
  }

  /** Takes the value of a tensor of `shape`; the tensor stays the caller's. */
  assign(value: Tensor): void {
    if (value.shape.join() !== this.shape.join()) {
      throw new InputError(`Parameter "${this.path}" has shape [${this.shape}], the new value [${value.shape}].`, {
        code: 'model.parameter-shape',
        name: this.path,
      });
    }
    if (this.variable) (this.variable.read() as Variable).assign(value);
    else {
      const name = `${this.owner.variableScope}/${this.path}`;
      this.variable = new tf.LayerVariable(value, 'float32', name, this.train);
    }
  }

  /** The values in the file's order. */
  toTorch(): Float32Array {
    const file = toTorch(this.layout, this.torchShape, this.value());
    try {
      return file.dataSync() as Float32Array; // outside of a tidy, which would walk through every number it returns
    } finally {
      file.dispose();
    }
  }

  /** Frees the memory; names and shapes stay. @returns whether there was something to free */
  dispose(): boolean {
    const had = this.variable !== null;
    this.variable?.dispose();
    this.variable = null;
    return had;
  }
}
