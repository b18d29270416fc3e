import type { TrainConfig } from '../config/schema.js';

/**
 * Learning rate of the update number `step` (from 0): linear warm-up, then constant, cosine (Loshchilov & Hutter 2017) or
 * linear down to `minLearningRateRatio` of the peak at the last step.
 */
export function learningRateAt(
  step: number,
  config: Pick<TrainConfig, 'learningRate' | 'schedule' | 'warmupSteps' | 'minLearningRateRatio' | 'steps'>,
): number {
  const { learningRate, schedule, warmupSteps, minLearningRateRatio: floor, steps } = config;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  const share = { constant: 1, linear: 1 - progress, cosine: 0.5 * (1 + Math.cos(Math.PI * progress)) }[schedule];
  return learningRate * (schedule === 'constant' ? 1 : floor + (1 - floor) * share);
}

/** Decay of the moving average at update `step`; with warm-up it follows min(decay, (1 + step) / (10 + step)). */
export function emaDecayAt(step: number, { decay, warmup }: TrainConfig['ema']): number {
  return warmup ? Math.min(decay, (1 + step) / (10 + step)) : decay;
}
