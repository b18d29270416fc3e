/**
 * What a clip is, by content: its file's bytes, the part of them that it takes, and the rate and length that its source states. The file is
 * read once; later its size and modification time tell that it is the same, and where the time differs alone, its bytes again.
 */
import { stat } from 'node:fs/promises';
import type { ManifestEntry } from '../../data/index.js';
import { keyOf } from '../../infer/stage-cache.js';
import { hashFile } from './file-hashes.js';

export interface ClipFile {
  size: number;
  mtimeMs: number;
  /** SHA-256 of the file, or of the member's bytes of a tar. */
  sha256: string;
}

/** What a clip takes of its file, and what its source says about it. */
function partOf({ member, segment, info, kind }: ManifestEntry): object {
  const stated = info && { fps: info.fps, seconds: info.seconds };
  return { member: member?.name, segment, stated, kind };
}

/** Where a clip is: two entries of the same place share their latents. */
export const placeOf = (entry: ManifestEntry): string => JSON.stringify([entry.path, partOf(entry)]);

/** Name of a clip's tensor. */
export function clipName({ sha256 }: ClipFile, { segment, info, kind }: ManifestEntry): string {
  return keyOf({ sha256, ...partOf({ segment, info, kind } as ManifestEntry) }).slice(0, 32);
}

/**
 * Looks at a clip's file.
 * @param known what was found earlier
 * @returns `known` itself where the file is still the same
 */
export async function identify(entry: ManifestEntry, known?: ClipFile, signal?: AbortSignal): Promise<ClipFile> {
  const { size, mtimeMs } = await stat(entry.path);
  if (known && known.size === size && known.mtimeMs === mtimeMs) return known;
  const { member } = entry;
  const sha256 = await hashFile(entry.path, { range: member && { start: member.start, end: member.end }, signal });
  return { size, mtimeMs, sha256 };
}
