/** The terms of the variational lower bound L_vlb (Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021, eq. 4-7). */
import { type Tensor, tf } from '../engine/tf.js';

const LOWEST = 1e-12;

/**
 * KL(N(m1, exp(logVar1)) || N(m2, exp(logVar2))) elementwise, in nats, from the squared distance (m1 - m2)².
 * Shapes broadcast.
 */
export function gaussianKl(squaredDistance: Tensor, logVar1: Tensor, logVar2: Tensor): Tensor {
  return tf.tidy(() => {
    const gap = tf.sub(logVar1, logVar2);
    const distance = tf.mul(squaredDistance, tf.exp(tf.neg(logVar2)));
    return tf.mul(tf.sub(tf.add(tf.exp(gap), distance), tf.add(gap, 1)), 0.5);
  });
}

/**
 * -log p(x_0 | x_1) of 8-bit images scaled to [-1, 1], elementwise, in nats (Ho et al. 2020, eq. 13): the Gaussian's
 * mass in the bin of width 2/255 around x_0; the outermost bins reach to infinity. `centered` is x_0 - mean. x0 is data:
 * no gradient flows to it. Masses below 1e-12 are clamped there.
 */
export function discretizedGaussianNll(x0: Tensor, centered: Tensor, logVar: Tensor): Tensor {
  return tf.tidy(() => {
    const scale = tf.mul(tf.exp(tf.mul(logVar, -0.5)), Math.SQRT1_2); // 1 / (sqrt(2) std)
    const upper = tf.erf(tf.mul(scale, tf.add(centered, 1 / 255)));
    const lower = tf.erf(tf.mul(scale, tf.sub(centered, 1 / 255)));
    // Masks by `step`, whose gradient is zero: comparisons have none, and TF.js throws where they are on the tape.
    const isLowest = tf.step(tf.sub(-0.999, x0));
    const isHighest = tf.step(tf.sub(x0, 0.999));
    const isInner = tf.sub(tf.sub(1, isLowest), isHighest);
    const from = tf.sub(tf.mul(lower, tf.sub(1, isLowest)), isLowest); // erf(-∞) = -1
    const to = tf.add(tf.mul(upper, tf.add(isLowest, isInner)), isHighest); // erf(∞) = 1
    return tf.neg(tf.log(tf.maximum(tf.mul(tf.sub(to, from), 0.5), LOWEST)));
  });
}
