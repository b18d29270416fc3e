import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { isVideoName, stem } from './captions.js';
import type { VideoInfo } from './ffmpeg.js';
import { checkFile, clipProblem } from './ffmpeg-errors.js';
import { readFolder, readSidecar } from './folder.js';
import { mapLimit } from './limit.js';
import { readCsv, readJsonl } from './table.js';
import type { Segment, TarMember } from './video-source.js';

/** One captioned video of a dataset. */
export interface ManifestEntry {
  /** Unique in its manifest: the path without extension, or WebVid's id. */
  id: string;
  /** Absolute path of the video. */
  path: string;
  caption: string;
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

/** An entry whose caption may be empty and whose file was not looked at yet. */
export type Candidate = ManifestEntry;

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
  kind: 'folder' | 'csv' | 'jsonl' | 'video';
  entries: ManifestEntry[];
  /** The first {@link MAX_LISTED_SKIPS} skips; `counts` has them all. */
  skipped: Skip[];
  /** Number of skips by reason. */
  counts: Record<string, number>;
  /** Choices that were made for the user, worth printing. */
  notes: string[];
}

export interface ManifestOptions {
  /** Folder of the videos that a CSV or JSONL names; default: the file's own folder (WebVid: its `videos/`, if there). */
  root?: string;
  /** Which part of a dataset with a `split.json`; default `train`. */
  split?: string;
  /** Read at most so many rows of a CSV or JSONL. */
  limit?: number;
}

export const MAX_LISTED_SKIPS = 1000;

const HELP =
  'A source is a folder of videos, each with a caption in a text file of the same name or in captions.txt | .csv | .json or ' +
  'metadata.jsonl; a CSV with path,caption or with the columns of WebVid (videoid, contentUrl, duration, page_dir, name); a ' +
  'JSONL of {"path", "caption"}; or one video with its text file. "show1 data shapes OUT --clips 512" makes a dataset';

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    found => found.isDirectory(),
    () => false,
  );
}

/** The part of a split dataset: `OUT/train` for a folder `OUT` that holds a `split.json`. */
async function chooseSplit(folder: string, options: ManifestOptions, notes: string[]): Promise<string> {
  const file = join(folder, 'split.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    if (options.split === undefined || options.split === 'train') return folder;
    throw new InputError(`${folder} has no split.json, so it has no split "${options.split}"`, {
      code: 'manifest.split',
      folder,
    });
  }
  const split = options.split ?? 'train';
  const part = join(folder, split);
  if (basename(split) !== split || !(await isFolder(part))) {
    throw new InputError(`${file} says that this dataset has parts, but ${part} is no folder`, {
      code: 'manifest.split',
      folder,
      split,
    });
  }
  if (options.split === undefined) notes.push(`${file} found: reading ${part} only`);
  return part;
}

async function readTable(
  source: string,
  kind: 'csv' | 'jsonl',
  options: ManifestOptions,
  skips: Skip[],
): Promise<Candidate[]> {
  const table = kind === 'csv' ? await readCsv(source, options.limit) : await readJsonl(source, options.limit);
  const videos = join(dirname(source), 'videos');
  const webvid = 'webvid' in table && table.webvid === true;
  const root = resolve(options.root ?? (webvid && (await isFolder(videos)) ? videos : dirname(source)));
  for (const { line, detail } of table.malformed) {
    skips.push({ path: source, reason: 'malformed row', detail, source: `${source}:${line}` });
  }
  return table.rows.map(({ key, caption, line, info }) => ({
    id: webvid ? stem(key) : key.slice(0, key.length - extname(key).length),
    path: isAbsolute(key) ? key : join(root, key),
    caption,
    source,
    line,
    info,
  }));
}

/** Gives the second, third … entry of the same id a number. */
function makeUnique(entries: ManifestEntry[]): void {
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const count = (seen.get(entry.id) ?? 0) + 1;
    seen.set(entry.id, count);
    if (count > 1) entry.id = `${entry.id}#${count}`;
  }
}

/**
 * Lists the captioned videos of a folder, CSV, JSONL or single file. A missing or empty file, a clip without caption or a broken
 * row is counted and passed over, never fatal alone. Videos are not opened here: the loader finds the damaged ones.
 * @throws InputError `manifest.missing` no such source; `manifest.kind` not a source; `manifest.empty` nothing usable in it
 */
export async function openManifest(source: string, options: ManifestOptions = {}): Promise<Manifest> {
  const path = resolve(source);
  const found = await stat(path).catch(() => undefined);
  if (!found)
    throw new InputError(`data source ${path} does not exist. ${HELP}`, { code: 'manifest.missing', source: path });

  const manifest: Manifest = { source: path, kind: 'folder', entries: [], skipped: [], counts: {}, notes: [] };
  const skips: Skip[] = [];
  let candidates: Candidate[];
  const extension = extname(path).toLowerCase();
  if (found.isDirectory()) {
    const contents = await readFolder(await chooseSplit(path, options, manifest.notes));
    candidates = contents.candidates;
    skips.push(...contents.skips);
    manifest.notes.push(...contents.notes);
  } else if (extension === '.csv' || extension === '.jsonl') {
    manifest.kind = extension === '.csv' ? 'csv' : 'jsonl';
    candidates = await readTable(path, manifest.kind, options, skips);
  } else if (isVideoName(path)) {
    manifest.kind = 'video';
    const sidecar = await readSidecar(path);
    candidates = [
      { id: stem(path), path, caption: sidecar?.caption ?? '', source: sidecar?.path ?? path, line: sidecar ? 1 : 0 },
    ];
  } else {
    throw new InputError(`data source ${path} is neither a folder nor a .csv, .jsonl or video file. ${HELP}`, {
      code: 'manifest.kind',
      source: path,
    });
  }

  const checked = await mapLimit(candidates, availableParallelism() * 4, checkCandidate);
  for (const [i, skip] of checked.entries()) {
    if (skip) skips.push(skip);
    else manifest.entries.push(candidates[i]!);
  }
  for (const { reason } of skips) manifest.counts[reason] = (manifest.counts[reason] ?? 0) + 1;
  manifest.skipped = skips.slice(0, MAX_LISTED_SKIPS);
  makeUnique(manifest.entries);
  if (manifest.entries.length === 0) throw nothingLeft(manifest);
  return manifest;
}

async function checkCandidate(entry: Candidate): Promise<Skip | undefined> {
  const source = entry.line > 0 ? `${entry.source}:${entry.line}` : entry.source;
  try {
    await checkFile(entry);
  } catch (error) {
    const reason = clipProblem(error);
    if (reason === undefined) throw error;
    return { path: entry.path, reason, detail: (error as Error).message, source };
  }
  if (entry.caption !== '') return undefined;
  return {
    path: entry.path,
    reason: 'no caption',
    detail: `${entry.path}: no caption beside it or in a mapping file`,
    source,
  };
}

function nothingLeft(manifest: Manifest): InputError {
  const { source, counts } = manifest;
  const reasons = describeCounts(counts);
  const first = manifest.skipped[0];
  const example = first ? ` First: ${first.source}: ${first.detail}.` : '';
  const why = reasons === '' ? 'holds no videos' : `has no usable clip: ${reasons}`;
  return new InputError(`data source ${source} ${why}.${example} ${HELP}`, { code: 'manifest.empty', source, counts });
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
  for (const { id, caption } of entries) hash.update(`${id}\u0000${caption}\u0000`);
  return hash.digest('hex').slice(0, 16);
}
