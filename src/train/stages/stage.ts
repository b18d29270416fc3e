/** What differs between the stages of the cascade in training: how a decoded clip becomes the network's input and target. */
import type { Config } from '../../config/schema.js';
import type { NoiseSchedule, PredictionType } from '../../diffusion/index.js';
import type { Tensor } from '../../engine/index.js';
import type { UNet3DConditionModel } from '../../models/unet3d/index.js';

/** Everything a stage's loss is computed from; all tensors, so that the loss can be compiled. */
export interface StepInputs {
  /** [B, F, H, W, C] in [-1, 1] */
  video: Tensor;
  /** [B, L, D] */
  text: Tensor;
  /** [B] int32 */
  timesteps: Tensor;
  /** [2] int32: key of the noise. */
  noiseKey: Tensor;
}

export interface StageContext {
  unet: UNet3DConditionModel;
  schedule: NoiseSchedule;
  predictionType: PredictionType;
  config: Config;
}

export interface StepLoss {
  /** Scalar, to be minimised. */
  loss: Tensor;
  /** [B] unweighted mean squared error. */
  simple: Tensor;
}

export interface Stage {
  readonly name: Config['stage'];
  /** Checks that data and model fit together; throws `InputError` naming the config keys otherwise. */
  check(): void;
  /** The loss of one batch. Pure: everything random comes from `noiseKey`. */
  loss(inputs: StepInputs): StepLoss;
}
