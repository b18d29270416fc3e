/**
 * The base class of every layer and model: a TF.js Layer that also has registered children, parameters with diffusers'
 * dotted names, and a state dict. A block is usable in any TF.js model (`call` delegates to `forward`).
 *
 * Parameters are names and shapes until `initialize` or `loadStateDict` gives them memory, so that a model of any size
 * can be constructed to be looked at.
 */
import { type Tensor, tf } from '../../engine/index.js';
import type { TensorEntry } from '../weights/safetensors.js';
import type { WeightArray, WeightSource } from '../weights/source.js';
import { Parameter, type ParameterOptions, type ParameterOwner } from './parameter.js';
import { type LoadOptions, loadStateDict, matchStateDict, type StateDictReport } from './state-dict.js';

type LayerVariable = InstanceType<typeof tf.LayerVariable>;

export abstract class Block extends tf.layers.Layer implements ParameterOwner {
  private readonly ownParameters = new Map<string, Parameter>();
  private readonly ownChildren = new Map<string, Block>();
  private parent: { block: Block; member: string } | null = null;

  constructor() {
    super({});
  }

  /** TF.js names layers after their class. */
  override getClassName(): string {
    return this.constructor.name;
  }

  /** The computation. Subclasses give it its real signature. */
  abstract forward(...inputs: any[]): any;

  /** TF.js's entry: inputs in `forward`'s order. */
  override call(inputs: Tensor | Tensor[]): Tensor | Tensor[] {
    return tf.tidy(() => this.forward(...(Array.isArray(inputs) ? inputs : [inputs])) as Tensor);
  }

  /** TF.js calls this before a block's first `apply`: parameters that have no value yet are initialised with seed 0. */
  override build(): void {
    for (const parameter of this.parameters().values()) if (!parameter.isReady) parameter.initialize(0);
    this.built = true;
  }

  /** Registers a part under a name, which may be dotted (`resnets.0`). @returns the part */
  protected child<B extends Block>(member: string, block: B): B {
    this.claim(member);
    if (block.parent) throw new Error(`${member}: the block already belongs to ${block.parent.block.name}`);
    block.parent = { block: this, member };
    this.ownChildren.set(member, block);
    return block;
  }

  /** Registers parts `member.0`, `member.1`, … @returns the parts */
  protected list<B extends Block>(member: string, blocks: B[]): B[] {
    return blocks.map((block, i) => this.child(`${member}.${i}`, block));
  }

  /** Registers a parameter; no memory is taken. `torchShape` is its shape in files. */
  protected param(member: string, torchShape: readonly number[], options: ParameterOptions): Parameter {
    this.claim(member);
    const parameter = new Parameter(this, member, torchShape, options);
    this.ownParameters.set(member, parameter);
    return parameter;
  }

  private claim(member: string): void {
    if (this.ownParameters.has(member) || this.ownChildren.has(member)) throw new Error(`two members named ${member}`);
  }

  pathOf(member: string): string {
    return this.parent ? this.parent.block.pathOf(`${this.parent.member}.${member}`) : member;
  }

  /** Dotted name from the model on, e.g. `down_blocks.1`; empty for the model itself. */
  get path(): string {
    return this.parent ? this.parent.block.pathOf(this.parent.member) : '';
  }

  get variableScope(): string {
    return this.parent ? this.parent.block.variableScope : this.name;
  }

  /** Every parameter below this block, in PyTorch's order; keys are dotted names relative to this block. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>(this.ownParameters);
    for (const [member, block] of this.ownChildren) {
      for (const [name, parameter] of block.parameters()) found.set(`${member}.${name}`, parameter);
    }
    return found;
  }

  /** This block and all below it, with dotted names relative to this block ('' is the block itself). */
  *blocks(prefix = ''): Generator<[name: string, block: Block]> {
    yield [prefix, this];
    for (const [member, block] of this.ownChildren) yield* block.blocks(prefix ? `${prefix}.${member}` : member);
  }

  /** Draws first values with PyTorch's distributions; equal seeds and names give equal values. */
  initialize(seed: number): void {
    for (const parameter of this.parameters().values()) parameter.initialize(seed);
    this.built = true;
  }

