/** DPM-Solver and DPM-Solver++ (Lu et al. 2022), multistep, orders 1 to 3, as diffusers 0.19.3 runs them. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { karrasTimesteps, type NoiseLevel, solverStep } from './dpm-solver-coefficients.js';
import { solverFields } from './dpm-solver-config.js';
import { f32 } from './float32.js';
import { noiseRoots, signalRoots } from './forward-process.js';
import type { NoiseSchedule } from './noise-schedule.js';
import {
  type Coefficients,
  Scheduler,
  type StepOptions,
  type StepOutput,
  type UpdateInputs,
  type UpdateOutput,
} from './scheduler.js';
import { readSchedulerConfig } from './scheduler-file.js';
import { predictEpsilon, predictX0, scaledNoise, splitVariance } from './step-math.js';
import { limitSample } from './thresholding.js';
import { solverTimesteps } from './timestep-spacing.js';

const NAMES = ['alpha', 'sigma', 'sample', 'm0', 'm1', 'm2', 'noise'] as const;
type Name = (typeof NAMES)[number];

/** Below this number of steps `lower_order_final` takes effect. */
const FEW_STEPS = 15;

/**
 * The walk ends at timestep 0, not at σ = 0, unless `final_sigmas_type` is `zero` (a later diffusers option). With
 * `variance_type` learned or learned_range the second half of the model's output is dropped. The solver keeps its last
 * outputs between calls of `step`; `setTimesteps` and `reset` drop them. `update` keeps nothing: pass `history`.
 */
export class DPMSolverMultistepScheduler extends Scheduler<typeof solverFields> {
  override readonly coefficientNames = NAMES;
  override readonly historyLength: number;
  readonly #alphas: Float32Array;
  readonly #sigmas: Float32Array;
  readonly #lambdas: Float32Array;
  #history: Tensor[] = [];

  /** Takes diffusers' JSON config, or the same keys in camelCase. Throws `InputError` on a wrong value. */
  constructor(config: Record<string, unknown> = {}) {
    super('DPMSolverMultistepScheduler', solverFields, config);
    const { solverOrder, algorithmType, finalSigmasType } = this.config;
    if (solverOrder === 3 && algorithmType.startsWith('sde-')) {
      throw new InputError(`solver_order 3 has no ${algorithmType} form; use solver_order 1 or 2`, {
        code: 'diffusion.solver-order',
        algorithmType,
      });
    }
    if (finalSigmasType === 'zero' && !algorithmType.endsWith('++')) {
      throw new InputError(
        `final_sigmas_type "zero" needs dpmsolver++ or sde-dpmsolver++, not ${algorithmType}; use "sigma_min"`,
        {
          code: 'diffusion.final-sigmas',
          algorithmType,
        },
      );
    }
    this.historyLength = solverOrder - 1;
    const schedule = withSignal(this.schedule);
    this.#alphas = signalRoots(schedule);
    this.#sigmas = noiseRoots(schedule);
    this.#lambdas = this.#alphas.map((alpha, t) => f32(Math.log(alpha)) - f32(Math.log(this.#sigmas[t]!)));
  }

  static fromConfig(config: Record<string, unknown>): DPMSolverMultistepScheduler {
    return new DPMSolverMultistepScheduler(config);
  }

  /** Reads `dir/scheduler_config.json` (`dir/subfolder/…` in a pipeline's folder). */
  static async fromPretrained(dir: string, { subfolder = '' } = {}): Promise<DPMSolverMultistepScheduler> {
    return new DPMSolverMultistepScheduler(await readSchedulerConfig(dir, subfolder));
  }

  override get learnsVariance(): boolean {
    return this.config.varianceType?.startsWith('learned') ?? false;
  }

