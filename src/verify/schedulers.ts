/**
 * Fixtures of kind `schedulers`: noise schedules, timesteps, chains of steps with given model outputs and noises, the
 * forward process. Tensors are NCHW there, so the channel axis is 1.
 */
import {
  addNoise,
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  getVelocity,
  type NoiseSchedule,
  type NoiseScheduleOptions,
  noiseSchedule,
  type Scheduler,
  type StepOptions,
  schedulerFromConfig,
} from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';

/** One entry of `config.json`'s `cases`. */
interface Case {
  config: Record<string, unknown>;
  num_inference_steps: number | null;
  custom_timesteps: number[] | null;
  step_kwargs: { eta?: number; use_clipped_model_output?: boolean };
}

type Source = Pick<Fixture, 'config' | 'io'>;

/** Settings behind the names that `out.schedule.*` and `in.add_noise.*` use. */
const SCHEDULES: Record<string, NoiseScheduleOptions> = {
  linear: { betaSchedule: 'linear' },
  scaled_linear: { betaSchedule: 'scaled_linear' },
  scaled_linear_sd: { betaSchedule: 'scaled_linear', betaStart: 0.00085, betaEnd: 0.012 },
  squaredcos_cap_v2: { betaSchedule: 'squaredcos_cap_v2' },
  sigmoid: { betaSchedule: 'sigmoid' },
};

/** Schedulers with default settings behind the names of `out.timesteps.*`. */
const DEFAULTS: Record<string, () => Scheduler> = {
  ddpm: () => new DDPMScheduler(),
  ddim: () => new DDIMScheduler(),
  dpm: () => new DPMSolverMultistepScheduler(),
};

/** Compares every `out.*` tensor; those with an unknown name are listed in `unconsumed`. */
export async function verifySchedulers(fixture: Source): Promise<CheckResult> {
  const { io } = fixture;
  const checks: Check[] = [];
  const compare = (name: string, actual: TensorValue): void => {
    const expected = io.get(name);
    if (expected) checks.push({ name, actual, expected, kind: 'output' });
  };
  for (const [name, entry] of Object.entries((fixture.config.cases ?? {}) as Record<string, Case>)) {
    const { timesteps, ...outputs } = await runCase(fixture, name, entry);
    compare(`out.${name}.timesteps`, { shape: [timesteps.length], data: timesteps });
    for (const [key, steps] of Object.entries(outputs)) compare(`out.${name}.${key}`, steps);
  }
  for (const name of io.keys()) {
    const [side, group, key] = name.split('.') as [string, string?, string?];
    if (side === 'out' && group === 'schedule') {
      const schedule = scheduleOf(fixture, key!);
      if (!schedule) continue;
      const tables: Record<string, Float32Array> = {
        betas: schedule.betas,
        alphas_cumprod: schedule.alphasCumprod,
        alphas: schedule.betas.map(beta => 1 - beta),
      };
      const data = tables[name.slice(`out.schedule.${key}.`.length)];
      if (data) compare(name, { shape: [data.length], data });
    } else if (side === 'out' && group === 'timesteps') {
      const scheduler = DEFAULTS[key!]?.();
      if (!scheduler) continue;
      scheduler.setTimesteps(Number(name.split('.')[3]));
      compare(name, { shape: [scheduler.timesteps.length], data: scheduler.timesteps });
    } else if (side === 'out' && group === 'add_noise') {
      const actual = await forward(fixture, key!, name.split('.')[3]!);
      if (actual) compare(name, actual);
    }
  }
  return { checks, unconsumed: unconsumedBy(checks, fixture) };
}

/** Runs one chain of steps; returns the outcomes stacked over the steps, under the fixture's names. */
async function runCase(
  fixture: Source,
  name: string,
  { config, num_inference_steps: steps, custom_timesteps: custom, step_kwargs: kwargs }: Case,
): Promise<{ timesteps: readonly number[]; prev_sample: TensorValue; pred_original_sample: TensorValue }> {
  const read = (key: string): TensorValue => input(fixture, `in.${name}.${key}`);
  const scheduler = schedulerFromConfig(config, `case ${name}`);
  scheduler.setTimesteps(custom ? { timesteps: custom } : steps!);
  const [outputs, noises, start] = [read('model_output'), fixture.io.get(`in.${name}.noise`), read('sample')];
  const timesteps = scheduler.timesteps;
  const previous: Float32Array[] = [];
  const originals: Float32Array[] = [];
  let sample = tf.tensor(Float32Array.from(start.data), [...start.shape]);
  try {
    for (const [i, t] of timesteps.entries()) {
      const { prevSample, predOriginalSample } = tf.tidy(() => {
        const options: StepOptions = {
          channelAxis: 1,
          eta: kwargs?.eta,
          useClippedModelOutput: kwargs?.use_clipped_model_output,
          noise: noises ? row(noises, i) : undefined,
        };
        return { ...scheduler.step(row(outputs, i), t, sample, options) };
      });
      sample.dispose();
      sample = prevSample;
      previous.push((await prevSample.data()) as Float32Array);
      originals.push((await predOriginalSample.data()) as Float32Array);
      predOriginalSample.dispose();
    }
  } finally {
    sample.dispose();
    scheduler.reset();
  }
  const shape = [timesteps.length, ...start.shape];
  return {
    timesteps,
    prev_sample: { shape, data: concat(previous) },
    pred_original_sample: { shape, data: concat(originals) },
  };
}

/** `noisy` or `velocity` of the named schedule. */
async function forward(fixture: Source, key: string, what: string): Promise<TensorValue | null> {
  const run = { noisy: addNoise, velocity: getVelocity }[what];
  const schedule = scheduleOf(fixture, key);
  if (!run || !schedule) return null;
  const [x0, noise, t] = ['x0', 'noise', 't'].map(part => input(fixture, `in.add_noise.${key}.${part}`));
  const tensor = (value: TensorValue): Tensor => tf.tensor(Float32Array.from(value.data), [...value.shape]);
  const out = tf.tidy(() => run(schedule, tensor(x0!), tensor(noise!), t!.data));
  const data = await out.data();
  out.dispose();
  return { shape: x0!.shape, data };
}

/** The named schedule at the fixture's length; null for a name that is not known. */
function scheduleOf(fixture: Source, key: string): NoiseSchedule | null {
  const options = SCHEDULES[key];
  if (!options) return null;
  const length = (fixture.io.get(`out.schedule.${key}.betas`) ?? fixture.io.get(`out.schedule.${key}.alphas_cumprod`))
    ?.shape[0];
  return noiseSchedule({ ...options, numTrainTimesteps: length });
}

function input(fixture: Source, name: string): TensorValue {
  const value = fixture.io.get(name);
  if (value) return value;
  throw new InputError(`io.safetensors holds no tensor "${name}", which a fixture of kind schedulers needs`, {
    code: 'verify.input-missing',
    name,
  });
}

/** Entry `i` of a stack over the steps, as a tensor. */
function row({ shape: [, ...shape], data }: TensorValue, i: number): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, j) => data[i * size + j]!),
    shape,
  );
}

function concat(parts: Float32Array[]): Float32Array {
  const size = parts[0]?.length ?? 0;
  const out = new Float32Array(size * parts.length);
  parts.forEach((part, i) => {
    out.set(part, i * size);
  });
  return out;
}
