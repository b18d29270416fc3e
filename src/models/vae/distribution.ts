/** The diagonal Gaussian over latents that an encoder gives (Kingma & Welling 2014). */
import { type Tensor, tf } from '../../engine/index.js';

/** Each [N, h, w, latent]. */
export interface LatentDistribution {
  mean: Tensor;
  /** Log-variance, clamped to [-30, 20]. */
  logvar: Tensor;
  /** exp(logvar / 2) */
  std: Tensor;
}

/** moments [N, h, w, 2·latent]: means, then log-variances */
export function latentDistribution(moments: Tensor): LatentDistribution {
  return tf.tidy(() => {
    const [mean, raw] = tf.split(moments, 2, -1) as [Tensor, Tensor];
    const logvar = raw.clipByValue(-30, 20);
    return { mean, logvar, std: logvar.mul(0.5).exp() };
  });
}

/** mean + std · noise; `noise` is standard normal and has the latents' shape. */
export function sampleLatents({ mean, std }: Pick<LatentDistribution, 'mean' | 'std'>, noise: Tensor): Tensor {
  return tf.tidy(() => mean.add(std.mul(noise)));
}

/** KL divergence to the standard normal in nats, summed over a latent's numbers: [N]. */
export function latentKl({ mean, logvar, std }: LatentDistribution): Tensor {
  return tf.tidy(() => mean.square().add(std.square()).sub(logvar).sub(1).mul(0.5).sum([1, 2, 3]));
}
