import type { TrainConfig } from '../config/schema.js';

type ScheduleConfig = Pick<
  TrainConfig,
  'learningRate' | 'schedule' | 'warmupSteps' | 'minLearningRateRatio' | 'steps'
> &
  Partial<Pick<TrainConfig, 'scheduleCycles' | 'schedulePower'>>;

type EmaConfig = Pick<TrainConfig['ema'], 'decay' | 'warmup'> & Partial<Pick<TrainConfig['ema'], 'everySteps'>>;

/** Share of the way from the floor to the peak, by `progress` from 0 to 1 after the warm-up. */
const SHARES: Record<TrainConfig['schedule'], (progress: number, config: ScheduleConfig) => number> = {
  constant: () => 1,
  linear: progress => 1 - progress,
  cosine: progress => half(progress),
  polynomial: (progress, { schedulePower = 2 }) => (1 - progress) ** schedulePower,
  // Each cycle starts at the peak again; the run ends at the floor.
  'cosine-restarts': (progress, { scheduleCycles = 3 }) =>
    progress === 1 ? half(1) : half((progress * scheduleCycles) % 1),
};

const half = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/**
 * Learning rate of the update number `step` (from 0): linear warm-up, then constant, or cosine (Loshchilov & Hutter 2017, with
 * and without restarts), linear or polynomial down to `minLearningRateRatio` of the peak at the last step.
 */
export function learningRateAt(step: number, config: ScheduleConfig): number {
  const { learningRate, schedule, warmupSteps, minLearningRateRatio: floor, steps } = config;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  return learningRate * (schedule === 'constant' ? 1 : floor + (1 - floor) * SHARES[schedule](progress, config));
}

/**
 * Decay of the moving average at update `step`; with warm-up it follows min(decay, (1 + step) / (10 + step)). Updated only
 * every so many steps, the average decays by as many steps at once, and not at all (1) at the others.
 */
export function emaDecayAt(step: number, { decay, warmup, everySteps = 1 }: EmaConfig): number {
  if ((step + 1) % everySteps !== 0) return 1;
  const now = warmup ? Math.min(decay, (1 + step) / (10 + step)) : decay;
  return everySteps === 1 ? now : now ** everySteps;
}
