import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { INCEPTION_SCORES, type InceptionScore, inceptionScore } from '../../src/eval/inception-score.js';
import { NumpyRandomState } from '../../src/eval/numpy-random.js';
import { uniform } from './features.js';

type Pair = [mean: number, std: number];

/** Made by test/reference/inception_score.py with numpy. */
const golden = JSON.parse(readFileSync(new URL('./inception-score.json', import.meta.url), 'utf8')) as {
  cases: ({ n: number; classes: number; scale: number } & Record<
    'tgan2' | 'tgan2 of 4 runs' | 'stylegan-v' | '3 splits',
    Pair
  >)[];
  orders: { n: number; seed: number; order: number[]; check?: number }[];
  words: number[];
};

describe('NumpyRandomState', () => {
  it('draws the words of numpy.random.RandomState', () => {
    const random = new NumpyRandomState(42);
    const words = Array.from({ length: 1300 }, () => random.uint32());
    expect([0, 1, 623, 624, 1299].map(i => words[i])).toEqual(golden.words);
  });

  it.each(golden.orders.map(one => [one.n, one.seed, one] as const))(
    'shuffles %i things with seed %i as numpy',
    (n, seed, one) => {
      const order = [...new NumpyRandomState(seed).permutation(n)];
      if (one.check === undefined) return expect(order).toEqual(one.order);
      expect([...order.slice(0, 20), ...order.slice(-20)]).toEqual(one.order);
      expect(order.reduce((sum, value, i) => sum + value * (i + 1), 0)).toBe(one.check);
    },
  );

  it('refuses seeds that numpy refuses', () => {
    expect(() => new NumpyRandomState(-1)).toThrow(/from 0 to 4294967295, got -1/);
    expect(() => new NumpyRandomState(2 ** 32)).toThrow(/got 4294967296/);
  });
});

describe('inceptionScore', () => {
  const near = ({ mean, std }: InceptionScore, expected: Pair) => {
    expect(Math.abs(mean / expected[0] - 1)).toBeLessThan(1e-9);
    expect(Math.abs(std - expected[1])).toBeLessThan(1e-9);
  };

  it.each(
    golden.cases.map(
      (one, i) => [`${one.n} samples of ${one.classes} classes, logits to ${one.scale / 2}`, i] as const,
    ),
  )('equals numpy: %s', (_, i) => {
    const { n, classes, scale, ...expected } = golden.cases[i]!;
    const logits = Float32Array.from(uniform(i + 1, n, classes), value => Math.fround(value) * scale);
    near(inceptionScore(logits, n, classes, INCEPTION_SCORES.tgan2), expected.tgan2);
    near(inceptionScore(logits, n, classes, INCEPTION_SCORES['stylegan-v']), expected['stylegan-v']);
    near(inceptionScore(logits, n, classes, { splits: 3 }), expected['3 splits']);
    const count = n - (n % 4);
    const runs = logits.subarray(0, count * classes);
    near(inceptionScore(runs, count, classes, { ...INCEPTION_SCORES.tgan2, repeats: 4 }), expected['tgan2 of 4 runs']);
  });

  it('is the number of classes where every class is there and certain, and 1 where all samples are alike', () => {
    const certain = new Float32Array(20 * 5);
    const alike = new Float32Array(20 * 5);
    for (let i = 0; i < 20; i++) {
      certain[i * 5 + (i % 5)] = 1e4; // probabilities underflow to 0
      alike[i * 5 + 2] = 3;
    }
    expect(inceptionScore(certain, 20, 5).mean).toBeCloseTo(5, 12);
    expect(inceptionScore(certain, 20, 5, INCEPTION_SCORES.tgan2).mean).toBeCloseTo(5, 12);
    expect(inceptionScore(alike, 20, 5).mean).toBeCloseTo(1, 12);
  });

  it('names what does not fit', () => {
    const logits = new Float32Array(12);
    expect(() => inceptionScore(logits, 5, 3)).toThrow(/12 logits are not 5 samples of 3 classes/);
    expect(() => inceptionScore(logits, 4, 3, { splits: 5 })).toThrow(/4 samples cannot be cut into 5 parts/);
    expect(() => inceptionScore(logits, 4, 3, { repeats: 3 })).toThrow(/4 samples are not 3 runs of equal length/);
    expect(() => inceptionScore(logits, 4, 3, { splits: 1.5 })).toThrow(/splits must be a positive integer, got 1.5/);
    logits[7] = Number.NaN;
    expect(() => inceptionScore(logits, 4, 3)).toThrow(/logit 1 of sample 2 \(counted from 0\) is NaN/);
  });
});
