import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  attention,
  compile,
  geglu,
  gelu,
  groupNorm,
  layerNorm,
  type NormActivation,
  silu,
  type Tensor,
  temporalAttention,
  tf,
} from '../../src/engine/index.js';
import { nativeKernels, withoutNativeKernels } from '../../src/engine/native-kernels.js';
import { nativeBackend } from '../../src/engine/raw.js';
import { sample } from './finite-difference.js';

type Op = (...xs: Tensor[]) => Tensor;

/** Value and gradients for a fixed random gradient of the value. */
function run(f: Op, inputs: Tensor[]): Float32Array[] {
  return tf.tidy(() => {
    const weight = sample(f(...inputs).shape, 99);
    const { value, grads } = tf.valueAndGrads(f)(inputs, weight);
    return [value, ...grads].map(t => t.dataSync() as Float32Array);
  });
}

/** Largest difference, relative to the largest value of `b` (at least 1e-2: gradients may be zero but for rounding). */
function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  let [most, size] = [0, 1e-2];
  for (let i = 0; i < a.length; i++) {
    most = Math.max(most, Math.abs(a[i]! - b[i]!));
    size = Math.max(size, Math.abs(b[i]!));
  }
  return most / size;
}

function expectSame(f: Op, inputs: Tensor[], what: string): void {
  const [value, ...grads] = run(f, inputs);
  const [wantedValue, ...wantedGrads] = withoutNativeKernels(() => run(f, inputs));
  expect(difference(value!, wantedValue!), `${what}: value`).toBeLessThan(1e-5);
  grads.forEach((g, i) => expect(difference(g, wantedGrads[i]!), `${what}: gradient ${i}`).toBeLessThan(1e-4));
}

const norm =
  (groups: number, act: NormActivation): Op =>
  (x, gamma, beta) =>
    groupNorm(x, gamma!, beta!, { groups, eps: 1e-5, act });

const one: Record<string, [Op, Tensor[]]> = {
  groupNorm: [norm(4, 'silu'), [sample([3, 300, 40]), sample([40], 2), sample([40], 3)]],
  'groupNorm of a video': [norm(8, 'gelu'), [sample([1, 5, 400, 32]), sample([32], 2), sample([32], 3)]],
  layerNorm: [(x, g, b) => layerNorm(x, g!, b!, 1e-5), [sample([700, 36]), sample([36], 2), sample([36], 3)]],
  silu: [silu, [sample([70_001])]],
  gelu: [gelu, [sample([70_001])]],
  geglu: [geglu, [sample([700, 74])]],
  attention: [
    (q, k, v) => attention(q, k!, v!, { heads: 2 }),
    [sample([2, 300, 40]), sample([2, 77, 40], 2), sample([2, 77, 40], 3)],
  ],
  'attention of one head': [
    (q, k, v) => attention(q, k!, v!, { heads: 1 }),
    [sample([1, 1000, 20]), sample([1, 70, 20], 2), sample([1, 70, 20], 3)],
  ],
  temporalAttention: [
    (q, k, v) => temporalAttention(q, k!, v!, { heads: 5 }),
    [sample([2, 8, 37, 50]), sample([2, 8, 37, 50], 2), sample([2, 8, 37, 50], 3)],
  ],
};

describe('availability', () => {
  it('follows the device and SHOW1_NATIVE_KERNELS', () => {
    expect(nativeKernels()).toBe(!nativeBackend().isUsingGpuDevice && process.env.SHOW1_NATIVE_KERNELS !== '0');
    withoutNativeKernels(() => expect(nativeKernels()).toBe(false));
  });
});

