/** Safetensors files: open lazily, write atomically. */
import { locateWeights } from './locate.js';
import { SafetensorsFile } from './reader.js';
import { ShardedSafetensors } from './sharded.js';
import type { Staging, WeightSource } from './source.js';

export type { WriteDtype } from './dtypes.js';
export {
  type RawTensorEntry,
  type ShardOptions,
  type TensorEntry,
  writeSafetensors,
  writeShardedSafetensors,
} from './writer.js';

/** An opened file or set of shards. */
export interface SafetensorsReader extends WeightSource {
  readonly metadata: Record<string, string>;
  readSync(name: string): ReturnType<SafetensorsFile['readSync']>;
  /**
   * A tensor's bytes as they lie in the file, whatever its type, in pieces of whole elements and at most 16 MiB. A piece
   * is valid until the next use of `staging`.
   */
  pieces(name: string, staging: Staging): AsyncIterable<Uint8Array>;
}

export interface OpenOptions {
  /** In a folder, prefer `diffusion_pytorch_model.<variant>.safetensors` (as `fp16`). */
  variant?: string;
}

/**
 * Opens a `.safetensors` file, a `.safetensors.index.json`, or a folder that holds either. Reads headers only; close it
 * when done.
 * @throws InputError naming the file, what is wrong and what to do
 */
export function openSafetensors(path: string, { variant }: OpenOptions = {}): SafetensorsReader {
  const found = locateWeights(path, variant);
  if ('file' in found) return SafetensorsFile.open(found.file);
  const files: SafetensorsFile[] = [];
  try {
    for (const shard of found.shards) files.push(SafetensorsFile.open(shard));
    return new ShardedSafetensors(found.index?.file ?? path, files, found.index?.map);
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}
