import { describe, expect, it } from 'vitest';
import { cumprodFloat32, linspaceFloat32, roundHalfEven } from '../../src/diffusion/float32.js';
import { noiseSchedule, rescaleZeroTerminalSnr, signalToNoise } from '../../src/diffusion/noise-schedule.js';

describe('noiseSchedule', () => {
  it('linear runs from beta_start to beta_end in equal steps', () => {
    const { betas, alphasCumprod } = noiseSchedule();
    expect(betas).toHaveLength(1000);
    expect(betas[0]).toBe(Math.fround(1e-4));
    expect(betas[999]).toBe(Math.fround(0.02));
    expect(betas[500]! - betas[499]!).toBeCloseTo((0.02 - 1e-4) / 999, 8);
    // Ho et al. 2020: what is left of the signal at T is about 4e-5.
    expect(alphasCumprod[999]).toBeCloseTo(4.036e-5, 8);
  });

  it('scaled_linear is linear in the square root', () => {
    const { betas } = noiseSchedule({ betaSchedule: 'scaled_linear', betaStart: 0.00085, betaEnd: 0.012 });
    const roots = Array.from(betas, Math.sqrt);
    const step = (Math.sqrt(0.012) - Math.sqrt(0.00085)) / 999;
    for (const i of [0, 1, 333, 999]) expect(roots[i]).toBeCloseTo(Math.sqrt(0.00085) + i * step, 7);
  });

  it('squaredcos_cap_v2 follows cos² and caps beta at 0.999', () => {
    const { betas, alphasCumprod } = noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
    const cos2 = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
    for (const t of [0, 10, 400, 900]) expect(alphasCumprod[t]).toBeCloseTo(cos2((t + 1) / 1000) / cos2(0), 6);
    expect(betas[999]).toBe(Math.fround(0.999));
  });

  it('trained betas are taken as they are', () => {
    const { betas, alphasCumprod } = noiseSchedule({ numTrainTimesteps: 3, trainedBetas: [0.5, 0.25, 1] });
    expect([...betas]).toEqual([0.5, 0.25, 1]);
    expect([...alphasCumprod]).toEqual([0.5, 0.375, 0]);
  });

  it('sigmoid rises symmetrically between its ends', () => {
    const { betas } = noiseSchedule({ betaSchedule: 'sigmoid', numTrainTimesteps: 101 });
    expect(betas[50]).toBeCloseTo((1e-4 + 0.02) / 2, 7);
    expect(betas[0]! + betas[100]!).toBeCloseTo(1e-4 + 0.02, 7);
  });

  it('zero terminal SNR: the last timestep holds no signal, the first is unchanged', () => {
    const plain = noiseSchedule();
    const rescaled = noiseSchedule({ rescaleBetasZeroSnr: true });
    expect(rescaled.alphasCumprod[999]).toBe(0);
    expect(rescaled.betas[999]).toBe(1);
    expect(rescaled.alphasCumprod[0]).toBeCloseTo(plain.alphasCumprod[0]!, 6);
    expect(signalToNoise(rescaled)[999]).toBe(0);
    expect(signalToNoise(plain)[999]).toBeGreaterThan(0);
    expect(rescaleZeroTerminalSnr(plain.betas)).toEqual(rescaled.betas);
  });

  it('wrong settings are errors that name the value', () => {
    expect(() => noiseSchedule({ numTrainTimesteps: 0 })).toThrow(/num_train_timesteps is 0/);
    expect(() => noiseSchedule({ betaSchedule: 'cubic' as never })).toThrow(/"cubic"; allowed: linear/);
    expect(() => noiseSchedule({ numTrainTimesteps: 3, trainedBetas: [0.1] })).toThrow(/1 values .* is 3/);
    expect(() => noiseSchedule({ numTrainTimesteps: 2, trainedBetas: [0.1, 2] })).toThrow(/beta 1 .* is 2/);
  });
});

describe('float32 helpers', () => {
  it('round halves to even', () => {
    expect([0.5, 1.5, 2.5, 2.4, 2.6, -1.5, 3].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3, -2, 3]);
  });

  it('linspace hits both ends exactly', () => {
    for (const n of [2, 3, 10, 1000]) {
      const values = linspaceFloat32(0.1, 0.7, n);
      expect(values[0]).toBe(Math.fround(0.1));
      expect(values[n - 1]).toBe(Math.fround(0.7));
    }
    expect([...linspaceFloat32(3, 9, 1)]).toEqual([3]);
  });

  it('cumprod accumulates in double: a thousand factors stay within half a unit of the exact product', () => {
    const values = new Float32Array(1000).fill(Math.fround(0.999));
    const exact = Math.fround(0.999) ** 1000;
    expect(Math.abs(cumprodFloat32(values)[999]! - exact)).toBeLessThan(exact * 2 ** -23);
  });
});
