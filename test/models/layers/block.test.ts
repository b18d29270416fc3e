import { describe, expect, it } from 'vitest';
import { type Tensor, tf } from '../../../src/engine/index.js';
import { InputError, WorkError } from '../../../src/errors.js';
import { Block, Conv2d, fanIn, GroupNorm, Linear, type Parameter } from '../../../src/models/layers/index.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { sample } from '../../engine/finite-difference.js';

/** A convolution, a norm, a matrix stored as a 1×1 convolution, and a parameter of its own. */
class Small extends Block {
  readonly scale: Parameter = this.param('scale', [4], { init: fanIn(4) });
  readonly conv = this.child('convs.0', new Conv2d(3, 4, 3));
  readonly norm = this.child('norm', new GroupNorm(2, 4, 1e-5));
  readonly proj = this.child('proj', new Linear(4, 2, { conv1x1: true }));

  override forward(x: Tensor): Tensor {
    return this.proj.forward(this.norm.forward(this.conv.forward(x)).mul(this.scale.value()));
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return this.proj.computeOutputShape(inputShape);
  }
}

const NAMES = ['scale', 'convs.0.weight', 'convs.0.bias', 'norm.weight', 'norm.bias', 'proj.weight', 'proj.bias'];

function ready(seed = 1): Small {
  const block = new Small();
  block.initialize(seed);
  return block;
}

