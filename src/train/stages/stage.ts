/** What differs between the stages of the cascade in training: how a decoded clip becomes the network's target and condition. */
import type { Config } from '../../config/schema.js';
import type { NoiseSchedule, PredictionType } from '../../diffusion/index.js';
import type { Tensor } from '../../engine/index.js';
import type { UNet3DConditionModel } from '../../models/unet3d/index.js';
import type { FrozenCodec } from '../codec.js';

/** Everything a stage's loss is computed from; all tensors, so that the loss can be compiled. */
export interface StepInputs {
  /** What `prepare` made of the clips, [B, F, H, W, C]: pixels in [-1, 1] (sr1: and their condition), or scaled latents. */
  video: Tensor;
  /** [B, L, D] */
  text: Tensor;
  /** [B] int32 */
  timesteps: Tensor;
  /** [2] int32: key of the noise, and of whatever else a stage draws. */
  noiseKey: Tensor;
}

export interface StageContext {
  unet: UNet3DConditionModel;
  schedule: NoiseSchedule;
  predictionType: PredictionType;
  config: Config;
  /** Pixels to latents; stage sr2 alone has one (planning a run needs none). */
  codec?: FrozenCodec | null;
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
  /**
   * What is done to the decoded clips [B, F, H, W, 3] outside the gradient, before each loss. The clips stay the caller's,
   * and so does the result. Pure in the clips and `noiseKey`, which the loss must be given too.
   */
  prepare(clips: Tensor, noiseKey: Tensor): Promise<Tensor>;
  /** The loss of one batch. Pure: everything random comes from `noiseKey`. */
  loss(inputs: StepInputs): StepLoss;
}
