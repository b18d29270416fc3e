/** What the block names of upstream's configs mean: eight down and up blocks and two middles are made of the same parts. */

export interface BlockKind {
  /** Spatial attention (each followed by a temporal transformer): none, DeepFloyd's added-KV, or a spatial transformer. */
  attention: 'none' | 'added-kv' | 'transformer2d';
  /** Resampling at the end: a convolution (latent blocks) or a resnet block (DeepFloyd's). */
  sampler: 'conv' | 'resnet';
}

const KINDS: Record<string, BlockKind> = {
  '': { attention: 'none', sampler: 'conv' },
  CrossAttn: { attention: 'transformer2d', sampler: 'conv' },
  SimpleCrossAttn: { attention: 'added-kv', sampler: 'resnet' },
};
const RESNET: BlockKind = { attention: 'none', sampler: 'resnet' };

const table = (suffix: string, resnetName: string): Record<string, BlockKind> => ({
  ...Object.fromEntries(Object.entries(KINDS).map(([prefix, kind]) => [`${prefix}${suffix}`, kind])),
  [resnetName]: RESNET,
});

/** DownBlock3D, CrossAttnDownBlock3D, SimpleCrossAttnDownBlock3D, ResnetDownsampleBlock3D. */
export const DOWN_BLOCKS = table('DownBlock3D', 'ResnetDownsampleBlock3D');
/** UpBlock3D, CrossAttnUpBlock3D, SimpleCrossAttnUpBlock3D, ResnetUpsampleBlock3D. */
export const UP_BLOCKS = table('UpBlock3D', 'ResnetUpsampleBlock3D');
export const MID_BLOCKS: Record<string, BlockKind> = {
  UNetMidBlock3DCrossAttn: KINDS.CrossAttn!,
  UNetMidBlock3DSimpleCrossAttn: KINDS.SimpleCrossAttn!,
};