describe.runIf(nativeKernels())('native kernels equal the composed ops', () => {
  for (const act of ['none', 'silu', 'gelu'] as const) {
    for (const [shape, groups] of [
      [[2, 1, 32], 1],
      [[1, 3, 7, 32], 32],
      [[3, 257, 40], 4],
      [[1, 2, 613, 64], 32],
      [[2, 30, 320], 32],
      [[5, 2, 2, 4], 2],
    ] as const) {
      it(`groupNorm ${act} [${shape}] in ${groups} groups`, () => {
        const c = shape.at(-1)!;
        expectSame(norm(groups, act), [sample([...shape]), sample([c], 2), sample([c], 3)], act);
      });
    }
  }

  it('groupNorm with a scale and a shift for each sample', () => {
    const modulated: Op = (x, gamma, beta, scale, shift) =>
      groupNorm(x, gamma!, beta!, { groups: 4, eps: 1e-5, act: 'gelu', modulation: { scale: scale!, shift: shift! } });
    const inputs = [sample([3, 50, 24]), sample([24], 2), sample([24], 3), sample([3, 24], 4), sample([3, 24], 5)];
    expectSame(modulated, inputs, 'modulated');
    const plain = tf.tidy(() => {
      const [x, gamma, beta, scale, shift] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const y = groupNorm(x, gamma, beta, { groups: 4, eps: 1e-5 });
      return gelu(y.mul(scale.add(1).expandDims(1)).add(shift.expandDims(1))).dataSync() as Float32Array;
    });
    expect(difference(modulated(...inputs).dataSync() as Float32Array, plain)).toBeLessThan(1e-5);
  });

  for (const [rows, c] of [
    [1, 6],
    [33, 32],
    [1000, 37],
    [300, 320],
  ] as const) {
    it(`layerNorm [${rows}, ${c}]`, () =>
      expectSame((x, g, b) => layerNorm(x, g!, b!, 1e-5), [sample([rows, c]), sample([c], 2), sample([c], 3)], ''));
  }

  it('pointwise activations of any length', () => {
    for (const n of [1, 15, 16, 17, 40_000]) {
      expectSame(silu, [sample([n]).mul(5)], `silu ${n}`);
      expectSame(gelu, [sample([n]).mul(3)], `gelu ${n}`);
    }
    for (const d of [1, 8, 20, 64]) expectSame(geglu, [sample([30, 2 * d])], `geglu ${d}`);
  });

  for (const [b, lq, lk, heads, d] of [
    [2, 1, 5, 2, 8],
    [1, 37, 50, 3, 16],
    [2, 300, 16, 1, 20],
    [1, 65, 129, 2, 40],
    [3, 193, 257, 1, 64],
    [1, 700, 49, 2, 5],
    [1, 16, 640, 1, 80],
  ] as const) {
    it(`attention ${lq} x ${lk}, ${heads} heads of ${d}`, () => {
      const keys = [sample([b, lk, heads * d], 2), sample([b, lk, heads * d], 3)];
      expectSame((q, k, v) => attention(q, k!, v!, { heads }), [sample([b, lq, heads * d]), ...keys], '');
      expectSame((q, k, v) => attention(q, k!, v!, { heads, scale: 0.5 }), [sample([b, lq, heads * d]), ...keys], '');
    });
  }

  for (const f of [1, 2, 3, 5, 8, 16, 29, 64]) {
    it(`temporalAttention over ${f} frames`, () => {
      for (const [s, heads, d] of [
        [5, 2, 8],
        [16, 1, 5],
        [7, 5, 10],
        [3, 3, 20],
        [33, 1, 3],
        [2, 1, 40],
      ] as const) {
        const inputs = [1, 2, 3].map(seed => sample([f > 8 ? 1 : 2, f, s, heads * d], seed));
        expectSame((q, k, v) => temporalAttention(q, k!, v!, { heads }), inputs, `${s} pixels, ${heads} x ${d}`);
      }
    });
  }
});

