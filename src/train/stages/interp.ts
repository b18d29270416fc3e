/**
 * Interpolation stage: a pixel-space UNet3D fills the frames between two keyframes. Beside the noise it sees the straight
 * blend of the first and the last frame and a mask of those two (paper section 3.2; Show-1 `pipeline_t2v_interp_pixel.py`).
 *
 * All frames are noised and all count in the loss, the two given ones too: the released sampler denoises the whole window
 * and writes all of it, so the network must know how to hand the keyframes through at every noise level.
 */
import { interpolationCondition } from '../../diffusion/index.js';
import { type Tensor, tf } from '../../engine/index.js';
import { asTheyAre, checkChannels, checkClassEmbedding, denoisingLoss } from './denoising.js';
import type { Stage, StageContext } from './stage.js';

/** The condition of whole windows: [B, F, H, W, 3] -> [B, F, H, W, 4], from their first and last frames alone. */
export function windowCondition(video: Tensor): Tensor {
  const F = video.shape[1]!;
  const frame = (i: number) => tf.squeeze(video.slice([0, i], [-1, 1]), [1]); // [B, H, W, 3]
  return tf.tidy(() => interpolationCondition(frame(0), frame(F - 1), F));
}

export function interpStage(context: StageContext): Stage {
  return {
    name: 'interp',
    check() {
      checkChannels(context, { sample: 3, condition: 4, what: 'RGB video beside a blend of two frames and a mask' });
      checkClassEmbedding(context, null);
    },
    prepare: asTheyAre,
    loss: inputs => denoisingLoss(context, { clean: inputs.video, condition: windowCondition(inputs.video) }, inputs),
  };
}
