/** What a video is, by content: names, folders and machines do not matter. */
import { createHash } from 'node:crypto';
import type { ManifestEntry } from '../data/index.js';
import { hashFile } from '../train/cache/file-hashes.js';

export interface Content {
  /** Hash of the file's bytes (or of a tar's member), with the part of it that the clip takes. */
  video: string;
  /** What its features are stored under: with the length that its source states, which decides what is read. */
  name: string;
}

export async function contentOf(entry: ManifestEntry, signal?: AbortSignal): Promise<Content> {
  const { path, member, segment, info } = entry;
  const sha256 = await hashFile(path, { range: member && { start: member.start, end: member.end }, signal });
  const video = segment ? hashOf({ sha256, segment }) : sha256;
  if (!info) return { video, name: video };
  return { video, name: hashOf({ video, stated: { fps: info.fps, seconds: info.seconds, frames: info.frames } }) };
}

const hashOf = (value: object): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** A hash of a set by its videos, whatever their names and order. */
export function hashOfVideos(videos: readonly string[]): string {
  return createHash('sha256')
    .update([...videos].sort().join('\n'))
    .digest('hex');
}
