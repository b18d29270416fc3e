/** Two upstream classes share the name UNet3DConditionModel; they differ in options and in what a head count means. */
import type { JsonObject } from '../weights/pretrained.js';

/** `show1`: github.com/showlab/Show-1. `diffusers`: the library's own (ModelScope, zeroscope; Show-1's last stage). */
export type UNet3DFamily = 'show1' | 'diffusers';

/**
 * `image`: diffusers' UNet2DConditionModel (DeepFloyd IF, Stable Diffusion), whose layers and options are those of Show-1's
 * class without the temporal ones.
 */
export type UNetFamily = UNet3DFamily | 'image';

/** Every option of diffusers' class (`time_cond_proj_dim` came after 0.19). */
export const DIFFUSERS_KEYS: ReadonlySet<string> = new Set([
  'sample_size',
  'in_channels',
  'out_channels',
  'down_block_types',
  'up_block_types',
  'block_out_channels',
  'layers_per_block',
  'downsample_padding',
  'mid_block_scale_factor',
  'act_fn',
  'norm_num_groups',
  'norm_eps',
  'cross_attention_dim',
  'attention_head_dim',
  'num_attention_heads',
  'time_cond_proj_dim',
]);

/**
 * A config with any option that diffusers' class does not have (`transfromer_in_opt`, `mid_block_type`,
 * `addition_embed_type`, …) is Show-1's, because both classes write all their options; one without is diffusers'. A
 * hand-written config of Show-1's class that uses none of them must name its family, or say `mid_block_type`.
 */
export function detectFamily(json: JsonObject): UNet3DFamily {
  const keys = Object.keys(json).filter(key => !key.startsWith('_'));
  return keys.some(key => !DIFFUSERS_KEYS.has(key)) ? 'show1' : 'diffusers';
}
