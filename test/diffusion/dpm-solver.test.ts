import { describe, expect, it } from 'vitest';
import {
  type Algorithm,
  type NoiseLevel,
  type SolverType,
  solverStep,
} from '../../src/diffusion/dpm-solver-coefficients.js';
import { DDIMScheduler, DPMSolverMultistepScheduler } from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

/** A variance-preserving noise level from its half log-SNR. */
function level(lambda: number): NoiseLevel {
  const alpha = Math.sqrt(1 / (1 + Math.exp(-2 * lambda)));
  return { alpha, sigma: alpha * Math.exp(-lambda), lambda };
}

const VARIANCE = 0.3; // of the data, N(0, VARIANCE)
const marginal = ({ alpha, sigma }: NoiseLevel) => Math.sqrt(alpha ** 2 * VARIANCE + sigma ** 2);

/**
 * Error of the probability-flow ODE for Gaussian data, whose solution is x(λ) ∝ its marginal standard deviation, after
 * `steps` equal steps in λ. Everything in double. The start-up steps are replaced by the exact history.
 */
function odeError(algorithm: Algorithm, solverType: SolverType, order: number, steps: number): number {
  const [from, to] = [-1.5, 2.5];
  const grid = Array.from({ length: steps + 1 }, (_, i) => level(from + ((to - from) * i) / steps));
  const output = (x: number, at: NoiseLevel) =>
    algorithm === 'dpmsolver++' ? (at.alpha * VARIANCE * x) / marginal(at) ** 2 : (at.sigma * x) / marginal(at) ** 2;
  let x = marginal(grid[0]!);
  const outputs: number[] = [];
  for (let i = 0; i < steps; i++) {
    outputs.unshift(output(x, grid[i]!));
    if (i < order - 1) {
      x = marginal(grid[i + 1]!);
      continue;
    }
    const levels = Array.from({ length: order }, (_, k) => grid[i - k]!);
    const c = solverStep(algorithm, solverType, grid[i + 1]!, levels);
    x = c.sample * x + c.m0 * outputs[0]! + c.m1 * (outputs[1] ?? 0) + c.m2 * (outputs[2] ?? 0);
  }
  return Math.abs(x - marginal(grid[steps]!));
}

describe('solverStep', () => {
  const cases: [Algorithm, SolverType, number][] = (['dpmsolver++', 'dpmsolver'] as const).flatMap(algorithm => [
    [algorithm, 'midpoint', 1],
    [algorithm, 'midpoint', 2],
    [algorithm, 'heun', 2],
    [algorithm, 'midpoint', 3],
  ]);
  it.each(cases)('%s %s order %i converges', (algorithm, solverType, solverOrder) => {
    // Order 3 as released weighs the second derivative by half of what Taylor's formula asks for, so it stays at 2.
    const order = Math.min(solverOrder, 2);
    const rate = Math.log2(
      odeError(algorithm, solverType, solverOrder, 100) / odeError(algorithm, solverType, solverOrder, 200),
    );
    expect(rate).toBeGreaterThan(order - 0.15);
    expect(rate).toBeLessThan(order + 0.5);
  });

  it('more order is more exact at the same number of steps', () => {
    for (const algorithm of ['dpmsolver++', 'dpmsolver'] as const) {
      const [one, two, three] = [1, 2, 3].map(order => odeError(algorithm, 'midpoint', order, 40));
      expect(two).toBeLessThan(one! / 5);
      expect(three).toBeLessThan(two!);
    }
  });

  it('order 1 keeps x_0 and ε that do not change: one step from anywhere to anywhere is exact', () => {
    const [x0, epsilon, s, t] = [0.7, -0.4, level(-1), level(1.3)];
    const at = ({ alpha, sigma }: NoiseLevel) => alpha * x0 + sigma * epsilon;
    const data = solverStep('dpmsolver++', 'midpoint', t, [s]);
    expect(data.sample * at(s) + data.m0 * x0).toBeCloseTo(at(t), 12);
    const noise = solverStep('dpmsolver', 'midpoint', t, [s]);
    expect(noise.sample * at(s) + noise.m0 * epsilon).toBeCloseTo(at(t), 12);
  });

  it.each(['sde-dpmsolver++', 'sde-dpmsolver'] as const)(
    '%s keeps the marginal variance of Gaussian data',
    algorithm => {
      const steps = 4000;
      const grid = Array.from({ length: steps + 1 }, (_, i) => level(-1.5 + (4 * i) / steps));
      let variance = marginal(grid[0]!) ** 2;
      for (let i = 0; i < steps; i++) {
        const at = grid[i]!;
        const c = solverStep(algorithm, 'midpoint', grid[i + 1]!, [at]);
        const output = (algorithm === 'sde-dpmsolver++' ? at.alpha * VARIANCE : at.sigma) / marginal(at) ** 2;
        variance = (c.sample + c.m0 * output) ** 2 * variance + c.noise ** 2;
      }
      expect(variance).toBeCloseTo(marginal(grid[steps]!) ** 2, 3);
    },
  );

  it('order 2 weighs a constant output as order 1 does', () => {
    for (const algorithm of ['dpmsolver++', 'dpmsolver', 'sde-dpmsolver++', 'sde-dpmsolver'] as const) {
      for (const solverType of ['midpoint', 'heun'] as const) {
        const one = solverStep(algorithm, solverType, level(1), [level(0)]);
        const two = solverStep(algorithm, solverType, level(1), [level(0), level(-0.5)]);
        expect(two.m0 + two.m1).toBeCloseTo(one.m0, 12);
        expect(two.sample).toBe(one.sample);
        expect(two.noise).toBe(one.noise);
      }
    }
  });
});

