/** Zero terminal SNR against numbers that diffusers 0.42 computed (test/reference/zero_snr.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DDPMScheduler, schedulerFromConfig } from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { samplerConfig } from '../../src/infer/scheduler.js';

interface Reference {
  shown: number[];
  start: number[];
  noise: number[];
  schedules: Record<string, { config: Record<string, unknown>; betas: number[]; alphas_cumprod: number[] }>;
  samplers: Record<string, { config: Record<string, unknown>; timesteps: number[]; steps: number[][] }>;
}
const reference = JSON.parse(readFileSync(new URL('zero-snr.json', import.meta.url), 'utf8')) as Reference;

describe('zero terminal SNR', () => {
  it.each(Object.entries(reference.schedules))('%s: betas and ᾱ are those of diffusers', (_, expected) => {
    const { schedule } = DDPMScheduler.fromConfig({ ...expected.config, rescale_betas_zero_snr: true });
    for (const [i, t] of reference.shown.entries()) {
      expect(Math.abs(schedule.betas[t]! - expected.betas[i]!)).toBeLessThan(1e-6);
      expect(Math.abs(schedule.alphasCumprod[t]! - expected.alphas_cumprod[i]!)).toBeLessThan(1e-6);
    }
    expect(schedule.alphasCumprod.at(-1)).toBe(0);
  });

  it.each(Object.entries(reference.samplers))(
    '%s: every step from pure noise is that of diffusers',
    (name, expected) => {
      const scheduler = schedulerFromConfig({ ...expected.config, _class_name: name });
      scheduler.setTimesteps(10);
      expect(scheduler.timesteps).toEqual(expected.timesteps);
      expect(scheduler.timesteps[0]).toBe(999);
      let x = tf.tensor2d([reference.start]);
      const noise = tf.tensor2d([reference.noise]);
      for (const [i, t] of scheduler.timesteps.entries()) {
        x = scheduler.step(x.tanh().mul(0.5).sub(0.1), t, x, { noise }).prevSample as typeof x;
        const values = Array.from(x.dataSync());
        const worst = Math.max(...values.map((value, k) => Math.abs(value - expected.steps[i]![k]!)));
        expect(worst, `after timestep ${t}`).toBeLessThan(1e-5);
      }
      scheduler.reset();
    },
  );

  it('makes every sampler begin at the last timestep, and no other schedule', () => {
    const trained = DDPMScheduler.fromConfig({ prediction_type: 'sample', rescale_betas_zero_snr: true }).toConfig();
    for (const name of ['ddim', 'dpmsolver++'] as const) {
      const scheduler = schedulerFromConfig(samplerConfig(trained, name));
      scheduler.setTimesteps(10);
      expect(scheduler.timesteps[0]).toBe(999);
    }
    const plain = samplerConfig(DDPMScheduler.fromConfig({}).toConfig(), 'ddim');
    expect('timestep_spacing' in plain).toBe(false);
  });
});
