/** What the block names of upstream's configs mean: eight down and up blocks and two middles are made of the same parts. */

/** Blocks of a video model (`…3D`), or of an image model (`…2D`), which are the same without their temporal layers. */
export type BlockDims = '2D' | '3D';

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

/** Kinds by name, with 2D for 3D too. @param names of the 3D blocks */
const bothDims = (names: Record<string, BlockKind>): Record<string, BlockKind> => ({
  ...names,
  ...Object.fromEntries(Object.entries(names).map(([name, kind]) => [name.replace('3D', '2D'), kind])),
});

const table = (suffix: string, resnetName: string): Record<string, BlockKind> =>
  bothDims({
    ...Object.fromEntries(Object.entries(KINDS).map(([prefix, kind]) => [`${prefix}${suffix}`, kind])),
    [resnetName]: RESNET,
  });

/** DownBlock3D, CrossAttnDownBlock3D, SimpleCrossAttnDownBlock3D, ResnetDownsampleBlock3D, and the same with 2D. */
export const DOWN_BLOCKS = table('DownBlock3D', 'ResnetDownsampleBlock3D');
/** UpBlock3D, CrossAttnUpBlock3D, SimpleCrossAttnUpBlock3D, ResnetUpsampleBlock3D, and the same with 2D. */
export const UP_BLOCKS = table('UpBlock3D', 'ResnetUpsampleBlock3D');
/** UNetMidBlock3DCrossAttn, UNetMidBlock3DSimpleCrossAttn, and the same with 2D. */
export const MID_BLOCKS = bothDims({
  UNetMidBlock3DCrossAttn: KINDS.CrossAttn!,
  UNetMidBlock3DSimpleCrossAttn: KINDS.SimpleCrossAttn!,
});

/** The names in `blocks` of one kind of model, and with one sampler where it is given. */
export const blockNames = (
  blocks: Record<string, BlockKind>,
  dims: BlockDims,
  sampler?: BlockKind['sampler'],
): string[] =>
  Object.keys(blocks).filter(
    name => name.includes(dims) && blocks[name]!.sampler === (sampler ?? blocks[name]!.sampler),
  );
