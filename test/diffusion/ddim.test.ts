import { describe, expect, it } from 'vitest';
import { DDIMScheduler, DDPMScheduler } from '../../src/diffusion/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

const shape = [2, 3, 4, 3];

describe('DDIMScheduler', () => {
  it('with the true noise and eta 0 stays on the line to x_0, in any number of steps that divides T', () => {
    const [x0, epsilon] = [gaussian(shape), gaussian(shape, 2)];
    for (const [prediction_type, steps] of [
      ['epsilon', 1],
      ['epsilon', 8],
      ['v_prediction', 10],
      ['sample', 50],
    ] as const) {
      const scheduler = new DDIMScheduler({ clip_sample: false, prediction_type, timestep_spacing: 'trailing' });
      scheduler.setTimesteps(steps);
      let x = scheduler.addNoise(x0, epsilon, scheduler.timesteps[0]!);
      for (const t of scheduler.timesteps) {
        const output = { epsilon, sample: x0, v_prediction: scheduler.getVelocity(x0, epsilon, t) }[prediction_type];
        x = scheduler.step(output, t, x).prevSample;
      }
      const end = scheduler.previousTimestep(scheduler.timesteps.at(-1)!);
      const target = end >= 0 ? scheduler.addNoise(x0, epsilon, end) : x0;
      // At t = 999 the signal is 0.6 % of the sample: float32 leaves that much less of x_0.
      expect(distance(x, target), `${prediction_type} ${steps}`).toBeLessThan(1e-4);
    }
  });

  it('with eta 1 is DDPM', () => {
    const [x, output, noise] = [gaussian(shape), gaussian(shape, 2), gaussian(shape, 3)];
    const [ddim, ddpm] = [new DDIMScheduler({ clip_sample: false }), new DDPMScheduler({ clip_sample: false })];
    ddim.setTimesteps(25);
    ddpm.setTimesteps(25);
    for (const t of [960, 480, 40]) {
      const a = ddim.step(output, t, x, { eta: 1, noise }).prevSample;
      const b = ddpm.step(output, t, x, { noise }).prevSample;
      expect(distance(a, b)).toBeLessThan(2e-5);
    }
  });

  it('noise grows with eta and is needed only then', () => {
    const x = gaussian(shape);
    const scheduler = new DDIMScheduler();
    scheduler.setTimesteps(10);
    expect(scheduler.coefficients(500).noise).toBe(0);
    expect(scheduler.coefficients(500, { eta: 0.5 }).noise).toBeCloseTo(
      scheduler.coefficients(500, { eta: 1 }).noise / 2,
      6,
    );
    expect(() => scheduler.step(x, 500, x, { eta: 0.5 })).toThrow(/pass \{ noise \}/);
    expect(() => scheduler.step(x, 500, x, { eta: 2 })).toThrow(/eta is 2/);
  });

  it('set_alpha_to_one decides where the last step lands', () => {
    const [x0, epsilon] = [gaussian(shape).clipByValue(-1, 1), gaussian(shape, 2)];
    for (const set_alpha_to_one of [true, false]) {
      const scheduler = new DDIMScheduler({ set_alpha_to_one });
      scheduler.setTimesteps(10);
      const x = scheduler.step(epsilon, 0, scheduler.addNoise(x0, epsilon, 0)).prevSample;
      const target = set_alpha_to_one ? x0 : scheduler.addNoise(x0, epsilon, 0);
      expect(distance(x, target)).toBeLessThan(1e-4);
    }
  });

  it('useClippedModelOutput makes the noise agree with the clipped x_0', () => {
    const scheduler = new DDIMScheduler({ prediction_type: 'epsilon' });
    scheduler.setTimesteps(10);
    const [x, output] = [gaussian(shape).mul(3), gaussian(shape, 2)];
    const { prevSample, predOriginalSample } = scheduler.step(output, 500, x, { useClippedModelOutput: true });
    const [alpha, sigma] = [500, 400].map(t => Math.sqrt(scheduler.schedule.alphasCumprod[t]!));
    const epsilon = x.sub(predOriginalSample.mul(alpha!)).div(Math.sqrt(1 - alpha! ** 2));
    const expected = predOriginalSample.mul(sigma!).add(epsilon.mul(Math.sqrt(1 - sigma! ** 2)));
    expect(distance(prevSample, expected)).toBeLessThan(1e-5);
    expect(distance(prevSample, scheduler.step(output, 500, x).prevSample)).toBeGreaterThan(0.1);
  });

  it('leaks nothing', () => {
    const scheduler = new DDIMScheduler({ thresholding: true, sample_max_value: 2 });
    const x = gaussian(shape);
    expectNoLeak(() => ({ ...scheduler.step(x, 500, x, { eta: 1, noise: x, useClippedModelOutput: true }) }));
  });
});