  /** As in the base; duplicates that rounding makes are removed, so there may be fewer timesteps than asked for. */
  override setTimesteps(steps: number | { timesteps: readonly number[] }): void {
    this.reset();
    if (typeof steps === 'object') {
      this.timesteps = this.checkTimesteps(steps.timesteps);
      return;
    }
    this.checkSteps(steps);
    const { timestepSpacing, numTrainTimesteps, stepsOffset, lambdaMinClipped, useKarrasSigmas } = this.config;
    if (useKarrasSigmas) {
      const { alphasCumprod } = withSignal(this.schedule);
      const sigmas = alphasCumprod.map(alpha => Math.sqrt(f32(f32(1 - alpha) / alpha)));
      this.timesteps = [...new Set(karrasTimesteps(sigmas, steps))];
      return;
    }
    // λ falls with t: the timesteps whose λ is below the clip are the last ones.
    const clipped = this.#lambdas.reduce(
      (count, lambda) => count + (lambda < (lambdaMinClipped ?? -Infinity) ? 1 : 0),
      0,
    );
    const last = numTrainTimesteps - clipped;
    if (timestepSpacing === 'leading' && last < steps + 1) {
      throw new InputError(
        `leading spacing cannot place ${steps} steps and an end on ${last} timesteps; use fewer steps or linspace`,
        { code: 'diffusion.inference-steps', value: steps, timesteps: last },
      );
    }
    const timesteps = solverTimesteps(timestepSpacing, numTrainTimesteps, last, steps, stepsOffset);
    this.timesteps = this.checkTimesteps(timesteps);
  }

  /**
   * The constants of the step from timestep `t`. `historyLength` is how many outputs exist from earlier steps (default:
   * as if sampling began at `timesteps[0]`).
   */
  override coefficients(t: number, { historyLength }: { historyLength?: number } = {}): Coefficients<Name, number> {
    const { algorithmType, solverType, finalSigmasType } = this.config;
    const index = this.timesteps.indexOf(t);
    if (index < 0) {
      throw new InputError(`timestep ${t} is not among the timesteps set: ${this.timesteps.join(', ')}`, {
        code: 'diffusion.timestep',
        value: t,
      });
    }
    const order = this.#order(index, historyLength ?? index);
    const levels = Array.from({ length: order }, (_, i) => this.#level(this.timesteps[index - i]!));
    const isLast = index === this.timesteps.length - 1;
    const target =
      isLast && finalSigmasType === 'zero'
        ? { alpha: 1, sigma: 0, lambda: Number.POSITIVE_INFINITY }
        : this.#level(isLast ? 0 : this.timesteps[index + 1]!);
    return {
      alpha: this.#alphas[t]!,
      sigma: this.#sigmas[t]!,
      ...solverStep(algorithmType, solverType, target, levels),
    };
  }

  override step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    const coefficients = this.coefficients(t, { historyLength: this.#history.length });
    const inputs = { ...options, history: this.#history };
    const { prevSample, predOriginalSample, history } = this.update(coefficients, modelOutput, sample, inputs);
    // An enclosing tidy must not take what the next step needs.
    const dropped = this.#history.filter(tensor => !history.includes(tensor));
    for (const tensor of history) tf.keep(tensor);
    tf.dispose(dropped);
    this.#history = history;
    return { prevSample, predOriginalSample };
  }

  override update(c: Coefficients<Name>, modelOutput: Tensor, sample: Tensor, inputs: UpdateInputs = {}): UpdateOutput {
    const { noise, history = [], channelAxis = -1 } = inputs;
    return tf.tidy(() => {
      const [output] = splitVariance(
        modelOutput,
        sample,
        this.learnsVariance,
        channelAxis,
        'DPMSolverMultistepScheduler',
      );
      const { m0, x0 } = this.#convert(c, output, sample, channelAxis);
      let prevSample = tf.add(tf.mul(sample, c.sample), tf.mul(m0, c.m0));
      for (const [i, factor] of [c.m1, c.m2].slice(0, this.historyLength).entries()) {
        if (factor !== 0) prevSample = tf.add(prevSample, tf.mul(this.#earlier(history, i), factor));
      }
      const added = scaledNoise(c.noise, noise, sample, 'DPMSolverMultistepScheduler');
      if (added) prevSample = tf.add(prevSample, added);
      // The history must outlive predOriginalSample, so they never share a tensor.
      const kept = this.historyLength > 0 ? [m0 === x0 ? tf.clone(m0) : m0] : [];
      return { prevSample, predOriginalSample: x0, history: [...kept, ...history].slice(0, this.historyLength) };
    });
  }

  /** Drops the kept outputs of earlier steps and their memory. */
  override reset(): void {
    tf.dispose(this.#history);
    this.#history = [];
  }

  // The integrand: x_0 for the ++ algorithms, ε for the others, both after thresholding.
  #convert(c: Coefficients<Name>, output: Tensor, sample: Tensor, channelAxis: number): { m0: Tensor; x0: Tensor } {
    const { predictionType, algorithmType, thresholding } = this.config;
    const x0 = limitSample(predictX0(predictionType, output, sample, c.alpha, c.sigma), this.config, channelAxis);
    if (algorithmType.endsWith('++')) return { m0: x0, x0 };
    const m0 = thresholding
      ? predictEpsilon('sample', x0, sample, c.alpha, c.sigma)
      : predictEpsilon(predictionType, output, sample, c.alpha, c.sigma);
    return { m0: m0 === output ? tf.clone(m0) : m0, x0 };
  }

  #earlier(history: readonly Tensor[], i: number): Tensor {
    const output = history[i];
    if (output) return output;
    throw new InputError(
      `this step of order ${i + 2} needs ${i + 1} earlier outputs in \`history\`, which holds ${history.length}; ` +
        'pass what the last update returned (zeros at the start of a traced loop)',
      { code: 'diffusion.history', length: history.length },
    );
  }

  #order(index: number, historyLength: number): number {
    const { solverOrder, lowerOrderFinal, finalSigmasType } = this.config;
    const left = this.timesteps.length - index; // steps left, this one included
    const few = lowerOrderFinal && this.timesteps.length < FEW_STEPS;
    const byEnd = left === 1 && finalSigmasType === 'zero' ? 1 : few ? left : solverOrder;
    return Math.min(solverOrder, historyLength + 1, index + 1, byEnd);
  }

  #level(t: number): NoiseLevel {
    return { alpha: this.#alphas[t]!, sigma: this.#sigmas[t]!, lambda: this.#lambdas[t]! };
  }
}

// With zero terminal SNR λ would be -∞ at the end: as later diffusers do, leave a trace of signal.
function withSignal(schedule: NoiseSchedule): NoiseSchedule {
  const alphasCumprod = schedule.alphasCumprod.map(alpha => (alpha === 0 ? 2 ** -24 : alpha));
  return { ...schedule, alphasCumprod };
}
