import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { InputError } from '../errors.js';
import type { VideoInfo } from './ffmpeg.js';
import { checkFile, clipProblem } from './ffmpeg-errors.js';
import { mapLimit } from './limit.js';
import { readSource, SOURCE_HELP } from './sources/index.js';
import { nameOf, type Segment, type TarMember } from './video-source.js';

/** One captioned video of a dataset. */
export interface ManifestEntry {
  /** Unique in its manifest: the path without extension, or WebVid's id. */
  id: string;
  /** Absolute path of the video. */
  path: string;
  caption: string;
  /** All captions of a video that has several, `caption` among them: a sample draws one. */
  captions?: string[];
  /** File that gave the caption. */
  source: string;
  /** 1-based line in it; 0 where there is none. */
  line: number;
  /** What the source states about the clip (of a segment: its own length); trusted instead of a probe. */
  info?: VideoInfo;
  /** The video is these bytes of `path`, a tar shard. */
  member?: TarMember;
  /** The clip is this part of the video. */
  segment?: Segment;
  /** A still picture: one frame. */
  kind?: 'image';
}

/** Something that was passed over, and why. */
export interface Skip {
  path: string;
  /** `missing file`, `zero-byte file`, `no caption`, `malformed row`, `not a file`, `unreadable`. */
  reason: string;
  detail: string;
  /** Where it was listed, `file:line`. */
  source: string;
}

export interface Manifest {
  /** Absolute path of what was read. */
  source: string;
  kind: 'folder' | 'pictures' | 'csv' | 'jsonl' | 'parquet' | 'webdataset' | 'ucf101' | 'msrvtt' | 'prepared' | 'video';
  entries: ManifestEntry[];
  /** The first {@link MAX_LISTED_SKIPS} skips; `counts` has them all. */
  skipped: Skip[];
  /** Number of skips by reason. */
  counts: Record<string, number>;
  /** Choices that were made for the user, worth printing. */
  notes: string[];
}

export interface ManifestOptions {
  /** Folder of the videos that a table or MSR-VTT names; default: the file's own folder (WebVid: its `videos/`, if there). */
  root?: string;
  /** A folder may be one of pictures (jpg, png, webp) with captions; files of such names are single frames. */
  pictures?: boolean;
  /** Which part of a dataset with a `split.json`, of UCF-101 or of MSR-VTT; default `train`. */
  split?: string;
  /** Read at most so many rows of a CSV, JSONL or Parquet table. */
  limit?: number;
  /** Clips without a caption are entries too. */
  withoutCaptions?: boolean;
}

export const MAX_LISTED_SKIPS = 1000;

/** Gives the second, third … entry of the same id a number. */
function makeUnique(entries: ManifestEntry[]): void {
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const count = (seen.get(entry.id) ?? 0) + 1;
    seen.set(entry.id, count);
    if (count > 1) entry.id = `${entry.id}#${count}`;
  }
}

/** Everything that a source names. */
export interface SourceListing {
  /** Absolute path of what was read. */
  source: string;
  kind: Manifest['kind'];
  entries: ManifestEntry[];
  skips: Skip[];
  notes: string[];
}

/**
 * Lists the captioned videos of a source of any layout (docs/data.md); which one it is, is found out, `kind` says it. A missing
 * or empty file, a clip without caption or a broken row is passed over, never fatal alone. Videos are not opened here.
 * @throws InputError `manifest.missing` no such source; `manifest.kind` not a source
 */
export async function listSource(source: string, options: ManifestOptions = {}): Promise<SourceListing> {
  const path = resolve(source);
  const found = await stat(path).catch(() => undefined);
  if (!found)
    throw new InputError(`data source ${path} does not exist. ${SOURCE_HELP}`, {
      code: 'manifest.missing',
      source: path,
    });
  const { kind, candidates, skips, notes } = await readSource(path, found.isDirectory(), options);
  const listing: SourceListing = { source: path, kind, entries: [], skips: [...skips], notes };
  const checked = await mapLimit(candidates, availableParallelism() * 4, one =>
    checkCandidate(one, options.withoutCaptions),
  );
  for (const [i, skip] of checked.entries()) {
    if (skip) listing.skips.push(skip);
    else listing.entries.push(candidates[i]!);
  }
  makeUnique(listing.entries);
  return listing;
}

/**
 * {@link listSource} for a reader: what was passed over is counted. Damaged videos are found by the loader.
 * @throws InputError as listSource, and `manifest.empty` when nothing in it is usable
 */
export async function openManifest(source: string, options: ManifestOptions = {}): Promise<Manifest> {
  const { skips, ...listing } = await listSource(source, options);
  const manifest: Manifest = { ...listing, skipped: skips.slice(0, MAX_LISTED_SKIPS), counts: {} };
  for (const { reason } of skips) manifest.counts[reason] = (manifest.counts[reason] ?? 0) + 1;
  if (manifest.entries.length === 0) throw nothingLeft(manifest);
  return manifest;
}

async function checkCandidate(entry: ManifestEntry, withoutCaptions = false): Promise<Skip | undefined> {
  const source = entry.line > 0 ? `${entry.source}:${entry.line}` : entry.source;
  const path = nameOf(entry);
  try {
    await checkFile(entry);
  } catch (error) {
    const reason = clipProblem(error);
    if (reason === undefined) throw error;
    return { path, reason, detail: (error as Error).message, source };
  }
  if (entry.caption !== '' || withoutCaptions) return undefined;
  return { path, reason: 'no caption', detail: `${path}: no caption beside it or in a mapping file`, source };
}

function nothingLeft(manifest: Manifest): InputError {
  const { source, counts } = manifest;
  const reasons = describeCounts(counts);
  const first = manifest.skipped[0];
  const example = first ? ` First: ${first.source}: ${first.detail}.` : '';
  const why = reasons === '' ? 'holds no videos' : `has no usable clip: ${reasons}`;
  return new InputError(`data source ${source} ${why}.${example} ${SOURCE_HELP}`, {
    code: 'manifest.empty',
    source,
    counts,
  });
}

/** `2 missing file, 1 no caption`; '' where nothing was skipped. */
export function describeCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}

/** A hash of ids and captions in order: a resumed run that sees another one would read other data. */
export function fingerprint(entries: readonly ManifestEntry[]): string {
  const hash = createHash('sha256');
  for (const { id, caption, captions = [caption] } of entries) hash.update([id, ...captions, ''].join('\u0000'));
  return hash.digest('hex').slice(0, 16);
}
