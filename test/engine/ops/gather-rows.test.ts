import { describe, expect, it } from 'vitest';
import { compile, gatherRows, tf, valueAndGrads } from '../../../src/engine/index.js';
import { checkGradients, sample } from '../finite-difference.js';

const table = sample([5, 3]);
const rows = () =>
  tf.tensor2d(
    [
      [4, 0],
      [4, 2],
      [1, 4],
    ],
    undefined,
    'int32',
  );

describe('gatherRows', () => {
  it("gives what TF.js's gather gives, with gradients summed over repeated rows", () => {
    tf.tidy(() => {
      const out = gatherRows(table, rows());
      expect(out.shape).toEqual([3, 2, 3]);
      expect(out.arraySync()).toEqual(tf.gather(table, rows()).arraySync());
      checkGradients(t => gatherRows(t, rows()), [table]);
      const { grads } = valueAndGrads(() => gatherRows(table, rows()).sum(), [table]);
      expect(grads[0]!.arraySync()).toEqual([1, 1, 1, 0, 3].map(n => [n, n, n]));
    });
  });

  it('can be traced, and frees what it makes', () => {
    const before = tf.memory().numTensors;
    const step = compile((t, r) => {
      const { value, grads } = valueAndGrads(() => gatherRows(t, r).square().sum(), [t]);
      return [gatherRows(t, r), value, grads[0]!];
    });
    tf.tidy(() => {
      const [out, value, grad] = step(table, rows());
      expect(out!.arraySync()).toEqual(tf.gather(table, rows()).arraySync());
      expect(value!.dataSync()[0]).toBeCloseTo(out!.square().sum().dataSync()[0]!, 4);
      expect(grad!.slice(4, 1).sub(table.slice(4, 1).mul(6)).abs().max().dataSync()[0]).toBeLessThan(1e-5);
    });
    step.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses rows that are not there and numbers that are no rows', () => {
    tf.tidy(() => {
      expect(() => gatherRows(table, tf.scalar(5, 'int32'))).toThrow(/not in \[0, 5\)/);
      expect(() => gatherRows(table, tf.scalar(1))).toThrow('int32 rows are needed, not [5,3] and float32');
    });
  });
});
