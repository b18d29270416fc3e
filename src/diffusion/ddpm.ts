/** Ancestral sampling of denoising diffusion probabilistic models (Ho et al. 2020), as diffusers 0.19.3 runs it. */
import { type Tensor, tf } from '../engine/tf.js';
import { f32 } from './float32.js';
import { BETA_SCHEDULES } from './noise-schedule.js';
import { OneStepScheduler } from './one-step-scheduler.js';
import { type Coefficients, commonFields, type UpdateInputs, type UpdateOutput } from './scheduler.js';
import { boolean, number, oneOf } from './scheduler-config.js';
import { readSchedulerConfig } from './scheduler-file.js';
import { predictX0, scaledNoise, splitVariance } from './step-math.js';
import { limitSample } from './thresholding.js';

/** Variance of the reverse step: fixed at the lower (small) or upper (large) bound, or read from the model. */
export const VARIANCE_TYPES = [
  'fixed_small',
  'fixed_small_log',
  'fixed_large',
  'fixed_large_log',
  'learned',
  'learned_range',
] as const;
export type VarianceType = (typeof VARIANCE_TYPES)[number];

const fields = {
  ...commonFields,
  betaSchedule: oneOf(BETA_SCHEDULES, 'linear'),
  varianceType: oneOf<VarianceType>(VARIANCE_TYPES, 'fixed_small'),
  clipSample: boolean(true),
  clipSampleRange: number(1, 'a positive number', v => v > 0),
};

const NAMES = ['alpha', 'sigma', 'x0', 'sample', 'minLogVariance', 'maxLogVariance', 'noise'] as const;
type Name = (typeof NAMES)[number];

/**
 * μ = c_x0 x_0 + c_xt x_t (eq. 7), then noise of the chosen variance while t > 0.
 *
 * `fixed_large_log` is the standard deviation exp(0.5 log β): diffusers 0.19.3 takes the root of log β there and gets
 * NaN. `learned` reads the variance itself, `learned_range` interpolates between the bounds in log space
 * (Nichol & Dhariwal 2021, eq. 15).
 */
export class DDPMScheduler extends OneStepScheduler<typeof fields> {
  override readonly coefficientNames = NAMES;

  /** Takes diffusers' JSON config, or the same keys in camelCase. Throws `InputError` on a wrong value. */
  constructor(config: Record<string, unknown> = {}) {
    super('DDPMScheduler', fields, config);
  }

  static fromConfig(config: Record<string, unknown>): DDPMScheduler {
    return new DDPMScheduler(config);
  }

  /** Reads `dir/scheduler_config.json` (`dir/subfolder/…` in a pipeline's folder). */
  static async fromPretrained(dir: string, { subfolder = '' } = {}): Promise<DDPMScheduler> {
    return new DDPMScheduler(await readSchedulerConfig(dir, subfolder));
  }

  override get learnsVariance(): boolean {
    return this.config.varianceType.startsWith('learned');
  }

  override coefficients(t: number): Coefficients<Name, number> {
    const previous = this.previousTimestep(t);
    const alphaBar = this.alphaBar(t);
    const alphaBarPrev = previous >= 0 ? this.schedule.alphasCumprod[previous]! : 1;
    const betaBar = f32(1 - alphaBar);
    const betaBarPrev = f32(1 - alphaBarPrev);
    const alpha = f32(alphaBar / alphaBarPrev);
    const beta = f32(1 - alpha);
    // Its log is taken, so it must not be 0.
    const posterior = Math.max(f32(f32(betaBarPrev / betaBar) * beta), f32(1e-20));
    return {
      alpha: f32(Math.sqrt(alphaBar)),
      sigma: f32(Math.sqrt(betaBar)),
      x0: f32(f32(f32(Math.sqrt(alphaBarPrev)) * beta) / betaBar),
      sample: f32(f32(f32(Math.sqrt(alpha)) * betaBarPrev) / betaBar),
      minLogVariance: f32(Math.log(posterior)),
      maxLogVariance: f32(Math.log(beta)),
      noise: t > 0 ? this.#noiseFactor(posterior, beta) : 0,
    };
  }

  // The standard deviation if it is fixed, else 1: the model's variance is multiplied in by `update`.
  #noiseFactor(posterior: number, beta: number): number {
    switch (this.config.varianceType) {
      case 'fixed_small':
        return f32(Math.sqrt(posterior));
      case 'fixed_small_log':
        return f32(Math.exp(f32(0.5 * f32(Math.log(posterior)))));
      case 'fixed_large':
      case 'fixed_large_log':
        return f32(Math.sqrt(beta));
      default:
        return 1;
    }
  }

  override update(c: Coefficients<Name>, modelOutput: Tensor, sample: Tensor, inputs: UpdateInputs = {}): UpdateOutput {
    const { noise, channelAxis = -1 } = inputs;
    const { predictionType, varianceType } = this.config;
    return tf.tidy(() => {
      const [output, variance] = splitVariance(modelOutput, sample, this.learnsVariance, channelAxis, 'DDPMScheduler');
      const x0 = limitSample(predictX0(predictionType, output, sample, c.alpha, c.sigma), this.config, channelAxis);
      const mean = tf.add(tf.mul(x0, c.x0), tf.mul(sample, c.sample));
      let added = scaledNoise(c.noise, noise, sample, 'DDPMScheduler');
      if (added && variance) {
        const std = varianceType === 'learned' ? tf.sqrt(variance) : learnedRangeStd(variance, c);
        added = tf.mul(added, std);
      }
      return { prevSample: added ? tf.add(mean, added) : mean, predOriginalSample: x0, history: [] };
    });
  }
}

/** exp(½ (f log β + (1 - f) log β̃)) with f = (v + 1) / 2. */
function learnedRangeStd(v: Tensor, c: Coefficients<Name>): Tensor {
  const fraction = tf.div(tf.add(v, 1), 2);
  const logVariance = tf.add(tf.mul(fraction, c.maxLogVariance), tf.mul(tf.sub(1, fraction), c.minLogVariance));
  return tf.exp(tf.mul(logVariance, 0.5));
}
