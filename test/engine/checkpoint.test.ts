import { describe, expect, it } from 'vitest';
import {
  checkpoint,
  compile,
  dropout,
  estimate,
  linear,
  type Precision,
  rngKey,
  type Tensor,
  tf,
  valueAndGrads,
  withDropout,
} from '../../src/engine/index.js';
import { sample } from './finite-difference.js';

const WIDTH = 8;

/** A chain of layers with shared weights and dropout, each a part of its own; `wrap` decides how a part runs. */
function chain(weights: Tensor[], wrap: typeof checkpoint) {
  return (x: Tensor, shared: Tensor): Tensor => {
    let h = x;
    for (const w of weights) {
      const part = (input: Tensor, bias: Tensor) => [dropout(linear(input.add(bias), w).tanh(), 0.3), input.mul(2)];
      const [a, b] = wrap(part, [h, shared]) as [Tensor, Tensor];
      h = a.add(b);
    }
    return h.square().mean();
  };
}

const plainly: typeof checkpoint = (fn, inputs) => fn(...inputs);
const bits = (tensors: Tensor[]) => tensors.map(t => t.dataSync());

describe('checkpoint', () => {
  const weights = [1, 2, 3, 4].map(seed => tf.variable(sample([WIDTH, WIDTH], seed)));
  const step = (wrap: typeof checkpoint, xs: Tensor[] = weights) => {
    const network = chain(weights, wrap);
    return (x: Tensor, shared: Tensor, key: Tensor): Tensor[] => {
      const wanted = xs.length > 0 ? xs : [x, shared];
      const { value, grads } = withDropout(key, () => valueAndGrads(() => network(x, shared), wanted));
      return [value, ...grads];
    };
  };
  const inputs = () => [sample([16, WIDTH], 7), sample([WIDTH], 8), rngKey(1, 1, 'dropout')] as const;

  it.each<[string, Tensor[]]>([
    ['all variables', weights],
    ['some variables', [weights[1]!, weights[2]!]],
    ['inputs, which several parts share', []],
  ])('gives the same bits for %s, eagerly and compiled', (_, xs) => {
    tf.tidy(() => {
      const args = inputs();
      const expected = bits(step(plainly, xs)(...args));
      expect(bits(step(checkpoint, xs)(...args))).toEqual(expected);
      for (const precision of ['fp32', 'bf16'] as Precision[]) {
        const [a, b] = [plainly, checkpoint].map(wrap => compile(step(wrap, xs), { precision }));
        expect(bits(b!(...args))).toEqual(bits(a!(...args)));
        a!.dispose();
        b!.dispose();
      }
    });
  });

  it('nests', () => {
    const nested: typeof checkpoint = (fn, args) => checkpoint((...again) => checkpoint(fn, again), args);
    tf.tidy(() => {
      expect(bits(step(nested)(...inputs()))).toEqual(bits(step(plainly)(...inputs())));
    });
  });

  it('hands an input through, leaves out what no gradient needs, and is a plain call elsewhere', () => {
    tf.tidy(() => {
      const x = sample([3], 1);
      let calls = 0;
      const part = (a: Tensor) => {
        calls++;
        return [a, a.mul(3)];
      };
      const [same, triple] = checkpoint(part, [x]) as [Tensor, Tensor];
      expect(bits([same, triple])).toEqual(bits([x, x.mul(3)]));
      expect(calls).toBe(1);
      const { grads } = valueAndGrads(() => {
        const [a, b] = checkpoint(part, [x]) as [Tensor, Tensor];
        return a.add(b).sum();
      }, [x]);
      expect(Array.from(grads[0]!.dataSync())).toEqual([4, 4, 4]);
      expect(calls).toBe(3);
      const w = tf.variable(sample([3], 2));
      valueAndGrads(() => checkpoint(part, [x])[1]!.mul(w).sum(), [w]);
      expect(calls).toBe(4); // x has no gradient: nothing to run again
      w.dispose();
    });
  });

  it('leaves no tensor behind, also when the function throws', () => {
    const args = inputs();
    tf.dispose(step(checkpoint)(...args));
    const before = tf.memory().numTensors;
    tf.dispose(step(checkpoint)(...args));
    expect(tf.memory().numTensors).toBe(before);
    const broken = () => valueAndGrads(() => checkpoint(() => [tf.ones([2]).reshape([3])], [])[0]!.sum(), weights);
    expect(() => tf.tidy(() => broken().grads)).toThrow();
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([...args]);
  });

  it('needs less memory, as estimate knows', () => {
    const specs = [{ shape: [4096, WIDTH] }, { shape: [WIDTH] }, { shape: [2], dtype: 'int32' as const }];
    const bytes = (wrap: typeof checkpoint) => estimate(step(wrap) as never, specs).activationBytes;
    expect(bytes(checkpoint)).toBeLessThan(0.75 * bytes(plainly));
  });
});
