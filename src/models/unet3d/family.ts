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

/** The options that Show-1's class has and diffusers' does not. */
const SHOW1_KEYS: ReadonlySet<string> = new Set([
  'center_input_sample',
  'flip_sin_to_cos',
  'freq_shift',
  'mid_block_type',
  'only_cross_attention',
  'transformer_layers_per_block',
  'encoder_hid_dim',
  'encoder_hid_dim_type',
  'dual_cross_attention',
  'use_linear_projection',
  'class_embed_type',
  'addition_embed_type',
  'addition_time_embed_dim',
  'num_class_embeds',
  'upcast_attention',
  'resnet_time_scale_shift',
  'resnet_skip_time_act',
  'resnet_out_scale_factor',
  'time_embedding_type',
  'time_embedding_dim',
  'time_embedding_act_fn',
  'timestep_post_act',
  'conv_in_kernel',
  'conv_out_kernel',
  'projection_class_embeddings_input_dim',
  'class_embeddings_concat',
  'mid_block_only_cross_attention',
  'cross_attention_norm',
  'addition_embed_type_num_heads',
  'transfromer_in_opt',
]);

/**
 * A config with any option of Show-1's class alone (`transfromer_in_opt`, `mid_block_type`, `addition_embed_type`, …) is
 * Show-1's, because both classes write all their options; one without is diffusers'. Options that neither knows decide
 * nothing: later versions of diffusers add some, and a wrong guess would silently change what a head count means. A
 * hand-written config of Show-1's class that uses none of them must name its family, or say `mid_block_type`.
 */
export function detectFamily(json: JsonObject): UNet3DFamily {
  return Object.keys(json).some(key => SHOW1_KEYS.has(key)) ? 'show1' : 'diffusers';
}
