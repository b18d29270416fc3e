import { describe, expect, it } from 'vitest';
import { tf } from '../../src/engine/index.js';
import { AdamW } from '../../src/train/optimizer.js';
import { sample } from '../engine/finite-difference.js';

/** AdamW in plain float64 arithmetic, as written in PyTorch's documentation. */
function reference(
  w: number[],
  gradients: number[][],
  lr: number,
  wd: number,
  [b1, b2]: [number, number],
  eps: number,
) {
  const m = w.map(() => 0);
  const v = w.map(() => 0);
  gradients.forEach((g, step) => {
    const t = step + 1;
    w.forEach((_, i) => {
      w[i]! *= 1 - lr * wd;
      m[i] = b1 * m[i]! + (1 - b1) * g[i]!;
      v[i] = b2 * v[i]! + (1 - b2) * g[i]! ** 2;
      w[i]! -= (lr * (m[i]! / (1 - b1 ** t))) / (Math.sqrt(v[i]! / (1 - b2 ** t)) + eps);
    });
  });
  return w;
}

const options = { betas: [0.9, 0.99] as [number, number], epsilon: 1e-3, weightDecay: 0.1, ema: false };

function setup(overrides: Partial<typeof options & { compile: boolean; ema: boolean; averageOnHost: boolean }> = {}) {
  const a = tf.variable(sample([2, 3], 1));
  const b = tf.variable(sample([4], 2));
  const optimizer = new AdamW(
    [
      { name: 'a', variable: a },
      { name: 'b', variable: b },
    ],
    { ...options, ...overrides },
  );
  const gradients = (step: number) => [sample([2, 3], 10 + step), sample([4], 20 + step)];
  const run = (from: number, to: number) => {
    for (let step = from; step < to; step++) {
      tf.tidy(() => optimizer.step(gradients(step), { learningRate: 0.05, step, gradientScale: 0.5, emaDecay: 0.8 }));
    }
  };
  return { a, b, optimizer, gradients, run };
}

describe('AdamW', () => {
  it.each([true, false])('matches the written-out algorithm (compile: %s)', compile => {
    const { a, b, optimizer, gradients, run } = setup({ compile });
    const start = [Array.from(a.dataSync()), Array.from(b.dataSync())];
    run(0, 5);
    [a, b].forEach((variable, i) => {
      const gs = [0, 1, 2, 3, 4].map(s => Array.from(gradients(s)[i]!.dataSync(), x => x * 0.5));
      const expected = reference(start[i]!, gs, 0.05, i === 0 ? 0.1 : 0, [0.9, 0.99], 1e-3);
      variable.dataSync().forEach((x, j) => expect(x).toBeCloseTo(expected[j]!, 5));
    });
    optimizer.dispose();
  });

  it('gives each variable its own rate and decay in the one update', () => {
    const [a, b] = [tf.variable(sample([2, 3], 1)), tf.variable(sample([4], 2))];
    const start = [a, b].map(v => Array.from(v.dataSync()));
    const optimizer = new AdamW(
      [
        { name: 'a', variable: a, rateScale: 0.25, weightDecay: 0 },
        { name: 'b', variable: b, weightDecay: 0.4 },
      ],
      options,
    );
    for (let step = 0; step < 4; step++) {
      const gradients = [sample([2, 3], 10 + step), sample([4], 20 + step)];
      optimizer.step(gradients, { learningRate: 0.05, step, gradientScale: 1 });
      tf.dispose(gradients);
    }
    const settings = [
      [0.05 * 0.25, 0],
      [0.05, 0.4],
    ] as const;
    [a, b].forEach((variable, i) => {
      const gs = [0, 1, 2, 3].map(s => Array.from(sample(variable.shape, 10 * (i + 1) + s).dataSync()));
      const [rate, decay] = settings[i]!;
      const expected = reference(start[i]!, gs, rate, decay, [0.9, 0.99], 1e-3);
      variable.dataSync().forEach((x, j) => expect(x).toBeCloseTo(expected[j]!, 5));
    });
    optimizer.dispose();
  });

  it('averages the weights and lends the average', async () => {
    const { a, optimizer, run } = setup({ ema: true });
    let average = Array.from(a.dataSync());
    for (let s = 0; s < 3; s++) {
      run(s, s + 1);
      average = average.map((e, i) => 0.8 * e + 0.2 * a.dataSync()[i]!);
    }
    const trained = Array.from(a.dataSync());
    await optimizer.withAverage(() => a.dataSync().forEach((x, i) => expect(x).toBeCloseTo(average[i]!, 5)));
    expect(Array.from(a.dataSync())).toEqual(trained);
    optimizer.dispose();
  });

  it('averages on the host as on the device, bit for bit, and lends and returns the weights', async () => {
    const average = async (averageOnHost: boolean) => {
      const { a, b, optimizer, run } = setup({ ema: true, averageOnHost });
      run(0, 4);
      const values = () => [...a.dataSync(), ...b.dataSync()];
      const before = values();
      const lent = await optimizer.withAverage(values);
      expect(values()).toEqual(before);
      expect(optimizer.slots.every(slot => (slot.ema === null) === averageOnHost)).toBe(true);
      run(4, 6);
      optimizer.dispose();
      return [lent, before, values()];
    };
    const [device, host] = [await average(false), await average(true)];
    expect(host).toEqual(device);
    expect(host[0]).not.toEqual(host[1]);
  });

  it('leaves the average alone at a decay of 1', async () => {
    for (const averageOnHost of [false, true]) {
      const { a, b, optimizer } = setup({ ema: true, averageOnHost });
      const start = [...a.dataSync(), ...b.dataSync()];
      tf.tidy(() =>
        optimizer.step([tf.ones([2, 3]), tf.ones([4])], { learningRate: 0.1, step: 0, gradientScale: 1, emaDecay: 1 }),
      );
      expect(await optimizer.withAverage(() => [...a.dataSync(), ...b.dataSync()])).toEqual(start);
      optimizer.dispose();
    }
  });

  it('notices a value assigned to the variable from outside', () => {
    const { a, optimizer } = setup();
    a.assign(tf.ones([2, 3]));
    tf.tidy(() => optimizer.step([tf.zeros([2, 3]), tf.zeros([4])], { learningRate: 0.1, step: 0, gradientScale: 1 }));
    expect(a.dataSync()[0]).toBeCloseTo(0.99, 6);
    optimizer.dispose();
  });

  it('leaves a clone of a variable at its old value', () => {
    const { a, optimizer, run } = setup();
    const clone = a.clone();
    const before = Array.from(a.dataSync());
    run(0, 2);
    expect(Array.from(clone.dataSync())).toEqual(before);
    expect(Array.from(a.dataSync())).not.toEqual(before);
    optimizer.dispose();
  });

  it('computes the global gradient norm', () => {
    const { optimizer } = setup();
    expect(optimizer.gradientNorm([tf.fill([2, 3], 2), tf.fill([4], 1)])).toBeCloseTo(Math.sqrt(28), 5);
    optimizer.dispose();
  });

  it('leaves the tensor count flat and frees everything on dispose', () => {
    const { optimizer, run } = setup({ ema: true });
    run(0, 1);
    const handles = () => (tf.backend() as any).binding.getNumOfTensors() as number;
    const before = [tf.memory().numTensors, handles()];
    tf.tidy(() => run(1, 6));
    expect([tf.memory().numTensors, handles()]).toEqual(before);
    optimizer.dispose();
    expect(tf.memory().numTensors).toBe(before[0]! - 2 * 4);
  });
});
