import { randomNormal, rngKey, type Tensor, tf } from '../../../src/engine/index.js';
import { AutoencoderKL } from '../../../src/models/vae/index.js';

const types = (name: string, levels: number) => Array<string>(levels).fill(name);

/** Attention in a level, three levels (factor 4), two layers each. */
export const ATTENTION = {
  _class_name: 'AutoencoderKL',
  block_out_channels: [8, 16, 24],
  down_block_types: ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D', 'UpDecoderBlock2D'],
  layers_per_block: 2,
  norm_num_groups: 4,
  act_fn: 'gelu',
  scaling_factor: 0.3,
};

/** Two levels (factor 2), as plain as can be. */
export const PLAIN = {
  block_out_channels: [8, 12],
  down_block_types: types('DownEncoderBlock2D', 2),
  up_block_types: types('UpDecoderBlock2D', 2),
  norm_num_groups: 4,
};

/** An autoencoder whose parameters are all random, norms and biases too. */
export function randomVae(json: Record<string, unknown> = PLAIN, { seed = 1, spread = 0.3 } = {}): AutoencoderKL {
  const vae = new AutoencoderKL(json);
  vae.initialize(seed);
  for (const [name, p] of vae.parameters()) {
    tf.tidy(() => p.assign(p.value().add(randomNormal(p.shape, rngKey(seed, 0, name)).mul(spread))));
  }
  return vae;
}

export const noise = (shape: number[], seed = 0): Tensor =>
  tf.tidy(() => randomNormal(shape, rngKey(seed, 0, `test ${shape}`)));

export const worst = (a: Tensor, b: Tensor): number => tf.tidy(() => a.sub(b).abs().max().dataSync()[0]!);
