/** The blocks that a config asks for. */
import { type BlockKind, DOWN_BLOCKS, MID_BLOCKS, UP_BLOCKS } from './block-types.js';
import { DownBlock, MidBlock, UpBlock } from './blocks.js';
import { perLevel, type UNet3DConfig } from './config.js';
import { headDimEntry, levelHeads } from './heads.js';
import type { LevelConfig } from './level.js';

/** @param level resolution, 0 the highest  @param position index in the block's own list */
function levelConfig(
  config: UNet3DConfig,
  path: 'down' | 'mid' | 'up',
  kind: BlockKind,
  position: number,
  tembChannels: number,
): LevelConfig {
  const levels = config.blockOutChannels.length;
  const level = path === 'up' ? levels - 1 - position : position;
  const channels = config.blockOutChannels[level]!;
  const only = config.onlyCrossAttention;
  // Upstream's middle transformer never gets the option; its added-KV attention has one of its own.
  const midOnly =
    kind.attention === 'added-kv' && (config.midBlockOnlyCrossAttention ?? (Array.isArray(only) ? false : only));
  return {
    config,
    kind,
    channels,
    tembChannels,
    heads: levelHeads(config, kind, channels, headDimEntry(config, path, position, kind)),
    crossAttentionDim: perLevel(config.crossAttentionDim, levels)[level]!,
    onlyCrossAttention: path === 'mid' ? midOnly : perLevel(only, levels)[level]!,
    transformerLayers: perLevel(config.transformerLayersPerBlock, levels)[level]!,
    // The latent down and up blocks have no such option upstream.
    outputScaleFactor:
      path === 'mid' ? config.midBlockScaleFactor : kind.sampler === 'resnet' ? config.resnetOutScaleFactor : 1,
  };
}

export function downBlocks(config: UNet3DConfig, tembChannels: number): DownBlock[] {
  const { blockOutChannels, downBlockTypes } = config;
  const layers = perLevel(config.layersPerBlock, blockOutChannels.length);
  return downBlockTypes.map((type, i) => {
    const level = levelConfig(config, 'down', DOWN_BLOCKS[type]!, i, tembChannels);
    return new DownBlock(level, blockOutChannels[Math.max(0, i - 1)]!, layers[i]!, i < downBlockTypes.length - 1);
  });
}

export function midBlock(config: UNet3DConfig, tembChannels: number): MidBlock | null {
  if (config.midBlockType === null) return null;
  const last = config.blockOutChannels.length - 1;
  return new MidBlock(levelConfig(config, 'mid', MID_BLOCKS[config.midBlockType]!, last, tembChannels));
}

export function upBlocks(config: UNet3DConfig, tembChannels: number): UpBlock[] {
  const { blockOutChannels, upBlockTypes } = config;
  const levels = blockOutChannels.length;
  const layers = perLevel(config.layersPerBlock, levels);
  return upBlockTypes.map((type, i) => {
    const level = levelConfig(config, 'up', UP_BLOCKS[type]!, i, tembChannels);
    const resolution = levels - 1 - i;
    const below = blockOutChannels[Math.min(resolution + 1, levels - 1)]!;
    // One layer more than on the way down: the last takes what the downsampler (or conv_in) gave this level.
    const skips = [
      ...Array<number>(layers[resolution]!).fill(level.channels),
      blockOutChannels[Math.max(0, resolution - 1)]!,
    ];
    return new UpBlock(level, below, skips, i < levels - 1);
  });
}
