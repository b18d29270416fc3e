/** Keeping the predicted x_0 in range: static clipping and Imagen's dynamic thresholding. */
import { type Tensor, tf } from '../engine/tf.js';
import { InputError } from '../errors.js';
import { quantile } from './quantile.js';

export interface ThresholdOptions {
  /** Which quantile of |x_0| becomes the threshold s (diffusers' `dynamic_thresholding_ratio`). */
  ratio: number;
  /** The largest s (diffusers' `sample_max_value`). */
  maxValue: number;
}

/**
 * Dynamic thresholding (Saharia et al. 2022, section 2.3): s = quantile(|x_0|, ratio) clamped to [1, maxValue], then
 * x_0 = clamp(x_0, -s, s) / s. One s an image, which means one s a FRAME: Show-1 folds the frames into the batch.
 *
 * x0: images [N, …] of rank up to 4, any channel axis, or videos [B, F, H, W, C]. Same shape back.
 */
export function dynamicThreshold(x0: Tensor, { ratio, maxValue }: ThresholdOptions): Tensor {
  const images = x0.shape.length === 5 ? x0.shape[0]! * x0.shape[1]! : x0.shape[0]!;
  return tf.tidy(() => {
    const flat = tf.reshape(x0, [images, -1]); // [N, C*H*W]
    const s = tf.minimum(tf.maximum(quantile(tf.abs(flat), ratio), 1), maxValue);
    const limit = tf.reshape(s, [images, 1]);
    return tf.reshape(tf.div(tf.maximum(tf.minimum(flat, limit), tf.neg(limit)), limit), x0.shape);
  });
}

/** The clipping part that all scheduler configs share. */
export interface RangeConfig {
  thresholding: boolean;
  dynamicThresholdingRatio: number;
  sampleMaxValue: number;
  /** DPM-Solver never clips: absent there. */
  clipSample?: boolean;
  clipSampleRange?: number;
}

/** Applies the configured thresholding, else the configured clipping, else nothing. Same shape back. */
export function limitSample(x0: Tensor, config: RangeConfig, channelAxis: number): Tensor {
  if (config.thresholding) {
    if (x0.shape.length > 4 && channelAxis !== -1 && channelAxis !== x0.shape.length - 1) {
      throw new InputError(
        `dynamic thresholding works on frames: a sample of shape [${x0.shape}] with channels on axis ${channelAxis} mixes them; ` +
          'fold the frames into the batch, or use [B, F, H, W, C]',
        { code: 'diffusion.threshold-layout', shape: x0.shape, channelAxis },
      );
    }
    return dynamicThreshold(x0, { ratio: config.dynamicThresholdingRatio, maxValue: config.sampleMaxValue });
  }
  if (config.clipSample) {
    const range = config.clipSampleRange ?? 1;
    return tf.clipByValue(x0, -range, range);
  }
  return x0;
}
