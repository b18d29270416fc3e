export { DDIMScheduler } from './ddim.js';
export { DDPMScheduler, VARIANCE_TYPES, type VarianceType } from './ddpm.js';
export { DPMSolverMultistepScheduler } from './dpm-solver.js';
export { addNoise, getVelocity, type Timesteps } from './forward-process.js';
export {
  doubleBatch,
  dropVariance,
  type GuidanceOptions,
  guide,
  type VarianceHandling,
  varianceHandling,
} from './guidance.js';
export { type AnyScheduler, loadScheduler, schedulerFromConfig } from './load-scheduler.js';
export {
  diffusionLoss,
  type LossInputs,
  type LossOptions,
  type LossOutput,
  lossTarget,
  minSnrWeights,
  offsetNoise,
} from './loss.js';
export {
  BETA_SCHEDULES,
  type BetaScheduleName,
  type NoiseSchedule,
  type NoiseScheduleOptions,
  noiseSchedule,
  rescaleZeroTerminalSnr,
  signalToNoise,
} from './noise-schedule.js';
export { PREDICTION_TYPES, type PredictionType } from './prediction-type.js';
export { parsePythonJson, stringifyPythonJson } from './python-json.js';
export { quantile } from './quantile.js';
export {
  type Coefficients,
  packCoefficients,
  Scheduler,
  type StepOptions,
  type StepOutput,
  type UpdateInputs,
  type UpdateOutput,
  unpackCoefficients,
} from './scheduler.js';
export type { Scalar } from './step-math.js';
export { stopGradient } from './stop-gradient.js';
export { dynamicThreshold, type ThresholdOptions } from './thresholding.js';
export { type TimestepEmbeddingOptions, timestepEmbedding } from './timestep-embedding.js';
export { solverTimesteps, spacedTimesteps, TIMESTEP_SPACINGS, type TimestepSpacing } from './timestep-spacing.js';
export {
  sampleTimesteps,
  sampleTimestepsTensor,
  type TimestepDistribution,
  type TimestepSampling,
  timestepNoise,
  timestepProbabilities,
} from './timesteps.js';
export { interpolationCondition, tensorToVideo, videoBytes } from './video-tensor.js';
export { discretizedGaussianNll, gaussianKl } from './vlb.js';
