/** The shards of a cache: their names, and what is in which. */
import { InputError } from '../../errors.js';
import type { WriteDtype } from '../../models/weights/safetensors.js';

/** How a cache stores numbers. */
export type CacheDtype = 'fp32' | 'bf16' | 'fp16';
export const CACHE_DTYPES = ['fp32', 'bf16', 'fp16'] as const satisfies readonly CacheDtype[];
export const FILE_DTYPE: Record<CacheDtype, WriteDtype> = { fp32: 'F32', bf16: 'BF16', fp16: 'F16' };

/** What a cache can hold. */
export type CacheKind = 'text' | 'latents';

export interface Shard {
  /** Its name in the cache's folder. */
  file: string;
  /** Size of the file, so that a truncated one is noticed. */
  bytes: number;
  /** The tensors in it. */
  names: string[];
}

export const shardName = (kind: CacheKind, number: number): string =>
  `${kind}-${String(number).padStart(5, '0')}.safetensors`;
/** A few finished tensors on their way into a shard. */
export const partName = (kind: CacheKind, number: number): string =>
  `${kind}.part-${String(number).padStart(5, '0')}.safetensors`;
export const indexName = (kind: CacheKind): string => `${kind}-index.json`;

/** Number of a shard or part, by its name; null for other files. */
export function fileNumber(name: string, kind: CacheKind, what: 'shard' | 'part'): number | null {
  const match = new RegExp(`^${kind}${what === 'shard' ? '-' : '\\.part-'}(\\d{5,})\\.safetensors$`).exec(name);
  return match ? Number(match[1]) : null;
}

export const damaged = (dir: string, what: string, kind: CacheKind): InputError =>
  new InputError(
    `the ${kind} cache ${dir} is damaged: ${what}. Run "show1 data cache CONFIG --out ${dir} --${kind}" again: it computes only what is lost.`,
    { code: 'cache.damaged', dir, kind },
  );
