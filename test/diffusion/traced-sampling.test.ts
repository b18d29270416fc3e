import { describe, expect, it } from 'vitest';
import {
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  packCoefficients,
  type Scheduler,
  unpackCoefficients,
} from '../../src/diffusion/index.js';
import { compile, type Tensor, tf } from '../../src/engine/index.js';
import { distance, gaussian } from './helpers.js';

const shape = [1, 2, 4, 4, 3];

/** One traced step serves every timestep: the coefficients are its argument, the history goes in and out. */
function sampleTraced(
  scheduler: Scheduler,
  model: (x: Tensor) => Tensor,
  start: Tensor,
  noises: Tensor[],
  eta: number,
): Tensor {
  const step = compile((packed, x, noise, ...history) => {
    const out = scheduler.update(unpackCoefficients(scheduler, packed), model(x), x, { noise, history });
    return [out.prevSample, ...out.history];
  });
  let x = start;
  let history: Tensor[] = Array.from({ length: scheduler.historyLength }, () => tf.zeros(shape));
  for (const [i, t] of scheduler.timesteps.entries()) {
    const packed = tf.tensor1d(packCoefficients(scheduler, scheduler.coefficients(t, { eta })));
    [x, ...history] = step(packed, x, noises[i]!, ...history) as [Tensor, ...Tensor[]];
  }
  expect(step.traces).toHaveLength(1);
  step.dispose();
  return x;
}

describe('a compiled sampling step', () => {
  const cases: [string, Scheduler, number][] = [
    ['ddpm, thresholded', new DDPMScheduler({ thresholding: true, sample_max_value: 2 }), 0],
    ['ddpm, learned range', new DDPMScheduler({ variance_type: 'learned_range' }), 0],
    ['ddim, eta 0.5', new DDIMScheduler({ prediction_type: 'v_prediction' }), 0.5],
    ['dpmsolver++ order 2', new DPMSolverMultistepScheduler(), 0],
    ['dpmsolver order 3', new DPMSolverMultistepScheduler({ algorithm_type: 'dpmsolver', solver_order: 3 }), 0],
    ['sde-dpmsolver++', new DPMSolverMultistepScheduler({ algorithm_type: 'sde-dpmsolver++' }), 0],
  ];
  it.each(cases)('%s gives what the eager one gives', (_, scheduler, eta) => {
    scheduler.setTimesteps(8);
    const model = (x: Tensor) => {
      const prediction = tf.tanh(x.mul(0.7));
      return scheduler.learnsVariance ? tf.concat([prediction, x.mul(0.3)], -1) : prediction;
    };
    const [start, noises] = [gaussian(shape), scheduler.timesteps.map((_, i) => gaussian(shape, 20 + i))];
    let x = start;
    for (const [i, t] of scheduler.timesteps.entries()) {
      x = scheduler.step(model(x), t, x, { noise: noises[i], eta }).prevSample;
    }
    scheduler.reset();
    const traced = sampleTraced(scheduler, model, start, noises, eta);
    const size = x.abs().max().dataSync()[0]!;
    expect(distance(traced, x)).toBeLessThan(1e-4 * size);
  });
});
