import { describe, expect, it } from 'vitest';
import { conv2d, estimate, gelu, linear, planned, tf, type Variable, valueAndGrads } from '../../src/engine/index.js';
import { Linear } from '../../src/models/layers/index.js';

const KB = 1024;
const spec = (...shape: number[]) => ({ shape });

describe('estimate', () => {
  it('counts arguments, results and what lies between, until its last reader', () => {
    // x (1 kB, the caller's) -> a -> b; a is dead when c is made of b, and b when d is: at most x and two more.
    const { activationBytes, weightBytes } = estimate(
      x => {
        const a = tf.reverse(x!, 0);
        const b = tf.reverse(a, 0);
        const c = tf.reverse(b, 0);
        return [tf.reverse(c, 0)];
      },
      [spec(256)],
    );
    expect(activationBytes).toBe(3 * KB);
    expect(weightBytes).toBe(0);
  });

  it('keeps what a later op reads again', () => {
    const { activationBytes, peak } = estimate(
      x => {
        const a = tf.reverse(x!, 0);
        const b = tf.reverse(a, 0);
        const c = tf.reverse(b, 0);
        return [tf.concat([a, c], 0)]; // a lived on: x, a, c and the doubled result
      },
      [spec(256)],
    );
    expect(activationBytes).toBe(5 * KB);
    expect(peak.op).toBe('ConcatV2');
    expect(peak.alive.map(({ op, bytes }) => [op, bytes])[0]).toEqual(['ConcatV2', 2 * KB]);
  });

  it('lets reshapes share memory and pointwise ops write in place', () => {
    const { activationBytes } = estimate(
      x => {
        const a = tf.reverse(x!, 0).reshape([16, 16]); // one buffer
        return [a.mul(2).add(1).reshape([256])]; // the same one
      },
      [spec(256)],
    );
    expect(activationBytes).toBe(2 * KB);
  });

  it('never writes into an argument or a value that is read again', () => {
    const { activationBytes } = estimate(
      x => {
        const a = x!.mul(2); // not in x
        const b = a.mul(3); // not in a
        return [tf.concat([a, b], 0)];
      },
      [spec(256)],
    );
    expect(activationBytes).toBe(5 * KB);
  });

  it('counts variables as weights, once', () => {
    const w = tf.variable(tf.ones([16, 16]));
    const run = (x: typeof w) => [linear(linear(x, w), w)];
    const { weightBytes, activationBytes } = estimate(x => run(x as Variable), [spec(16, 16)]);
    expect(weightBytes).toBe(KB);
    expect(activationBytes).toBe(3 * KB);
    w.dispose();
  });

  it('counts bfloat16 operands where the precision asks for them', () => {
    const w = tf.variable(tf.ones([3, 3, 4, 4]));
    const run = () => estimate(x => [conv2d(x!, w, null, { padding: 1 })], [spec(1, 8, 8, 4)]);
    const low = () => estimate(x => [conv2d(x!, w, null, { padding: 1 })], [spec(1, 8, 8, 4)], { precision: 'bf16' });
    expect(run().activationBytes).toBe(2 * KB); // x and y
    expect(low().activationBytes).toBe(KB + 512 + KB); // x, y in bfloat16, and y
    w.dispose();
  });

  it('plans a model without memory as it plans one with', () => {
    const layer = new Linear(64, 32);
    const run = () => estimate(x => [gelu(layer.forward(x!))], [spec(10, 64)]);
    const before = tf.memory();
    const empty = run();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(layer.parameters().get('weight')!.isReady).toBe(false);
    layer.initialize(0);
    expect(run()).toEqual(empty);
    expect(empty.weightBytes).toBe(4 * (64 * 32 + 32));
    layer.dispose();
  });

  it('plans training, with its gradients', () => {
    const layer = new Linear(64, 64, { bias: false });
    const weight = layer.parameters().get('weight')!;
    const { activationBytes } = estimate(
      x => {
        const { value, grads } = valueAndGrads(() => layer.forward(x!).square().mean(), [weight.value()]);
        return [value, ...grads];
      },
      [spec(8, 64)],
    );
    expect(activationBytes).toBeGreaterThanOrEqual(4 * (64 * 64 + 2 * 8 * 64)); // the gradient, x and y at least
    expect(activationBytes).toBeLessThan(8 * 64 * 64);
  });

  it('gives no stand-ins outside, and needs the value there', () => {
    expect(planned({}, [1])).toBeNull();
    const layer = new Linear(2, 2);
    expect(() => layer.forward(tf.zeros([1, 2]))).toThrow('no value yet');
  });
});
