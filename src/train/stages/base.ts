/** Base stage: a pixel-space UNet3D learns to denoise keyframes given the text (paper section 3.2). */
import { asTheyAre, checkChannels, checkClassEmbedding, denoisingLoss } from './denoising.js';
import type { Stage, StageContext } from './stage.js';

export function baseStage(context: StageContext): Stage {
  return {
    name: 'base',
    check() {
      checkChannels(context, { sample: 3, condition: 0, what: 'RGB video' });
      checkClassEmbedding(context, null);
    },
    prepare: asTheyAre,
    loss: inputs => denoisingLoss(context, { clean: inputs.video }, inputs),
  };
}
