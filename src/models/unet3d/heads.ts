/**
 * How `attention_head_dim` splits channels into heads. Upstream never settled whether it is a size or a number of heads
 * (diffusers issue 2011), so it depends on the class and the kind of attention:
 *
 * | | spatial added-KV | spatial transformer | temporal |
 * | --- | --- | --- | --- |
 * | Show-1's class | size | number | number |
 * | diffusers' image class | size | number | |
 * | diffusers' class | | size | size |
 */
import { InputError } from '../../errors.js';
import type { BlockKind } from './block-types.js';
import { perLevel, type UNet3DConfig } from './config.js';

export interface Heads {
  heads: number;
  headDim: number;
}

export interface LevelHeads {
  spatial: Heads;
  temporal: Heads;
}

const bySize = (channels: number, headDim: number): Heads => ({ heads: Math.floor(channels / headDim), headDim });
const byNumber = (channels: number, heads: number): Heads => ({ heads, headDim: Math.floor(channels / heads) });

/**
 * `attention_head_dim` of a block: down and middle blocks read their level's entry. Up block i reads entry
 * levels-1-i as transformers' heads, but entry i, not reversed, as added-KV's size (a slip upstream that released
 * weights depend on).
 * @param position index of the block in its own list; for the middle, the last level
 */
export function headDimEntry(
  config: UNet3DConfig,
  path: 'down' | 'mid' | 'up',
  position: number,
  kind: BlockKind,
): number {
  const levels = config.blockOutChannels.length;
  const entries = perLevel(config.attentionHeadDim, levels);
  return entries[path === 'up' && kind.attention !== 'added-kv' ? levels - 1 - position : position]!;
}

/** @throws InputError when not even one head fits */
export function levelHeads(config: UNet3DConfig, kind: BlockKind, channels: number, entry: number): LevelHeads {
  if (entry > channels) {
    throw new InputError(`attention_head_dim: ${entry} is more than the ${channels} channels of a level.`, {
      code: 'model.heads',
      channels,
      entry,
    });
  }
  const number = byNumber(channels, entry);
  const size = bySize(channels, entry);
  if (config.family === 'diffusers') return { spatial: size, temporal: size };
  return { spatial: kind.attention === 'added-kv' ? size : number, temporal: number };
}
