/**
 * First super-resolution stage: a pixel-space UNet3D enlarges a clip. Beside the noise it sees the small clip, enlarged and
 * noised (noise conditioning augmentation, Ho et al. 2022, "Cascaded Diffusion Models"), with a noise-free first frame, and
 * is told the noise level as its class label (paper section 3.3; Show-1 `pipeline_t2v_sr_pixel_cond.py`).
 */
import type { Config } from '../../config/schema.js';
import { addNoise } from '../../diffusion/index.js';
import { foldKey, randomNormal, randomUniform, type Tensor, tf } from '../../engine/index.js';
import { CONDITION_SCHEDULE, upsampleVideo } from '../../infer/super-resolution.js';
import { areaDownsample, bicubicEnlarge } from '../low-resolution.js';
import { randomCrop } from '../random-crop.js';
import { checkChannels, checkClassEmbedding, DRAW, denoisingLoss } from './denoising.js';
import type { Stage, StageContext } from './stage.js';

/** The noise level of each clip's condition, [B] int32. */
export function drawLevel({ noiseLevel }: Config['conditioning'], B: number, noiseKey: Tensor): Tensor {
  const uniform = randomUniform([B], foldKey(noiseKey, DRAW.conditionLevel));
  return uniform
    .mul(noiseLevel.max - noiseLevel.min + 1)
    .floor()
    .add(noiseLevel.min)
    .toInt();
}

/**
 * The condition of clips [B, F, H, W, 3], of the same shape, at the levels of `drawLevel`. The first frame carries no noise: with
 * probability `firstFrame` it is the clip's own, as in the released sampler, which always has one (from an image model, then
 * from the window before); else it is the small frame enlarged, as the sampler does without an image model.
 */
export function drawCondition(conditioning: Config['conditioning'], video: Tensor, noiseKey: Tensor): Tensor {
  const { scale, firstFrame } = conditioning;
  const [B, F, H, W] = video.shape as [number, number, number, number];
  return tf.tidy(() => {
    const small = areaDownsample(video, scale); // [B, F, h, w, 3]
    const noise = randomNormal(video.shape, foldKey(noiseKey, DRAW.conditionNoise));
    const level = drawLevel(conditioning, B, noiseKey);
    const noisy = addNoise(CONDITION_SCHEDULE, upsampleVideo(small, [H, W]), noise, level);
    const given = randomUniform([B, 1, 1, 1, 1], foldKey(noiseKey, DRAW.firstFrame)).less(firstFrame).toFloat();
    const enlarged = bicubicEnlarge(small.slice([0, 0], [-1, 1]), [H, W]); // [B, 1, H, W, 3]
    const first = tf.add(tf.mul(given, video.slice([0, 0], [-1, 1])), tf.mul(tf.sub(1, given), enlarged));
    return tf.concat([first, noisy.slice([0, 1], [-1, F - 1])], 1);
  });
}

export function sr1Stage(context: StageContext): Stage {
  return {
    name: 'sr1',
    check() {
      checkChannels(context, { sample: 3, condition: 3, what: 'RGB video beside its enlarged small version' });
      checkClassEmbedding(context, 'timestep');
    },
    // The condition is made of whole frames, whose corners bilinear enlargement aligns, before a square is cut out of both.
    async prepare(clips, noiseKey) {
      const { conditioning } = context.config;
      return tf.tidy(() => {
        const both = tf.concat([clips, drawCondition(conditioning, clips, noiseKey)], 4); // [B, F, H, W, 6]
        const { crop, scale } = conditioning;
        return crop === 0 ? both : randomCrop(both, crop, scale, foldKey(noiseKey, DRAW.crop));
      });
    },

    loss(inputs) {
      const [clean, condition] = tf.split(inputs.video, 2, 4) as [Tensor, Tensor];
      const classLabels = drawLevel(context.config.conditioning, clean.shape[0]!, inputs.noiseKey);
      return denoisingLoss(context, { clean, condition, classLabels }, inputs);
    },
  };
}
