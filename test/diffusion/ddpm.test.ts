import { describe, expect, it } from 'vitest';
import { DDPMScheduler, VARIANCE_TYPES } from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

const plain = { clip_sample: false };

describe('DDPMScheduler', () => {
  it('the mean and variance of a step are the posterior of Bayes’ rule', () => {
    // q(x_s | x_t, x_0) ∝ q(x_t | x_s) q(x_s | x_0): two Gaussians in x_s, multiplied.
    const scheduler = new DDPMScheduler({ ...plain, prediction_type: 'sample' });
    scheduler.setTimesteps(20);
    const [t, s] = [450, 400];
    const bar = (i: number) => scheduler.schedule.alphasCumprod[i]!;
    const [x0, xt] = [0.3, -1.1];
    const a = Math.sqrt(bar(t) / bar(s));
    const [varFromXt, varFromX0] = [(1 - bar(t) / bar(s)) / a ** 2, 1 - bar(s)];
    const precision = 1 / varFromXt + 1 / varFromX0;
    const mean = (xt / a / varFromXt + (Math.sqrt(bar(s)) * x0) / varFromX0) / precision;
    const step = (noise: number) =>
      scheduler
        .step(tf.tensor2d([[x0]]), t, tf.tensor2d([[xt]]), { noise: tf.tensor2d([[noise]]) })
        .prevSample.dataSync()[0]!;
    expect(step(0)).toBeCloseTo(mean, 6);
    expect(step(1) - step(0)).toBeCloseTo(Math.sqrt(1 / precision), 6);
  });

  it('samples a Gaussian with its own variance when the model is exact and the steps are many', () => {
    // Data N(0, s²): E[ε | x_t] = σ x_t / (α² s² + σ²). Every step is linear, so the variance is carried exactly.
    const dataVariance = 0.25;
    const error = (steps: number) => {
      const scheduler = new DDPMScheduler(plain);
      scheduler.setTimesteps(steps);
      let variance = 1;
      for (const t of scheduler.timesteps) {
        const alphaBar = scheduler.schedule.alphasCumprod[t]!;
        const c = scheduler.coefficients(t);
        const x0 = (1 - c.sigma * (c.sigma / (alphaBar * dataVariance + 1 - alphaBar))) / c.alpha;
        variance = (c.x0 * x0 + c.sample) ** 2 * variance + c.noise ** 2;
      }
      return Math.abs(variance - dataVariance);
    };
    expect(error(1000)).toBeLessThan(0.005);
    expect(error(1000)).toBeLessThan(0.6 * error(500));
    expect(error(500)).toBeLessThan(0.6 * error(250));
  });

  it('epsilon, sample and v predictions of the same x_0 give the same step', () => {
    const [x0, epsilon, noise] = [gaussian([2, 3, 3, 3]), gaussian([2, 3, 3, 3], 2), gaussian([2, 3, 3, 3], 3)];
    const results = (['epsilon', 'sample', 'v_prediction'] as const).map(prediction_type => {
      const scheduler = new DDPMScheduler({ ...plain, prediction_type });
      scheduler.setTimesteps(10);
      const xt = scheduler.addNoise(x0, epsilon, 500);
      const output = { epsilon, sample: x0, v_prediction: scheduler.getVelocity(x0, epsilon, 500) }[prediction_type];
      return scheduler.step(output, 500, xt, { noise });
    });
    for (const { prevSample, predOriginalSample } of results) {
      expect(distance(predOriginalSample, x0)).toBeLessThan(1e-5);
      expect(distance(prevSample, results[1]!.prevSample)).toBeLessThan(1e-5);
    }
  });

  it('the variance types order as they should', () => {
    const spread = (variance_type: string, variance?: number) => {
      const scheduler = new DDPMScheduler({ ...plain, variance_type });
      scheduler.setTimesteps(10);
      const [x, one] = [gaussian([1, 2, 2, 3]), tf.ones([1, 2, 2, 3])];
      const output = variance === undefined ? x : tf.concat([x, tf.fill([1, 2, 2, 3], variance)], -1);
      const at = (noise: Tensor) => scheduler.step(output, 700, x, { noise }).prevSample;
      return at(one)
        .sub(at(tf.zerosLike(one)))
        .mean()
        .dataSync()[0]!;
    };
    const [small, large] = [spread('fixed_small'), spread('fixed_large')];
    expect(small).toBeLessThan(large);
    expect(spread('fixed_small_log')).toBeCloseTo(small, 5);
    expect(spread('fixed_large_log')).toBeCloseTo(large, 5);
    // v = -1 is the lower bound, v = 1 the upper, v = 0 their geometric mean.
    expect(spread('learned_range', -1)).toBeCloseTo(small, 5);
    expect(spread('learned_range', 1)).toBeCloseTo(large, 5);
    expect(spread('learned_range', 0)).toBeCloseTo(Math.sqrt(small * large), 5);
    expect(spread('learned', 0.49)).toBeCloseTo(0.7, 5);
    expect(VARIANCE_TYPES).toHaveLength(6);
  });

  it('clips or thresholds x_0', () => {
    const [x, output] = [gaussian([2, 4, 4, 3]).mul(4), gaussian([2, 4, 4, 3], 2)];
    const predict = (config: object) =>
      new DDPMScheduler({ ...config, prediction_type: 'sample' }).step(output.mul(3), 0, x).predOriginalSample;
    expect(distance(predict({ clip_sample_range: 2 }), output.mul(3).clipByValue(-2, 2))).toBe(0);
    expect(distance(predict({ clip_sample: false }), output.mul(3))).toBe(0);
    const thresholded = predict({ thresholding: true, sample_max_value: 10, dynamic_thresholding_ratio: 0.9 });
    expect(thresholded.abs().max().dataSync()[0]).toBeCloseTo(1, 6);
    // Thresholding scales, clipping at 1 saturates: fewer values sit at the bound.
    const atBound = (y: Tensor) =>
      y
        .abs()
        .greaterEqual(1 - 1e-6)
        .sum()
        .dataSync()[0]!;
    expect(atBound(thresholded)).toBeLessThan(atBound(predict({ clip_sample_range: 1 })));
  });

  it('the last step adds no noise; earlier ones ask for it', () => {
    const scheduler = new DDPMScheduler();
    scheduler.setTimesteps(4);
    expect(scheduler.timesteps).toEqual([750, 500, 250, 0]);
    const x = gaussian([1, 2, 2, 3]);
    expect(distance(scheduler.step(x, 0, x, { noise: x }).prevSample, scheduler.step(x, 0, x).prevSample)).toBe(0);
    expect(() => scheduler.step(x, 250, x)).toThrow(/pass \{ noise \} of shape \[1,2,2,3\]/);
  });

  it('walks custom timesteps, each to the next in the list', () => {
    const scheduler = new DDPMScheduler();
    scheduler.setTimesteps({ timesteps: [900, 100, 3] });
    expect([900, 100, 3].map(t => scheduler.previousTimestep(t))).toEqual([100, 3, -1]);
    expect(() => scheduler.previousTimestep(50)).toThrow(/50 is not among/);
    scheduler.setTimesteps(4);
    expect(scheduler.previousTimestep(750)).toBe(500);
    for (const timesteps of [[3, 5], [1000, 1], [], [2, 2], [1.5]]) {
      expect(() => scheduler.setTimesteps({ timesteps })).toThrow(/timestep/);
    }
    expect(() => scheduler.setTimesteps(1001)).toThrow(/1001; .* 1 to 1000/);
    expect(() => scheduler.setTimesteps(0)).toThrow(/is 0/);
  });

  it('names a model output of the wrong shape', () => {
    const x = gaussian([1, 2, 2, 3]);
    const doubled = tf.concat([x, x], -1);
    expect(() => new DDPMScheduler().step(doubled, 0, x)).toThrow(
      /\[1,2,2,6\].*needs \[1,2,2,3\]; drop a learned variance/,
    );
    expect(() => new DDPMScheduler({ variance_type: 'learned_range' }).step(x, 0, x)).toThrow(/needs \[1,2,2,6\]/);
  });

  it('gives the same step for channels first and last, frames folded or not', () => {
    const scheduler = new DDPMScheduler({ thresholding: true, sample_max_value: 2, variance_type: 'learned_range' });
    scheduler.setTimesteps(10);
    const [x, output, noise] = [gaussian([2, 3, 4, 5, 3]), gaussian([2, 3, 4, 5, 6], 2), gaussian([2, 3, 4, 5, 3], 3)];
    const video = scheduler.step(output, 800, x, { noise }).prevSample;
    const fold = (y: Tensor) => y.reshape([6, 4, 5, -1]);
    const first = (y: Tensor) => fold(y).transpose([0, 3, 1, 2]);
    const folded = scheduler.step(fold(output), 800, fold(x), { noise: fold(noise) }).prevSample;
    const channelsFirst = scheduler.step(first(output), 800, first(x), {
      noise: first(noise),
      channelAxis: 1,
    }).prevSample;
    expect(distance(folded.reshape(video.shape), video)).toBe(0);
    expect(distance(channelsFirst, first(video))).toBeLessThan(1e-6);
    const ncfhw = x.transpose([0, 4, 1, 2, 3]);
    expect(() =>
      scheduler.step(output.transpose([0, 4, 1, 2, 3]), 800, ncfhw, { noise: ncfhw, channelAxis: 1 }),
    ).toThrow(/thresholding works on frames/);
  });

  it('with zero terminal SNR, an epsilon prediction at the last timestep is an error, v is not', () => {
    const x = gaussian([1, 2, 2, 3]);
    const config = { ...plain, rescale_betas_zero_snr: true, timestep_spacing: 'trailing' };
    expect(() => new DDPMScheduler(config).step(x, 999, x, { noise: x })).toThrow(/999 holds no signal/);
    const v = new DDPMScheduler({ ...config, prediction_type: 'v_prediction' });
    v.setTimesteps(5);
    expect(distance(v.step(x, 999, x, { noise: x }).predOriginalSample, x.neg())).toBe(0);
  });

  it('leaks nothing, and returns tensors of its own', () => {
    const scheduler = new DDPMScheduler({ ...plain, prediction_type: 'sample' });
    const x = gaussian([1, 2, 2, 3]);
    expectNoLeak(() => ({ ...scheduler.step(x, 500, x, { noise: x }) }));
    expectNoLeak(() => [scheduler.addNoise(x, x, 3), scheduler.getVelocity(x, x, [3])]);
    expect(x.isDisposed).toBe(false);
  });
});