describe('DPMSolverMultistepScheduler', () => {
  const shape = [2, 3, 4, 3];
  const run = (scheduler: DPMSolverMultistepScheduler, model: (x: Tensor, t: number) => Tensor, start: Tensor) => {
    let x = start;
    for (const t of scheduler.timesteps) x = scheduler.step(model(x, t), t, x).prevSample;
    return x;
  };

  it('solves the ODE of Gaussian data, better with more order', () => {
    const errors = [1, 2, 3].map(solver_order => {
      const scheduler = new DPMSolverMultistepScheduler({ solver_order, timestep_spacing: 'linspace' });
      scheduler.setTimesteps(200);
      const at = (t: number) => scheduler.schedule.alphasCumprod[t]!;
      const deviation = (t: number) => Math.sqrt(at(t) * VARIANCE + 1 - at(t));
      const z = gaussian(shape);
      const model = (x: Tensor, t: number) => x.mul(Math.sqrt(1 - at(t)) / deviation(t) ** 2);
      const x = run(scheduler, model, z.mul(deviation(scheduler.timesteps[0]!)));
      scheduler.reset();
      return distance(x, z.mul(deviation(0)));
    });
    expect(errors[0]).toBeLessThan(0.2);
    expect(errors[1]).toBeLessThan(errors[0]! / 2);
    expect(errors[2]).toBeLessThan(errors[1]!);
  });

  it('order 1 is DDIM', () => {
    const scheduler = new DPMSolverMultistepScheduler({ solver_order: 1 });
    const ddim = new DDIMScheduler({ clip_sample: false });
    const timesteps = [800, 600, 350, 90, 0];
    scheduler.setTimesteps({ timesteps: timesteps.slice(0, -1) });
    ddim.setTimesteps({ timesteps });
    const [x, output] = [gaussian(shape), gaussian(shape, 2)];
    for (const t of scheduler.timesteps) {
      expect(distance(scheduler.step(output, t, x).prevSample, ddim.step(output, t, x).prevSample)).toBeLessThan(1e-4);
    }
  });

  it('steps with the order that history and the end of a short walk allow', () => {
    const orders = (steps: number, config: object = {}) => {
      const scheduler = new DPMSolverMultistepScheduler({ solver_order: 3, ...config });
      scheduler.setTimesteps(steps);
      return scheduler.timesteps.map(t => {
        const { m1, m2 } = scheduler.coefficients(t);
        return m2 !== 0 ? 3 : m1 !== 0 ? 2 : 1;
      });
    };
    expect(orders(6)).toEqual([1, 2, 3, 3, 2, 1]);
    expect(orders(6, { lower_order_final: false })).toEqual([1, 2, 3, 3, 3, 3]);
    expect(orders(14).slice(-2)).toEqual([2, 1]);
    expect(orders(15).slice(-2)).toEqual([3, 3]);
    expect(orders(15, { final_sigmas_type: 'zero' }).slice(-2)).toEqual([3, 1]);
    const scheduler = new DPMSolverMultistepScheduler();
    scheduler.setTimesteps(20);
    // Started in the middle, as video-to-video does: no history yet.
    expect(scheduler.coefficients(scheduler.timesteps[8]!, { historyLength: 0 }).m1).toBe(0);
  });

  it('ends at timestep 0, or at the predicted x_0 with final_sigmas_type zero', () => {
    const x0 = gaussian(shape);
    for (const final_sigmas_type of ['sigma_min', 'zero']) {
      const scheduler = new DPMSolverMultistepScheduler({ final_sigmas_type });
      scheduler.setTimesteps(10);
      const epsilon = gaussian(shape, 2);
      const x = run(scheduler, () => epsilon, scheduler.addNoise(x0, epsilon, scheduler.timesteps[0]!));
      expect(distance(x, final_sigmas_type === 'zero' ? x0 : scheduler.addNoise(x0, epsilon, 0))).toBeLessThan(2e-3);
      scheduler.reset();
    }
    expect(() => new DPMSolverMultistepScheduler({ final_sigmas_type: 'zero', algorithm_type: 'dpmsolver' })).toThrow(
      /zero/,
    );
  });

  it('drops a learned variance', () => {
    const [plain, learned] = [null, 'learned_range'].map(variance_type => {
      const scheduler = new DPMSolverMultistepScheduler({ variance_type });
      scheduler.setTimesteps(5);
      return scheduler;
    }) as [DPMSolverMultistepScheduler, DPMSolverMultistepScheduler];
    const [x, output] = [gaussian(shape), gaussian(shape, 2)];
    const t = plain.timesteps[0]!;
    const doubled = tf.concat([output, gaussian(shape, 3)], -1);
    expect(distance(learned.step(doubled, t, x).prevSample, plain.step(output, t, x).prevSample)).toBe(0);
    expect(() => plain.step(doubled, t, x)).toThrow(/drop a learned variance/);
    plain.reset();
    learned.reset();
  });

  it('clips λ, walks Karras’ noise levels, survives zero terminal SNR', () => {
    const clipped = new DPMSolverMultistepScheduler({ beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1 });
    clipped.setTimesteps(10);
    const { alphasCumprod } = clipped.schedule;
    const lambda = (t: number) => 0.5 * Math.log(alphasCumprod[t]! / (1 - alphasCumprod[t]!));
    expect(lambda(clipped.timesteps[0]!)).toBeGreaterThanOrEqual(-5.1);
    expect(lambda(clipped.timesteps[0]! + 2)).toBeLessThan(-5.1);

    const karras = new DPMSolverMultistepScheduler({ use_karras_sigmas: true });
    karras.setTimesteps(10);
    expect(karras.timesteps[0]).toBe(999);
    expect(karras.timesteps.at(-1)).toBe(0);
    const roots = karras.timesteps.map(
      t => ((1 - karras.schedule.alphasCumprod[t]!) / karras.schedule.alphasCumprod[t]!) ** (1 / 14),
    );
    const gaps = roots.slice(1).map((root, i) => roots[i]! - root);
    for (const gap of gaps) expect(gap / gaps[0]!).toBeCloseTo(1, 1); // equal in σ^(1/7)

    const zero = new DPMSolverMultistepScheduler({ rescale_betas_zero_snr: true, prediction_type: 'v_prediction' });
    zero.setTimesteps(8);
    const x = run(zero, y => y.mul(0.1), gaussian(shape));
    expect(x.isFinite().all().dataSync()[0]).toBe(1);
    zero.reset();
  });

  it('keeps its history through an enclosing tidy, and nothing after reset', () => {
    const x = gaussian(shape);
    const before = tf.memory().numTensors;
    const scheduler = new DPMSolverMultistepScheduler({ solver_order: 3 });
    scheduler.setTimesteps(6);
    for (const t of scheduler.timesteps) {
      const { prevSample, predOriginalSample } = tf.tidy(() => ({ ...scheduler.step(x, t, x) }));
      tf.dispose([prevSample, predOriginalSample]);
    }
    expect(tf.memory().numTensors).toBe(before + 2);
    scheduler.reset();
    expect(tf.memory().numTensors).toBe(before);
    scheduler.setTimesteps(6);
    scheduler.step(x, scheduler.timesteps[0]!, x);
    scheduler.setTimesteps(6); // resets as well
    expectNoLeak(() => {
      const out = { ...scheduler.step(x, scheduler.timesteps[0]!, x) };
      scheduler.reset();
      return out;
    });
  });

  it('names what is missing', () => {
    const scheduler = new DPMSolverMultistepScheduler();
    scheduler.setTimesteps(20);
    const x = gaussian(shape);
    expect(() => scheduler.step(x, 3, x)).toThrow(/timestep 3 is not among/);
    const second = scheduler.coefficients(scheduler.timesteps[4]!);
    expect(() => scheduler.update(second, x, x)).toThrow(/order 2 needs 1 earlier outputs/);
    const crowded = new DPMSolverMultistepScheduler({ timestep_spacing: 'leading' });
    expect(() => crowded.setTimesteps(1000)).toThrow(/leading spacing cannot place 1000/);
    const sde = new DPMSolverMultistepScheduler({ algorithm_type: 'sde-dpmsolver++' });
    sde.setTimesteps(4);
    expect(() => sde.step(x, sde.timesteps[0]!, x)).toThrow(/pass \{ noise \}/);
  });
});
