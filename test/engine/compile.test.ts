import { afterEach, describe, expect, it } from 'vitest';
import {
  compile,
  groupNorm,
  linear,
  randomNormal,
  rngKey,
  type Tensor,
  tf,
  valueAndGrads,
} from '../../src/engine/index.js';
import { sample } from './finite-difference.js';

const disposables: { dispose(): void }[] = [];
function keep<T extends { dispose(): void }>(x: T): T {
  disposables.push(x);
  return x;
}
afterEach(() => {
  for (const d of disposables.splice(0)) d.dispose();
});

function model() {
  const w1 = keep(tf.variable(sample([8, 4], 2)));
  const w2 = keep(tf.variable(sample([3, 8], 3)));
  const g = keep(tf.variable(sample([8], 4)));
  const b = keep(tf.variable(sample([8], 5)));
  const step = (x: Tensor): Tensor[] => {
    const loss = () =>
      linear(groupNorm(linear(x, w1).reshape([2, 3, 8]), g, b, { groups: 2, eps: 1e-5, act: 'silu' }), w2)
        .square()
        .mean();
    const { value, grads } = valueAndGrads(loss, [w1, w2, g, b]);
    return [value, ...grads];
  };
  return { w1, w2, step };
}

const maxDifference = (a: Tensor, b: Tensor) => tf.tidy(() => a.sub(b).abs().max().dataSync()[0]!);

describe('compile', () => {
  it('gives the eager values and gradients, also for new inputs and changed variables', () => {
    const { w1, step } = model();
    const compiled = keep(compile(step));
    for (const seed of [1, 7]) {
      const x = sample([2, 3, 4], seed);
      w1.assign(w1.mul(1.1));
      const eager = step(x);
      compiled(x).forEach((y, i) => expect(maxDifference(y, eager[i]!)).toBeLessThan(1e-5));
    }
    expect(compiled.traces).toHaveLength(1);
  });

  it('gives the same bits when ops run in the order of the calls', () => {
    const { step } = model();
    const x = sample([2, 3, 4], 1);
    for (const precision of ['fp32', 'bf16'] as const) {
      const free = keep(compile(step, { precision }))(x);
      const inOrder = keep(compile(step, { precision, ordered: true }))(x);
      inOrder.forEach((y, i) => expect(y.dataSync()).toEqual(free[i]!.dataSync()));
    }
  });

  it('traces again for another shape and keeps both', () => {
    const double = keep(compile(x => [x.mul(2)]));
    expect(Array.from(double(tf.tensor1d([1, 2]))[0]!.dataSync())).toEqual([2, 4]);
    expect(Array.from(double(tf.tensor1d([1, 2, 3]))[0]!.dataSync())).toEqual([2, 4, 6]);
    expect(Array.from(double(tf.tensor1d([5, 6]))[0]!.dataSync())).toEqual([10, 12]);
    expect(double.traces).toHaveLength(2);
  });

  it('bf16 stays within 3e-2 of fp32 and runs in fewer bits indeed', () => {
    const { step } = model();
    const x = sample([2, 3, 4]);
    const exact = step(x);
    const half = keep(compile(step, { precision: 'bf16' }))(x);
    const eagerHalf = compile(step, { precision: 'bf16', enabled: false })(x);
    half.forEach((y, i) => {
      const size = exact[i]!.abs().max().dataSync()[0]!;
      expect(maxDifference(y, exact[i]!) / size).toBeLessThan(3e-2);
      expect(maxDifference(y, eagerHalf[i]!) / size).toBeLessThan(1e-2);
    });
    expect(maxDifference(half[1]!, exact[1]!)).toBeGreaterThan(0);
  });

  it('leaves no tensor behind', () => {
    const { step } = model();
    const compiled = keep(compile(step));
    const x = sample([2, 3, 4]);
    tf.dispose(compiled(x));
    const [tensors, handles] = [tf.memory().numTensors, (tf.backend() as any).binding.getNumOfTensors()];
    for (let i = 0; i < 5; i++) tf.dispose(compiled(x));
    expect(tf.memory().numTensors).toBe(tensors);
    expect((tf.backend() as any).binding.getNumOfTensors()).toBe(handles);
  });

  it('draws noise from the key it is given', () => {
    const draw = keep(compile(key => [randomNormal([1000], key)]));
    const eager = randomNormal([1000], rngKey(1, 5, 'noise'));
    expect(maxDifference(draw(rngKey(1, 5, 'noise'))[0]!, eager)).toBe(0);
    expect(maxDifference(draw(rngKey(1, 6, 'noise'))[0]!, eager)).toBeGreaterThan(0.1);
  });

  it('accepts the same tensor twice, and returns an input unchanged', () => {
    const f = keep(compile((a, b) => [a.sub(b), a]));
    const x = sample([3]);
    expect(Array.from(f(x, x)[0]!.dataSync())).toEqual([0, 0, 0]);
    expect(maxDifference(f(x, sample([3], 2))[1]!, x)).toBe(0);
  });

  it('refuses a tensor from outside, saying what to do', () => {
    const outside = sample([2]);
    expect(() => compile(x => [x.add(outside)])(sample([2], 2))).toThrow(
      /made outside of the compiled function.*pass it as an argument/,
    );
    const uploaded = outside.add(1);
    expect(() => compile(x => [x.add(uploaded)])(sample([2], 2))).toThrow(/pass it as an argument/);
    expect(Array.from(outside.dataSync())).toHaveLength(2); // still usable
  });

  it('refuses to read a value inside, and works again afterwards', () => {
    expect(() => compile(x => [x.mul(x.sum().dataSync()[0]!)])(sample([2]))).toThrow(/reads a tensor value/);
    expect(sample([2]).add(1).dataSync()).toHaveLength(2);
  });

  it('reports a failing op by name and leaves the backend usable', () => {
    const bad = (x: Tensor) => [(tf.backend() as any).executeSingleOutput('NoSuchOp', [], [x])];
    expect(() => compile(bad)(sample([2]))).toThrow(/NoSuchOp/);
    expect(sample([2]).add(1).dataSync()).toHaveLength(2);
  });

  it('inlines a compiled function inside another', () => {
    const inner = keep(compile(x => [x.mul(2)]));
    const outer = keep(compile(x => [inner(x)[0]!.add(1)]));
    expect(outer(tf.scalar(3))[0]!.dataSync()[0]).toBe(7);
  });
});
