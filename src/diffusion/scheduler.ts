/** What the three samplers share: config, files, the forward process, and the small tensor helpers of a step. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { addNoise, getVelocity, type Timesteps } from './forward-process.js';
import { BETA_SCHEDULES, type BetaScheduleName, type NoiseSchedule, noiseSchedule } from './noise-schedule.js';
import { PREDICTION_TYPES, type PredictionType } from './prediction-type.js';
import {
  boolean,
  type ConfigOf,
  configToJson,
  type Field,
  type Fields,
  integer,
  number,
  numbers,
  oneOf,
  parseConfig,
} from './scheduler-config.js';
import { SCHEDULER_CLASSES, type SchedulerClassName, unknownClass, writeSchedulerConfig } from './scheduler-file.js';
import type { Scalar } from './step-math.js';
import { TIMESTEP_SPACINGS, type TimestepSpacing } from './timestep-spacing.js';

/** The constants of one step by name; `noise` is the factor on the noise in all schedulers (0: none needed). */
export type Coefficients<Names extends string = string, S extends Scalar = Scalar> = Record<Names, S>;

export interface StepOptions {
  /** Standard normal noise of the sample's shape; needed where `coefficients(t).noise` is not 0. */
  noise?: Tensor;
  /** DDIM's η: 0 deterministic (default), 1 as much noise as DDPM. */
  eta?: number;
  /** DDIM: derive ε again from the clipped x_0 (Glide). */
  useClippedModelOutput?: boolean;
  /** Which axis holds the channels; default -1 (channels-last). */
  channelAxis?: number;
}

export interface UpdateInputs extends Omit<StepOptions, 'eta'> {
  /** Earlier outcomes, newest first, as the last update returned them (DPM-Solver only). */
  history?: Tensor[];
}

export interface StepOutput {
  /** The sample at the previous (less noisy) timestep. */
  prevSample: Tensor;
  /** The x_0 predicted at this step, after clipping or thresholding. */
  predOriginalSample: Tensor;
}

export interface UpdateOutput extends StepOutput {
  /** What the next update needs as its `history`; empty for one-step samplers. */
  history: Tensor[];
}

export const commonFields = {
  numTrainTimesteps: integer(1000, 1),
  betaStart: number(0.0001, 'a number in [0, 1]', v => v >= 0 && v <= 1),
  betaEnd: number(0.02, 'a number in [0, 1]', v => v >= 0 && v <= 1),
  betaSchedule: oneOf<BetaScheduleName>(
    BETA_SCHEDULES.filter(name => name !== 'sigmoid'),
    'linear',
  ),
  trainedBetas: numbers(),
  predictionType: oneOf<PredictionType>(PREDICTION_TYPES, 'epsilon'),
  thresholding: boolean(false),
  dynamicThresholdingRatio: number(0.995, 'a number in [0, 1]', v => v >= 0 && v <= 1),
  sampleMaxValue: number(1, 'a positive number', v => v > 0),
  timestepSpacing: oneOf<TimestepSpacing>(TIMESTEP_SPACINGS, 'leading'),
  stepsOffset: integer(0, 0),
  rescaleBetasZeroSnr: boolean(false),
} satisfies Fields;

/** A field with another default. */
export const withDefault = <V>(base: Field<V>, value: NoInfer<V>): Field<V> => ({ ...base, default: value });

type CommonConfig = ConfigOf<typeof commonFields>;

/** Base of the samplers. A subclass adds its fields, its timesteps, its coefficients and its update. */
export abstract class Scheduler<F extends typeof commonFields = typeof commonFields> {
  /** The checked config in camelCase. */
  readonly config: Readonly<ConfigOf<F>>;
  readonly schedule: NoiseSchedule;
  /** Standard deviation of the noise that sampling starts from. */
  readonly initNoiseSigma: number = 1;
  /** How many earlier outcomes `update` reads. */
  readonly historyLength: number = 0;
  /** Names of the coefficients, in the order of `packCoefficients`. */
  abstract readonly coefficientNames: readonly string[];
  /** The timesteps to visit, descending. All T of them until `setTimesteps`. */
  timesteps: readonly number[];

  readonly #className: string;
  readonly #extra: Record<string, unknown>;

  protected constructor(className: string, fields: F, json: Record<string, unknown>) {
    const { _class_name: given, _diffusers_version: _, ...rest } = json;
    if (given !== undefined && !SCHEDULER_CLASSES.includes(given as SchedulerClassName))
      throw unknownClass(given, className);
    const { config, extra } = parseConfig(fields, rest, className);
    this.#className = className;
    this.#extra = extra;
    this.config = Object.freeze(config);
    const common: CommonConfig = config;
    this.schedule = noiseSchedule(common);
    this.timesteps = Array.from({ length: common.numTrainTimesteps }, (_, i) => common.numTrainTimesteps - 1 - i);
  }

