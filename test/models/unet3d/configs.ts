/** Tiny models of every family, as diffusers configs. */
export const PIXEL = {
  _class_name: 'UNet3DConditionModel',
  in_channels: 3,
  out_channels: 6,
  block_out_channels: [32, 64],
  layers_per_block: 1,
  down_block_types: ['ResnetDownsampleBlock3D', 'SimpleCrossAttnDownBlock3D'],
  mid_block_type: 'UNetMidBlock3DSimpleCrossAttn',
  up_block_types: ['SimpleCrossAttnUpBlock3D', 'ResnetUpsampleBlock3D'],
  act_fn: 'gelu',
  resnet_time_scale_shift: 'scale_shift',
  norm_num_groups: 8,
  attention_head_dim: 16,
  cross_attention_dim: 64,
  cross_attention_norm: 'group_norm',
  addition_embed_type: 'text',
  addition_embed_type_num_heads: 2,
  encoder_hid_dim: 12,
  encoder_hid_dim_type: 'text_proj',
};

/** Super-resolution: noise level as a class label, attention to text alone. */
export const SR = {
  ...PIXEL,
  in_channels: 6,
  class_embed_type: 'timestep',
  only_cross_attention: true,
  time_embedding_act_fn: 'gelu',
  resnet_skip_time_act: true,
  resnet_out_scale_factor: 1.4,
  mid_block_scale_factor: 1.4,
};

/** diffusers' own class. */
export const LATENT = {
  _class_name: 'UNet3DConditionModel',
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [32, 64],
  layers_per_block: 1,
  down_block_types: ['CrossAttnDownBlock3D', 'DownBlock3D'],
  up_block_types: ['UpBlock3D', 'CrossAttnUpBlock3D'],
  norm_num_groups: 8,
  attention_head_dim: 8,
  cross_attention_dim: 12,
};

/** Latent blocks in Show-1's class. */
export const LATENT_SHOW1 = { ...LATENT, mid_block_type: 'UNetMidBlock3DCrossAttn', attention_head_dim: 4 };
