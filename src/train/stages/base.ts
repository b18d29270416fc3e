/**
 * Base stage: a pixel-space UNet3D learns to denoise keyframes given the text (paper section 3.2). The loss is the plain
 * diffusion loss, plus the variational bound when the UNet also predicts the variance (six output channels).
 */
import { addNoise, diffusionLoss, offsetNoise } from '../../diffusion/index.js';
import { foldKey, randomNormal } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import type { Stage, StageContext, StepInputs, StepLoss } from './stage.js';

export function baseStage({ unet, schedule, predictionType, config }: StageContext): Stage {
  const { inChannels, outChannels } = unet.config;
  const learnedVariance = outChannels === 2 * inChannels;
  const { minSnrGamma, offsetNoise: offset, inputPerturbation, vlbWeight } = config.diffusion;

  return {
    name: 'base',

    check() {
      if (inChannels !== 3) {
        throw new InputError(
          `stage base trains on RGB video, but model.unet has in_channels ${inChannels}; it must be 3 (interp takes 7, sr1 takes 6)`,
          { code: 'train.channels', inChannels },
        );
      }
      if (outChannels !== 3 && outChannels !== 6) {
        throw new InputError(
          `model.unet has out_channels ${outChannels}; stage base needs 3, or 6 with a learned variance`,
          {
            code: 'train.channels',
            outChannels,
          },
        );
      }
    },

    loss({ video, text, timesteps, noiseKey }: StepInputs): StepLoss {
      const [B, , , , C] = video.shape as [number, number, number, number, number];
      let noise = randomNormal(video.shape, noiseKey); // [B, F, H, W, C]
      if (offset > 0) noise = offsetNoise(noise, randomNormal([B, 1, 1, 1, C], foldKey(noiseKey, 1)), offset);
      // Input perturbation (Ning et al. 2023): x_t carries a little more noise than the target says.
      const carried =
        inputPerturbation > 0
          ? noise.add(randomNormal(video.shape, foldKey(noiseKey, 2)).mul(inputPerturbation))
          : noise;
      const noisy = addNoise(schedule, video, carried, timesteps);
      const modelOutput = unet.forward(noisy, timesteps, text);
      const { loss, parts } = diffusionLoss(
        { schedule, predictionType, learnedVariance, vlbWeight, minSnrGamma: minSnrGamma || null },
        { modelOutput, x0: video, noise, timesteps },
      );
      return { loss, simple: parts.simple };
    },
  };
}
