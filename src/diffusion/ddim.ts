/** Denoising diffusion implicit models (Song et al. 2020), as diffusers 0.19.3 runs them. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { f32 } from './float32.js';
import { OneStepScheduler } from './one-step-scheduler.js';
import { type Coefficients, commonFields, type UpdateInputs, type UpdateOutput } from './scheduler.js';
import { boolean, number } from './scheduler-config.js';
import { readSchedulerConfig } from './scheduler-file.js';
import { predictEpsilon, predictX0, scaledNoise, splitVariance } from './step-math.js';
import { limitSample } from './thresholding.js';

const fields = {
  ...commonFields,
  clipSample: boolean(true),
  clipSampleRange: number(1, 'a positive number', v => v > 0),
  setAlphaToOne: boolean(true),
};

const NAMES = ['alpha', 'sigma', 'prevAlpha', 'direction', 'noise'] as const;
type Name = (typeof NAMES)[number];

/**
 * x_{t-1} = sqrt(ᾱ_{t-1}) x_0 + sqrt(1 - ᾱ_{t-1} - σ_t²) ε + σ_t z with σ_t = η · DDPM's standard deviation (eq. 12, 16).
 * The model's output must be plain: drop a learned variance before the step.
 */
export class DDIMScheduler extends OneStepScheduler<typeof fields> {
  override readonly coefficientNames = NAMES;

  /** Takes diffusers' JSON config, or the same keys in camelCase. Throws `InputError` on a wrong value. */
  constructor(config: Record<string, unknown> = {}) {
    super('DDIMScheduler', fields, config);
  }

  static fromConfig(config: Record<string, unknown>): DDIMScheduler {
    return new DDIMScheduler(config);
  }

  /** Reads `dir/scheduler_config.json` (`dir/subfolder/…` in a pipeline's folder). */
  static async fromPretrained(dir: string, { subfolder = '' } = {}): Promise<DDIMScheduler> {
    return new DDIMScheduler(await readSchedulerConfig(dir, subfolder));
  }

  override coefficients(t: number, { eta = 0 }: { eta?: number } = {}): Coefficients<Name, number> {
    if (!(eta >= 0 && eta <= 1)) {
      throw new InputError(`DDIM's eta is ${eta}; it must lie in [0, 1]`, { code: 'diffusion.eta', value: eta });
    }
    const previous = this.previousTimestep(t);
    const { alphasCumprod } = this.schedule;
    const alphaBar = this.alphaBar(t);
    // Past the end: no noise at all, or what the first timestep has.
    const alphaBarPrev = previous >= 0 ? alphasCumprod[previous]! : this.config.setAlphaToOne ? 1 : alphasCumprod[0]!;
    const betaBar = f32(1 - alphaBar);
    const betaBarPrev = f32(1 - alphaBarPrev);
    const variance = f32(f32(betaBarPrev / betaBar) * f32(1 - f32(alphaBar / alphaBarPrev)));
    const std = f32(eta * f32(Math.sqrt(Math.max(variance, 0))));
    return {
      alpha: f32(Math.sqrt(alphaBar)),
      sigma: f32(Math.sqrt(betaBar)),
      prevAlpha: f32(Math.sqrt(alphaBarPrev)),
      direction: f32(Math.sqrt(Math.max(f32(betaBarPrev - f32(std * std)), 0))),
      noise: std,
    };
  }

  override update(c: Coefficients<Name>, modelOutput: Tensor, sample: Tensor, inputs: UpdateInputs = {}): UpdateOutput {
    const { noise, channelAxis = -1, useClippedModelOutput = false } = inputs;
    const { predictionType } = this.config;
    return tf.tidy(() => {
      const [output] = splitVariance(modelOutput, sample, false, channelAxis, 'DDIMScheduler');
      const x0 = limitSample(predictX0(predictionType, output, sample, c.alpha, c.sigma), this.config, channelAxis);
      const epsilon = useClippedModelOutput
        ? predictEpsilon('sample', x0, sample, c.alpha, c.sigma)
        : predictEpsilon(predictionType, output, sample, c.alpha, c.sigma);
      const mean = tf.add(tf.mul(x0, c.prevAlpha), tf.mul(epsilon, c.direction));
      const added = scaledNoise(c.noise, noise, sample, 'DDIMScheduler');
      return { prevSample: added ? tf.add(mean, added) : mean, predOriginalSample: x0, history: [] };
    });
  }
}
