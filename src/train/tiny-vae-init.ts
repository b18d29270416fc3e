/**
 * First values of the tiny autoencoder, chosen so that a few hundred steps are enough: at the start the network is nearly a
 * linear map of averaged pixels, signals keep their size through it, and latents carry little noise.
 */
import { type Tensor, tf } from '../engine/index.js';
import type { AutoencoderKL } from '../models/vae/index.js';

/** Log-variance of the latents at the start: noise of e^-4, about 0.02. */
const FIRST_LOG_VARIANCE = -8;
/** PyTorch's own initialisation has variance 1/3 a step; this makes it 1. */
const UNIT_GAIN = Math.sqrt(3);

/** Taps of a 3×3 kernel that halves by averaging (a pixel, its right, lower and lower right neighbours). */
const AVERAGE = [1, 1, 0, 1, 1, 0, 0, 0, 0].map(tap => tap / 4);
/** Taps that smooth what nearest-neighbour doubling made. */
const SMOOTH = [1, 2, 1, 2, 4, 2, 1, 2, 1].map(tap => tap / 16);

/** Initialises all parameters from the seed. */
export function initializeTinyVae(vae: AutoencoderKL, seed: number): void {
  vae.initialize(seed);
  const { latentChannels } = vae.config;
  for (const [name, parameter] of vae.parameters()) {
    const isBias = name.endsWith('.bias');
    const assign = (make: () => Tensor) => tf.tidy(() => parameter.assign(make()));
    if (name === 'quant_conv.bias') {
      assign(() => tf.concat([tf.zeros([latentChannels]), tf.fill([latentChannels], FIRST_LOG_VARIANCE)]));
    } else if (/norm/.test(name)) {
      // ones and zeros already
    } else if (isBias || /(conv2|to_out\.0)\.weight$/.test(name)) {
      assign(() => tf.zeros(parameter.shape)); // every residual branch starts as nothing
    } else if (/samplers\.0\.conv\.weight$/.test(name)) {
      const [, , from, to] = parameter.shape as [number, number, number, number];
      const taps = name.includes('downsamplers') ? AVERAGE : SMOOTH;
      assign(() => tf.tensor(taps, [3, 3, 1, 1]).mul(tf.eye(from, to).reshape([1, 1, from, to])));
    } else {
      assign(() => parameter.value().mul(UNIT_GAIN));
    }
  }
}