  /** Whether `step` takes outputs of 2C channels whose second half describes the variance; else that half must be dropped. */
  get learnsVariance(): boolean {
    return false;
  }

  /**
   * Chooses the timesteps: their number, or the list itself (descending). Throws `InputError` when there are more than
   * T, or a listed one is not in [0, T).
   */
  abstract setTimesteps(steps: number | { timesteps: readonly number[] }): void;

  /** The constants of the step from timestep `t`, as plain numbers. */
  abstract coefficients(t: number, options?: { eta?: number; historyLength?: number }): Coefficients<string, number>;

  /** One step as a pure function of tensors: usable inside a traced graph, with coefficients as scalar tensors. */
  abstract update(coefficients: Coefficients, modelOutput: Tensor, sample: Tensor, inputs?: UpdateInputs): UpdateOutput;

  /**
   * The sample before timestep `t`, from the model's output there. modelOutput [..., C] ([..., 2C] with a learned
   * variance), sample [..., C]; frames may be folded into the batch or not. Noise is never drawn here: pass it.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    const coefficients = this.coefficients(t, options);
    const { prevSample, predOriginalSample } = this.update(coefficients, modelOutput, sample, options);
    return { prevSample, predOriginalSample };
  }

  /** Forgets what earlier steps left behind. One-step samplers have nothing to forget. */
  reset(): void {}

  /** The model's input at `t`: the sample itself for all schedulers here. */
  scaleModelInput(sample: Tensor, _t?: number): Tensor {
    return sample;
  }

  /** x_t = sqrt(ᾱ_t) x_0 + sqrt(1 - ᾱ_t) ε. x0, noise [B, …], timesteps [B] or one for all. */
  addNoise(x0: Tensor, noise: Tensor, timesteps: Timesteps): Tensor {
    return addNoise(this.schedule, x0, noise, timesteps);
  }

  /** v_t = sqrt(ᾱ_t) ε - sqrt(1 - ᾱ_t) x_0, the target of v-prediction. Shapes as in `addNoise`. */
  getVelocity(x0: Tensor, noise: Tensor, timesteps: Timesteps): Tensor {
    return getVelocity(this.schedule, x0, noise, timesteps);
  }

  /** The config as diffusers writes it (snake_case), with the unknown keys it came with. */
  toConfig(): Record<string, unknown> {
    return { _class_name: this.#className, _diffusers_version: '0.19.3', ...configToJson(this.config, this.#extra) };
  }

  /** Writes `dir/scheduler_config.json`, making the folder. */
  async savePretrained(dir: string): Promise<void> {
    await writeSchedulerConfig(dir, this.toConfig());
  }

  protected checkSteps(steps: number): void {
    const T = this.config.numTrainTimesteps;
    if (Number.isInteger(steps) && steps >= 1 && steps <= T) return;
    throw new InputError(
      `the number of inference steps is ${steps}; it must be an integer from 1 to ${T} (num_train_timesteps)`,
      {
        code: 'diffusion.inference-steps',
        value: steps,
        numTrainTimesteps: T,
      },
    );
  }

  protected checkTimesteps(timesteps: readonly number[]): number[] {
    const T = this.config.numTrainTimesteps;
    const bad = timesteps.findIndex(
      (t, i) => !Number.isInteger(t) || t < 0 || t >= T || (i > 0 && t >= timesteps[i - 1]!),
    );
    if (bad < 0 && timesteps.length > 0) return [...timesteps];
    throw new InputError(
      timesteps.length === 0
        ? 'the list of timesteps is empty'
        : `timestep ${bad} of the list is ${timesteps[bad]}; timesteps must be integers in [0, ${T}), strictly descending ` +
            '(with leading spacing, fewer steps or a smaller steps_offset)',
      { code: 'diffusion.custom-timesteps', timesteps: [...timesteps], numTrainTimesteps: T },
    );
  }

  protected checkTimestep(t: number): void {
    const T = this.config.numTrainTimesteps;
    if (Number.isInteger(t) && t >= 0 && t < T) return;
    throw new InputError(`timestep ${t} is not an integer in [0, ${T})`, { code: 'diffusion.timestep', value: t });
  }
}

/** The coefficients as one vector [K], to be an input of a traced step. */
export function packCoefficients(scheduler: Scheduler, coefficients: Coefficients<string, number>): Float32Array {
  return Float32Array.from(scheduler.coefficientNames, name => coefficients[name]!);
}

/** The vector [K] of `packCoefficients` as scalar tensors by name. */
export function unpackCoefficients(scheduler: Scheduler, packed: Tensor): Coefficients<string, Tensor> {
  const scalars = tf.unstack(packed);
  return Object.fromEntries(scheduler.coefficientNames.map((name, i) => [name, scalars[i]!]));
}