describe.runIf(nativeKernels())('native kernels', () => {
  it('give the same bits every time, eager or compiled', () => {
    for (const [name, [f, inputs]] of Object.entries(one)) {
      const first = run(f, inputs);
      for (let i = 0; i < 3; i++) expect(run(f, inputs), name).toEqual(first);
      const compiled = compile((...xs) => [f(...xs)]);
      expect(compiled(...inputs)[0]!.dataSync(), name).toEqual(first[0]);
      compiled.dispose();
    }
  });

  it('give the same bits on any number of threads', () => {
    const digest = (threads: number) =>
      execFileSync(
        process.execPath,
        ['--import', 'tsx', fileURLToPath(new URL('native-kernels-digest.ts', import.meta.url))],
        { env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) }, encoding: 'utf8' },
      );
    const alone = digest(1);
    expect(alone).toMatch(/^[0-9a-f]{64}\s*$/);
    for (const threads of [2, 5]) expect(digest(threads)).toBe(alone);
  });

  it('let NaN through to the value and to every gradient', () => {
    for (const [name, [f, inputs]] of Object.entries(one)) {
      for (let i = 0; i < inputs.length; i++) {
        const values = inputs[i]!.dataSync().slice();
        values[values.length - 1] = Number.NaN;
        const spoilt = inputs.map((x, j) => (j === i ? tf.tensor(values, x.shape) : x));
        const [value, ...grads] = run(f, spoilt);
        expect(value!.some(Number.isNaN), `${name}: value, NaN in input ${i}`).toBe(true);
        // Only an offset leaves the gradient of the input as it was.
        const offset = name === 'layerNorm' && i === 2;
        expect(grads[0]!.some(Number.isNaN), `${name}: first gradient, NaN in input ${i}`).toBe(!offset);
      }
    }
  });

  it('keep infinity visible', () => {
    const at = (f: Op, x: number) => f(tf.tensor1d([x])).dataSync()[0]!;
    for (const f of [silu, gelu]) {
      expect(at(f, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
      expect(at(f, 1e30)).toBeCloseTo(1e30, -25);
      expect(at(f, -1e30)).toBeCloseTo(0, 30);
    }
  });

  it('know the exact GELU within 1e-6 and SiLU within 2e-6', () => {
    const x = tf.linspace(-12, 12, 24_001);
    const xs = x.dataSync();
    const erf = tf.erf(x.mul(Math.SQRT1_2)).dataSync(); // float32: good to about 1e-7
    gelu(x)
      .dataSync()
      .forEach((y, i) => {
        if (Math.abs(xs[i]!) < 4) expect(Math.abs(y - 0.5 * xs[i]! * (1 + erf[i]!))).toBeLessThan(1e-6);
      });
    silu(x)
      .dataSync()
      .forEach((y, i) => expect(Math.abs(y - xs[i]! / (1 + Math.exp(-xs[i]!)))).toBeLessThan(2e-6));
    // Tabulated values of x Φ(x), to 12 digits.
    for (const [at, value] of [
      [-5, -1.433257859696e-6],
      [-2, -4.550026389636e-2],
      [-0.5, -1.542687693658e-1],
      [1, 8.413447460685e-1],
      [3, 2.995950305905],
    ] as const) {
      expect(Math.abs(gelu(tf.tensor1d([at])).dataSync()[0]! - value)).toBeLessThan(
        4e-7 * Math.max(1, Math.abs(value)),
      );
    }
  });

  it('stay exact under a mean a thousand times the spread', () => {
    const [n, s, c, groups] = [1, 500, 32, 4];
    const x = sample([n, s, c]).add(1000);
    const values = x.dataSync();
    const y = groupNorm(x, tf.ones([c]), tf.zeros([c]), { groups, eps: 1e-5 }).dataSync();
    const z = layerNorm(x, tf.ones([c]), tf.zeros([c]), 1e-5).dataSync();
    const standard = (indices: number[]) => {
      const mean = indices.reduce((sum, i) => sum + values[i]!, 0) / indices.length;
      const variance = indices.reduce((sum, i) => sum + (values[i]! - mean) ** 2, 0) / indices.length;
      return indices.map(i => [i, (values[i]! - mean) / Math.sqrt(variance + 1e-5)] as const);
    };
    const all = values.length;
    for (let g = 0; g < groups; g++) {
      const group = Array.from({ length: all }, (_, i) => i).filter(i => Math.floor((i % c) / (c / groups)) === g);
      for (const [i, wanted] of standard(group)) expect(Math.abs(y[i]! - wanted)).toBeLessThan(1e-4);
    }
    const row = Array.from({ length: c }, (_, i) => 7 * c + i);
    for (const [i, wanted] of standard(row)) expect(Math.abs(z[i]! - wanted)).toBeLessThan(1e-4);
  });

  it('do not write into a tensor that is used again', () => {
    const reuse = compile(x => [silu(x), gelu(x), x.add(0), layerNorm(x, tf.ones([8]), tf.zeros([8]), 1e-5)]);
    const x = sample([4, 8]);
    const before = x.dataSync().slice();
    const [a, b, c] = reuse(x);
    expect(x.dataSync()).toEqual(before);
    expect(c!.dataSync()).toEqual(before);
    expect(a!.dataSync()).toEqual(silu(tf.tensor(before, [4, 8])).dataSync());
    expect(b!.dataSync()).toEqual(gelu(tf.tensor(before, [4, 8])).dataSync());
    reuse.dispose();
  });

  it('refuse shapes that do not fit, naming the op', () => {
    const call = (name: string, inputs: Tensor[], attrs: unknown[]) =>
      nativeBackend().executeSingleOutput(name, attrs as never, inputs);
    expect(() =>
      call('Show1ActivationGrad', [sample([3]), sample([4])], [{ name: 'activation', type: 0, value: 'silu' }]),
    ).toThrow(/Show1ActivationGrad.*differ in shape.*\[3\].*\[4\]/);
  });
});
