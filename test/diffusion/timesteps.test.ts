import { describe, expect, it } from 'vitest';
import {
  sampleTimesteps,
  sampleTimestepsTensor,
  type TimestepSampling,
  timestepNoise,
  timestepProbabilities,
} from '../../src/diffusion/index.js';
import { compile, tf } from '../../src/engine/index.js';
import { expectNoLeak, normals, uniforms } from './helpers.js';

const SAMPLINGS: TimestepSampling[] = [
  { kind: 'uniform', max: 1000 },
  { kind: 'uniform', min: 100, max: 900 },
  { kind: 'power', power: 3, max: 1000 },
  { kind: 'power', power: 0.5, max: 900 },
  { kind: 'logit-normal', mean: 0, std: 1, max: 1000 },
  { kind: 'logit-normal', mean: 1.5, std: 0.5, min: 10, max: 500 },
  { kind: 'shifted', shift: 3, max: 1000 },
  { kind: 'shifted', shift: 0.5, max: 50 },
];
const random = (sampling: TimestepSampling, n: number) =>
  timestepNoise(sampling) === 'normal' ? normals(n, 5) : uniforms(n, 5);

describe('timestep sampling', () => {
  it.each(SAMPLINGS)('%o: the histogram follows the density', sampling => {
    const n = 200_000;
    const [bins, max] = [20, sampling.max];
    const counts = new Float64Array(bins);
    for (const t of sampleTimesteps(sampling, random(sampling, n))) counts[Math.floor((t * bins) / max)]!++;
    const expected = new Float64Array(bins);
    timestepProbabilities(sampling).forEach((p, t) => {
      expected[Math.floor((t * bins) / max)]! += p * n;
    });
    expect(expected.reduce((a, b) => a + b) / n).toBeCloseTo(1, 12);
    for (let i = 0; i < bins; i++) {
      // Five standard deviations of the count.
      expect(Math.abs(counts[i]! - expected[i]!), `bin ${i}`).toBeLessThanOrEqual(5 * Math.sqrt(expected[i]! + 1));
    }
  });

  it.each(SAMPLINGS)('%o: tensors and arrays agree, in range', sampling => {
    const numbers = Float32Array.from(random(sampling, 5000));
    const list = sampleTimesteps(sampling, numbers);
    const tensor = sampleTimestepsTensor(sampling, tf.tensor1d(numbers));
    expect(tensor.dtype).toBe('int32');
    const values = tensor.dataSync();
    // Float32 may land on the other side of an integer.
    expect(list.every((t, i) => Math.abs(t - values[i]!) <= 1)).toBe(true);
    expect(list.filter((t, i) => t !== values[i]).length).toBeLessThan(50);
    for (const drawn of [list, values]) {
      expect(Math.min(...drawn)).toBeGreaterThanOrEqual(sampling.min ?? 0);
      expect(Math.max(...drawn)).toBeLessThan(sampling.max);
    }
  });

  it('power 3 has density ∝ t², logit-normal its mode in the middle, shift moves mass to high noise', () => {
    const power = timestepProbabilities({ kind: 'power', power: 3, max: 1000 });
    expect(power[800]! / power[400]!).toBeCloseTo(4, 1);
    const logit = timestepProbabilities({ kind: 'logit-normal', mean: 0, std: 1, max: 1000 });
    expect(logit[500]! / logit[50]!).toBeGreaterThan(3);
    expect(logit[300]).toBeCloseTo(logit[699]!, 12);
    const mean = (p: Float64Array) => p.reduce((sum, q, t) => sum + q * t, 0);
    expect(mean(timestepProbabilities({ kind: 'shifted', shift: 3, max: 1000 }))).toBeGreaterThan(640);
    expect(timestepProbabilities({ kind: 'shifted', shift: 1, max: 4 })).toEqual(
      Float64Array.of(0.25, 0.25, 0.25, 0.25),
    );
  });

  it('extreme random numbers stay in range', () => {
    for (const sampling of SAMPLINGS) {
      const numbers = timestepNoise(sampling) === 'normal' ? [-40, 40] : [0, 1 - 2 ** -24];
      const [low, high] = sampleTimesteps(sampling, numbers);
      expect(low).toBe(sampling.min ?? 0);
      expect(high).toBe(sampling.max - 1);
      expect([...sampleTimestepsTensor(sampling, tf.tensor1d(numbers)).dataSync()]).toEqual([low, high]);
    }
  });

  it('works in a traced graph', () => {
    const traced = compile(x => [sampleTimestepsTensor({ kind: 'power', power: 3, max: 900 }, x)]);
    const numbers = [0.0012, 0.5, 0.999];
    const expected = sampleTimesteps({ kind: 'power', power: 3, max: 900 }, numbers);
    expect([...traced(tf.tensor1d(numbers))[0]!.dataSync()]).toEqual([...expected]);
    traced.dispose();
  });

  it('refuses impossible settings', () => {
    const draw = (sampling: object) => () => sampleTimesteps(sampling as TimestepSampling, [0.5]);
    expect(draw({ kind: 'power', power: 0, max: 10 })).toThrow(/power is 0; it must be positive/);
    expect(draw({ kind: 'shifted', max: 10 })).toThrow(/shift is undefined/);
    expect(draw({ kind: 'logit-normal', mean: Number.NaN, std: 1, max: 10 })).toThrow(/mean is NaN/);
    expect(draw({ kind: 'uniform', min: 10, max: 10 })).toThrow(/\[10, 10\)/);
    expect(draw({ kind: 'cosmap', max: 10 })).toThrow(/"cosmap"; allowed: uniform/);
  });

  it('leaks nothing', () => {
    const x = tf.tensor1d([0.1, 0.9]);
    for (const sampling of SAMPLINGS) expectNoLeak(() => sampleTimestepsTensor(sampling, x));
  });
});