  /** Loads weights by name; see `state-dict.ts`. Nothing is read unless names and shapes fit. */
  async loadStateDict(source: WeightSource, options: LoadOptions = {}): Promise<StateDictReport> {
    const report = await loadStateDict(this.parameters(), source, this.withOwnNames(source, options));
    this.built = true;
    return report;
  }

  /** Whether `loadStateDict` would succeed: compares names and shapes, reads no values. @throws InputError as it does */
  checkStateDict(source: WeightSource, options: LoadOptions = {}): StateDictReport {
    const { missing, unexpected } = matchStateDict(this.parameters(), source, this.withOwnNames(source, options));
    return { missing, unexpected };
  }

  /** This model's name of a file's tensor, for models with old or foreign spellings; null leaves the tensor aside. */
  protected nameOf(tensor: string, _source: WeightSource): string | null {
    return tensor;
  }

  private withOwnNames(source: WeightSource, options: LoadOptions): LoadOptions {
    const rename = (tensor: string) => {
      const name = options.rename ? options.rename(tensor) : tensor;
      return name === null ? null : this.nameOf(name, source);
    };
    return { ...options, rename };
  }

  /** Values in PyTorch's layout, by dotted name: what `memorySource` takes. */
  stateDict(): Record<string, { shape: number[]; data: WeightArray }> {
    const entries = [...this.parameters()];
    return Object.fromEntries(entries.map(([name, p]) => [name, { shape: [...p.torchShape], data: p.toTorch() }]));
  }

  /** The state dict for a writer: each tensor is fetched and permuted when it is its turn. */
  stateDictEntries(): TensorEntry[] {
    return [...this.parameters()].map(([name, p]) => ({ name, shape: p.torchShape, data: () => p.toTorch() }));
  }

  override countParams(): number {
    let total = 0;
    for (const parameter of this.parameters().values()) total += parameter.size;
    return total;
  }

  override get trainable(): boolean {
    return [...this.parameters().values()].some(p => p.trainable);
  }

  /** Switches every parameter below this block. */
  override set trainable(value: boolean) {
    for (const parameter of this.parameters().values()) parameter.trainable = value;
  }

  /** Variables that train. @throws WorkError when one has no value yet */
  override get trainableWeights(): LayerVariable[] {
    return this.layerVariables(true);
  }

  override set trainableWeights(_: LayerVariable[]) {
    throw new Error('a block makes its own weights: use setWeights or loadStateDict');
  }

  /** Variables that are frozen. @throws WorkError when one has no value yet */
  override get nonTrainableWeights(): LayerVariable[] {
    return this.layerVariables(false);
  }

  override set nonTrainableWeights(_: LayerVariable[]) {
    throw new Error('a block makes its own weights: use setWeights or loadStateDict');
  }

  private layerVariables(trainable: boolean): LayerVariable[] {
    return [...this.parameters().values()].filter(p => p.trainable === trainable).map(p => p.layerVariable());
  }

  /** Takes tensors in the order of `getWeights` (trainable ones first), in our layout. */
  override setWeights(weights: Tensor[]): void {
    const all = [...this.parameters().values()];
    const ordered = [...all.filter(p => p.trainable), ...all.filter(p => !p.trainable)];
    if (weights.length !== ordered.length) {
      throw new Error(`setWeights: ${weights.length} tensors for ${ordered.length} parameters of ${this.name}`);
    }
    for (const [i, parameter] of ordered.entries()) parameter.assign(weights[i]!);
    this.built = true;
  }

  /** Frees every parameter below this block. Names and shapes stay, so the block can be loaded again. */
  override dispose(): { refCountAfterDispose: number; numDisposedVariables: number } {
    if (this._refCount !== null && --this._refCount > 0) {
      return { refCountAfterDispose: this._refCount, numDisposedVariables: 0 }; // another TF.js model still uses it
    }
    const freed = [...this.parameters().values()].filter(p => p.dispose()).length;
    return { refCountAfterDispose: 0, numDisposedVariables: freed };
  }
}