describe('Block', () => {
  it('lists names and shapes without memory', () => {
    const before = tf.memory().numTensors;
    const block = new Small();
    const parameters = block.parameters();
    expect([...parameters.keys()]).toEqual(NAMES);
    expect(parameters.get('convs.0.weight')).toMatchObject({
      torchShape: [4, 3, 3, 3],
      shape: [3, 3, 3, 4],
      size: 108,
    });
    expect(parameters.get('proj.weight')).toMatchObject({ torchShape: [2, 4, 1, 1], shape: [2, 4] });
    expect([...parameters.values()].map(p => p.path)).toEqual(NAMES);
    expect([...parameters.values()].some(p => p.isReady)).toBe(false);
    expect(block.countParams()).toBe(4 + 108 + 4 + 4 + 4 + 8 + 2);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('says which parameter has no value and how to give it one', () => {
    const block = new Small();
    expect(() => block.forward(tf.zeros([1, 4, 4, 3]))).toThrow(WorkError);
    expect(() => block.forward(tf.zeros([1, 4, 4, 3]))).toThrow(/"convs\.0\.weight" \[4,3,3,3\].*initialize/);
    expect(() => block.trainableWeights).toThrow('"scale"');
  });

  it('refuses two members with one name, and one block in two places', () => {
    class Twice extends Block {
      constructor(part: Block) {
        super();
        this.child('a', part);
        this.child('a', new Linear(1, 1));
      }
      override forward() {}
    }
    expect(() => new Twice(new Linear(1, 1))).toThrow('two members named a');
    const part = new Linear(1, 1);
    expect(() => new Twice(part)).toThrow();
    expect(() => new Twice(part)).toThrow('already belongs');
  });

  it('draws first values by seed and name, whatever the order', () => {
    const [a, b, c] = [ready(5), new Small(), ready(6)];
    for (const p of [...b.parameters().values()].reverse()) p.initialize(5);
    expect(a.stateDict()).toEqual(b.stateDict());
    expect(a.stateDict()).not.toEqual(c.stateDict());
    const { 'convs.0.weight': weight, 'norm.weight': gamma, 'norm.bias': beta } = a.stateDict();
    const bound = 1 / Math.sqrt(27);
    const values = [...weight!.data];
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(Math.max(...values)).toBeGreaterThan(0.9 * bound);
    expect(Math.min(...values)).toBeLessThan(-0.9 * bound);
    expect([...gamma!.data, ...beta!.data]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    for (const block of [a, b, c]) block.dispose();
  });

  it('keeps its variables when new values are loaded', async () => {
    const [a, b] = [ready(1), ready(2)];
    const variables = a.trainableWeights.map(w => w.read());
    const count = tf.memory().numTensors;
    await a.loadStateDict(memorySource(b.stateDict()));
    expect(a.trainableWeights.map(w => w.read())).toEqual(variables);
    expect(tf.memory().numTensors).toBe(count);
    const x = sample([2, 4, 5, 3]);
    expect(a.forward(x).dataSync()).toEqual(b.forward(x).dataSync());
  });

  it('splits weights by trainability, in TF.js’s terms', () => {
    const block = ready();
    expect(block.trainableWeights).toHaveLength(7);
    expect(block.getWeights().map(w => w.shape)).toEqual([...block.parameters().values()].map(p => p.shape));
    block.parameters().get('convs.0.weight')!.trainable = false;
    expect(block.trainableWeights).toHaveLength(6);
    expect(block.nonTrainableWeights.map(w => w.shape)).toEqual([[3, 3, 3, 4]]);
    expect(block.parameters().get('convs.0.weight')!.value().trainable).toBe(false);
    block.norm.trainable = false;
    expect(block.trainableWeights).toHaveLength(4);
    block.trainable = true;
    expect(block.trainableWeights).toHaveLength(7);

    const other = ready(2);
    other.setWeights(block.getWeights());
    expect(other.stateDict()).toEqual(block.stateDict());
    expect(() => other.setWeights([])).toThrow('0 tensors for 7');
  });

  it('trains inside a TF.js model', async () => {
    const block = new Small();
    const model = tf.sequential({
      layers: [tf.layers.inputLayer({ inputShape: [4, 4, 3] }), block, tf.layers.flatten()],
    });
    model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
    const before = block.stateDict();
    const x = sample([4, 4, 4, 3]);
    const history = await model.fit(x, tf.zeros([4, 32]), { epochs: 5, verbose: 0 });
    const losses = history.history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(block.stateDict().scale!.data).not.toEqual(before.scale!.data);
    expect(model.dispose().numDisposedVariables).toBeGreaterThanOrEqual(7);
  });

  it('frees everything on dispose, and can be loaded again', () => {
    const before = tf.memory().numTensors;
    const block = ready();
    expect(tf.memory().numTensors).toBe(before + 7);
    expect(block.dispose().numDisposedVariables).toBe(7);
    expect(tf.memory().numTensors).toBe(before);
    block.initialize(3);
    expect(tf.memory().numTensors).toBe(before + 7);
    block.dispose();
  });
});

describe('loading a state dict', () => {
  const state = () => {
    const block = ready();
    const entries = block.stateDict();
    block.dispose();
    return entries;
  };

  it('lists everything that does not fit at once and loads nothing', async () => {
    const { 'norm.bias': _, 'proj.bias': __, ...rest } = state();
    const wrong = {
      ...rest,
      extra: { shape: [1], data: Float32Array.of(1) },
      'convs.0.weight': { shape: [4, 3, 5, 5], data: new Float32Array(300) },
    };
    const block = new Small();
    const source = memorySource(wrong, 'model.safetensors');
    let reads = 0;
    const counted = {
      ...source,
      read: (name: string) => {
        reads++;
        return source.read(name);
      },
    };
    const error = await block.loadStateDict(counted).catch((e: InputError) => e);
    expect(error).toBeInstanceOf(InputError);
    const { message, data } = error as InputError;
    expect(message).toContain('model.safetensors');
    expect(message).toContain('2 missing:\n  norm.bias\n  proj.bias');
    expect(message).toContain('1 unexpected:\n  extra');
    expect(message).toContain('convs.0.weight: the model has [4,3,3,3], model.safetensors has [4,3,5,5]');
    expect(data).toMatchObject({ missing: ['norm.bias', 'proj.bias'], unexpected: ['extra'] });
    expect(reads).toBe(0);
    expect([...block.parameters().values()].some(p => p.isReady)).toBe(false);
  });

  it('reports instead when not strict, but never takes a wrong shape', async () => {
    const { scale: _, ...rest } = state();
    const block = new Small();
    const report = await block.loadStateDict(memorySource({ ...rest, x: rest['norm.bias']! }), { strict: false });
    expect(report).toEqual({ missing: ['scale'], unexpected: ['x'] });
    expect(block.scale.isReady).toBe(false);
    const bad = memorySource({ ...rest, 'norm.bias': { shape: [2], data: new Float32Array(2) } });
    await expect(block.loadStateDict(bad, { strict: false })).rejects.toThrow('1 of another shape');
    block.dispose();
  });

  it('renames and skips tensors', async () => {
    const { scale, ...rest } = state();
    const block = new Small();
    const source = memorySource({ ...rest, old_scale: scale!, buffer: scale! });
    const rename = (name: string) => ({ old_scale: 'scale', buffer: null })[name] ?? (name === 'buffer' ? null : name);
    await block.loadStateDict(source, { rename });
    expect(block.stateDict().scale).toEqual(scale);
    block.dispose();
  });

  it('takes a matrix for a 1×1 convolution and back, nothing else', async () => {
    const entries = state();
    const flat = { ...entries, 'proj.weight': { ...entries['proj.weight']!, shape: [2, 4] } };
    const block = new Small();
    await block.loadStateDict(memorySource(flat));
    expect(block.stateDict()).toEqual(entries);
    const transposed = { ...entries, 'proj.weight': { ...entries['proj.weight']!, shape: [4, 2] } };
    await expect(block.loadStateDict(memorySource(transposed))).rejects.toThrow('[2,4,1,1]');
    block.dispose();
  });
});
