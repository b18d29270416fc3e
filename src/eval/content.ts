/** What a video is, by content: names, folders and machines do not matter. */
import { createHash } from 'node:crypto';
import type { ManifestEntry } from '../data/index.js';
import { hashFile } from '../train/cache/file-hashes.js';

/** Hash of the file's bytes (or of a tar's member), of the part of it that the clip takes, and of the length that its source states. */
export async function contentOf(entry: ManifestEntry, signal?: AbortSignal): Promise<string> {
  const { path, member, segment, info } = entry;
  const sha256 = await hashFile(path, { range: member && { start: member.start, end: member.end }, signal });
  if (!segment && !info) return sha256;
  const stated = info && { fps: info.fps, seconds: info.seconds, frames: info.frames };
  return createHash('sha256').update(JSON.stringify({ sha256, segment, stated })).digest('hex');
}

/** A hash of a set by the contents of its videos, whatever their names and order. */
export function hashOfContents(contents: readonly string[]): string {
  return createHash('sha256')
    .update([...contents].sort().join('\n'))
    .digest('hex');
}
