/** Noise schedules β_t of a discrete diffusion process (Ho et al. 2020), in float32 as diffusers 0.19.3 computes them. */
import { InputError } from '../errors.js';
import { cumprodFloat32, f32, linspaceFloat32 } from './float32.js';

/** How β_t runs from t = 0 to T-1. `sigmoid` is known to `DDPMScheduler` only, as in diffusers. */
export const BETA_SCHEDULES = ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid'] as const;
export type BetaScheduleName = (typeof BETA_SCHEDULES)[number];

export interface NoiseScheduleOptions {
  /** T, the number of training timesteps (default 1000). */
  numTrainTimesteps?: number;
  /** β of the first timestep (default 1e-4; unused by `squaredcos_cap_v2`). */
  betaStart?: number;
  /** β of the last timestep (default 0.02; unused by `squaredcos_cap_v2`). */
  betaEnd?: number;
  /** Shape of the schedule (default `linear`). */
  betaSchedule?: BetaScheduleName;
  /** Explicit betas, one a timestep; the three options above are then unused. */
  trainedBetas?: ArrayLike<number> | null;
  /** Rescales the betas so that the last timestep holds no signal (Lin et al. 2023, algorithm 1). */
  rescaleBetasZeroSnr?: boolean;
}

/** β_t, α_t = 1 - β_t and ᾱ_t = Π α_s for t = 0..T-1. Immutable by convention: never written after creation. */
export interface NoiseSchedule {
  readonly numTrainTimesteps: number;
  /** β_t, [T]. */
  readonly betas: Float32Array;
  /** ᾱ_t (the signal's variance share at t), [T]. */
  readonly alphasCumprod: Float32Array;
}

/**
 * Builds a schedule. Throws `InputError` when T is not a positive integer, when `trainedBetas` has another length than T
 * or when a beta is outside [0, 1].
 */
export function noiseSchedule(options: NoiseScheduleOptions = {}): NoiseSchedule {
  const { numTrainTimesteps = 1000, rescaleBetasZeroSnr = false } = options;
  if (!Number.isInteger(numTrainTimesteps) || numTrainTimesteps < 1) {
    throw new InputError(`num_train_timesteps is ${numTrainTimesteps}; it must be a positive integer`, {
      code: 'diffusion.num-train-timesteps',
      value: numTrainTimesteps,
    });
  }
  let betas = makeBetas(options, numTrainTimesteps);
  const bad = betas.findIndex(beta => !(beta >= 0 && beta <= 1));
  if (bad >= 0) {
    throw new InputError(`beta ${bad} of the noise schedule is ${betas[bad]}; betas must lie in [0, 1]`, {
      code: 'diffusion.beta-range',
      index: bad,
      value: betas[bad],
    });
  }
  if (rescaleBetasZeroSnr) betas = rescaleZeroTerminalSnr(betas);
  return { numTrainTimesteps, betas, alphasCumprod: cumprodFloat32(betas.map(beta => 1 - beta)) };
}

function makeBetas(options: NoiseScheduleOptions, T: number): Float32Array {
  const { betaStart = 1e-4, betaEnd = 0.02, betaSchedule = 'linear', trainedBetas } = options;
  if (trainedBetas != null) {
    if (trainedBetas.length !== T) {
      throw new InputError(
        `trained_betas has ${trainedBetas.length} values but num_train_timesteps is ${T}; give one beta a timestep`,
        { code: 'diffusion.trained-betas', length: trainedBetas.length, numTrainTimesteps: T },
      );
    }
    return Float32Array.from(trainedBetas);
  }
  switch (betaSchedule) {
    case 'linear':
      return linspaceFloat32(betaStart, betaEnd, T);
    case 'scaled_linear': // linear in sqrt(β): latent diffusion
      return linspaceFloat32(Math.sqrt(betaStart), Math.sqrt(betaEnd), T).map(root => root * root);
    case 'squaredcos_cap_v2': // Nichol & Dhariwal 2021, eq. 17, capped at 0.999
      return Float32Array.from({ length: T }, (_, i) =>
        Math.min(1 - cosineAlphaBar((i + 1) / T) / cosineAlphaBar(i / T), 0.999),
      );
    case 'sigmoid':
      return linspaceFloat32(-6, 6, T).map(
        x => f32(f32(1 / (1 + Math.exp(-x))) * f32(betaEnd - betaStart)) + f32(betaStart),
      );
    default:
      throw new InputError(`beta_schedule is ${JSON.stringify(betaSchedule)}; allowed: ${BETA_SCHEDULES.join(', ')}`, {
        code: 'diffusion.beta-schedule',
        value: betaSchedule,
        allowed: BETA_SCHEDULES,
      });
  }
}

const cosineAlphaBar = (t: number): number => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;

/**
 * Shifts and scales sqrt(ᾱ) so that its last entry becomes 0 and its first stays (Lin et al. 2023, algorithm 1).
 * betas [T] -> betas [T]; the last one is 1.
 */
export function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumprodFloat32(betas.map(beta => 1 - beta)).map(Math.sqrt);
  const first = roots[0]!;
  const last = roots[roots.length - 1]!;
  const scale = f32(first / f32(first - last));
  const alphasCumprod = roots.map(root => f32(f32(root - last) * scale) ** 2);
  return alphasCumprod.map((value, i) => 1 - f32(i === 0 ? value : value / alphasCumprod[i - 1]!));
}

/** Signal-to-noise ratio ᾱ_t / (1 - ᾱ_t) for every t, [T]; Infinity where there is no noise. */
export function signalToNoise(schedule: NoiseSchedule): Float64Array {
  return Float64Array.from(schedule.alphasCumprod, alpha => alpha / (1 - alpha));
}
