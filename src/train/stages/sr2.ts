/**
 * Second super-resolution stage, "expert translation" (paper section 3.4): a latent UNet3D learns to denoise large clips at
 * timesteps below 900 alone; sampling starts from the noised latents of an enlarged clip (SDEdit), so the noise levels that
 * would invent a clip from nothing never occur. The frozen VAE encodes outside the gradient.
 */
import { videoShapes } from '../../config/shapes.js';
import { foldKey, randomNormal, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { randomCrop } from '../random-crop.js';
import { checkChannels, checkClassEmbedding, DRAW, denoisingLoss } from './denoising.js';
import type { Stage, StageContext } from './stage.js';

export function sr2Stage(context: StageContext): Stage {
  const { codec, config: run, unet } = context;
  return {
    name: 'sr2',

    check() {
      const channels = codec?.vae.config.latentChannels ?? unet.config.inChannels;
      checkChannels(context, { sample: channels, condition: 0, what: `latents of ${channels} channels` });
      checkClassEmbedding(context, null);
      const factor = codec?.vae.downsampleFactor ?? 1;
      const sides = videoShapes(run).flatMap(({ path, width, height }): [string, number][] => {
        const name = path.join('.');
        return [
          [`${name}.width`, width],
          [`${name}.height`, height],
        ];
      });
      for (const [key, value] of [...sides, ['conditioning.crop', run.conditioning.crop] as const]) {
        if (value % factor === 0) continue;
        throw new InputError(
          `${key} is ${value}; the VAE makes one latent of ${factor} × ${factor} pixels, so it must be a multiple of ${factor}`,
          { code: 'train.latent-size', [key]: value, factor },
        );
      }
    },

    // Whole frames are encoded, as in sampling (and in a cache of latents); a square is cut out of the latents.
    async prepare(clips, noiseKey) {
      if (!codec) throw new InputError('stage sr2 needs a VAE: set model.vae', { code: 'train.no-vae' });
      const { downsampleFactor: factor, config } = codec.vae;
      const [B, F, H, W] = clips.shape as [number, number, number, number];
      const cached = run.data.cached?.latents !== undefined; // the loader has read means and deviations
      const sides = cached ? [H, W] : [H / factor, W / factor];
      const noise = tf.tidy(() =>
        randomNormal([B, F, ...sides, config.latentChannels], foldKey(noiseKey, DRAW.latentNoise)),
      );
      const draw = async () => (cached ? codec.draw(clips, noise) : codec.encode(clips, noise));
      const latents = await draw().finally(() => noise.dispose());
      const { crop } = run.conditioning;
      if (crop === 0) return latents;
      return tf.tidy(() => {
        const square = randomCrop(latents, crop / factor, 1, foldKey(noiseKey, DRAW.crop));
        latents.dispose();
        return square;
      });
    },

    loss: inputs => denoisingLoss(context, { clean: inputs.video }, inputs),
  };
}
