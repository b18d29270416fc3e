/** The part that DDPM and DDIM share: evenly spaced or custom timesteps, each step from t to the one before it. */
import { InputError } from '../errors.js';
import { type commonFields, Scheduler } from './scheduler.js';
import { spacedTimesteps } from './timestep-spacing.js';

export abstract class OneStepScheduler<F extends typeof commonFields> extends Scheduler<F> {
  #steps = this.config.numTrainTimesteps;
  #custom = false;

  override setTimesteps(steps: number | { timesteps: readonly number[] }): void {
    if (typeof steps === 'object') {
      this.timesteps = this.checkTimesteps(steps.timesteps);
      this.#custom = true;
      return;
    }
    this.checkSteps(steps);
    const { timestepSpacing, numTrainTimesteps, stepsOffset } = this.config;
    this.timesteps = this.checkTimesteps(spacedTimesteps(timestepSpacing, numTrainTimesteps, steps, stepsOffset));
    this.#steps = steps;
    this.#custom = false;
  }

  /**
   * The timestep after `t` in sampling order: t - T//N whatever the spacing, or the next of a custom list; negative at the
   * end. (DDPM of diffusers 0.32 and later takes the next one visited, which is another with linspace and trailing spacing.)
   */
  previousTimestep(t: number): number {
    if (!this.#custom) return t - Math.floor(this.config.numTrainTimesteps / this.#steps);
    const index = this.timesteps.indexOf(t);
    if (index < 0) {
      throw new InputError(`timestep ${t} is not among the custom timesteps ${this.timesteps.join(', ')}`, {
        code: 'diffusion.timestep',
        value: t,
      });
    }
    return this.timesteps[index + 1] ?? -1;
  }

  /** ᾱ_t; throws `InputError` where an ε-prediction would divide by it although it is 0 (zero terminal SNR). */
  protected alphaBar(t: number): number {
    this.checkTimestep(t);
    const alphaBar = this.schedule.alphasCumprod[t]!;
    if (alphaBar === 0 && this.config.predictionType === 'epsilon') {
      throw new InputError(
        `timestep ${t} holds no signal, so x_0 cannot be recovered from an epsilon prediction; use v_prediction or sample`,
        { code: 'diffusion.no-signal', value: t },
      );
    }
    return alphaBar;
  }
}
