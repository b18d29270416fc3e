/** `train.gradientCheckpointing`: which blocks of the UNet compute their activations twice to keep fewer of them. */
import type { TrainConfig } from '../config/schema.js';
import { InputError } from '../errors.js';
import type { UNet3DConditionModel } from '../models/unet3d/index.js';
import { matcher } from './masks.js';

/**
 * Switches gradient checkpointing on for the chosen blocks, or off.
 * @returns the names of the chosen blocks
 * @throws InputError when a glob matches no block
 */
export function applyCheckpointing(
  unet: UNet3DConditionModel,
  setting: TrainConfig['gradientCheckpointing'],
): string[] {
  const blocks = unet.checkpointableBlocks;
  const globs = Array.isArray(setting) ? setting : [];
  const chosen = new Set(setting === true ? blocks : []);
  for (const glob of globs) {
    const hits = blocks.filter(matcher(glob));
    if (hits.length === 0) {
      throw new InputError(
        `train.gradientCheckpointing: the glob "${glob}" matches none of the model's blocks: ${blocks.join(', ')}. ` +
          'true takes all of them.',
        { code: 'train.checkpointing-matches-nothing', glob, blocks },
      );
    }
    for (const hit of hits) chosen.add(hit);
  }
  const names = blocks.filter(name => chosen.has(name));
  if (names.length > 0) unet.enableGradientCheckpointing(names);
  else unet.disableGradientCheckpointing();
  return names;
}
