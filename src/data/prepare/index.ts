import { mkdir, open, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { InputError, InterruptedError } from '../../errors.js';
import { locate } from '../ffmpeg-locate.js';
import { mapLimit } from '../limit.js';
import { describeCounts, fingerprint, listSource, type ManifestEntry, type ManifestOptions } from '../manifest.js';
import { PREPARED } from '../sources/index.js';
import { nameOf } from '../video-source.js';
import {
  checkFilters,
  DEFAULTS,
  type Filters,
  filterCaptions,
  judgeScene,
  judgeVideo,
  type Scene,
  scenesOf,
  type Verdict,
} from './filters.js';
import { isFailure, openJournal } from './journal.js';
import { type Histograms, histogramsOf, type Kept, manifestLine, type Rejection } from './report.js';
import { round } from './round.js';
import { type Failure, type Scan, scanClip } from './scan.js';

export interface PrepareOptions extends ManifestOptions, Filters {
  /** How the manifest names the videos: absolute (default), or relative to its own folder, to move both together. */
  paths?: 'absolute' | 'relative';
  /** Clips looked at at a time; default: cores. */
  workers?: number;
  /** A clip that ffmpeg has not read after so long counts as unreadable; default 600. */
  timeoutSeconds?: number;
  /** Stops at a safe point: what was found is in the journal. */
  signal?: AbortSignal;
  onProgress?: (done: number, total: number, extra?: string) => void;
}

/** What `summary.json` holds: the same for the same source and options, however often the work was interrupted. */
export interface PrepareSummary {
  source: string;
  kind: string;
  options: Filters & ManifestOptions & { paths: string };
  /** Rows and files of the source, those that were passed over when it was listed included. */
  listed: number;
  /** Clips in the manifest; a video that was split has several. */
  clips: number;
  /** Different videos that they come from. */
  videos: number;
  /** Seconds of all clips. */
  seconds: number;
  /** Lines of rejected.jsonl, by reason. */
  rejected: Record<string, number>;
  histograms: Histograms;
  /** Of ids and captions, as a training run records it. */
  fingerprint: string;
  notes: string[];
}

/** A summary with what this run did. */
export interface PrepareResult extends PrepareSummary {
  out: string;
  manifest: string;
  rejectedFile: string;
  /** Clips that this run looked at; the rest was in the journal. */
  scanned: number;
}

export const REJECTED = 'rejected.jsonl';

/** Looks at every clip that the journal does not know yet. */
async function scanAll(
  entries: readonly ManifestEntry[],
  journalPath: string,
  source: string,
  options: PrepareOptions,
): Promise<{ found: (Scan | Failure)[]; scanned: number }> {
  const { workers = availableParallelism(), timeoutSeconds = 600, onProgress } = options;
  const signal = options.signal ?? new AbortController().signal;
  const journal = await openJournal(journalPath, source);
  const found: (Scan | Failure | undefined)[] = entries.map(entry => journal.find(entry));
  const open = found.flatMap((one, i) => (one === undefined && entries[i]!.kind !== 'image' ? [i] : []));
  let done = entries.length - open.length;
  let broken = found.filter(one => one && isFailure(one)).length;
  let scanned = 0;
  const report = (): void => onProgress?.(done, entries.length, broken > 0 ? `${broken} broken` : undefined);
  report();
  try {
    await mapLimit(open, workers, async index => {
      if (signal.aborted) return;
      const entry = entries[index]!;
      const one = await scanClip(entry, { signal, timeoutSeconds });
      found[index] = one;
      journal.add(entry, one);
      scanned++;
      done++;
      if (isFailure(one)) broken++;
      report();
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await journal.close();
  }
  if (signal.aborted) {
    const left = entries.length - done;
    throw new InterruptedError(
      `stopped with ${done} clips looked at and ${left} to go; run the same command to continue`,
      {
        code: 'prepare.interrupted',
        done,
        left,
      },
    );
  }
  return { found: found as (Scan | Failure)[], scanned };
}

function sourceOf({ source, line }: ManifestEntry): string {
  return line > 0 ? `${source}:${line}` : source;
}

function reject(entry: ManifestEntry, { reason, value, limit }: Verdict, segment?: Scene['segment']): Rejection {
  const { id, path, member } = entry;
  const name = nameOf({ path, member, segment });
  const detail = `${name}: ${reason}: ${value}, limit ${limit}`;
  return { id, path: nameOf({ path, member }), reason, value, limit, segment, detail, source: sourceOf(entry) };
}

/** What the filters make of the clips, in the order of the source. */
function sift(
  entries: readonly ManifestEntry[],
  found: readonly (Scan | Failure | undefined)[],
  filters: Filters,
): { kept: Kept[]; rejected: Rejection[] } {
  const kept: Kept[] = [];
  const rejected: Rejection[] = [];
  const firsts = new Map<string, { first: ManifestEntry; captions: Set<string> }>();
  entries.forEach((entry, i) => {
    const scan = found[i];
    const captions = filterCaptions(entry, filters);
    if (!Array.isArray(captions)) return void rejected.push(reject(entry, captions));
    const [caption] = captions as [string];
    const captioned = { ...entry, caption, captions: captions.length > 1 ? captions : undefined };
    if (scan === undefined) return void kept.push({ entry: captioned, motion: 0 }); // a picture
    if (isFailure(scan)) {
      const path = nameOf({ path: entry.path, member: entry.member });
      return void rejected.push({ id: entry.id, path, ...scan, source: sourceOf(entry) });
    }
    if (filters.duplicates === 'drop') {
      // The same file with another caption, or another part of it, is no copy.
      const key = [scan.hash, entry.segment?.start, entry.segment?.seconds].join(' ');
      const seen = firsts.get(key);
      const { first } = seen ?? {};
      const same = first?.path === entry.path && first.member?.start === entry.member?.start;
      if (first && (!same || seen?.captions.has(caption))) {
        const verdict = { reason: 'duplicate', value: scan.hash, limit: `same as ${nameOf(first)}` };
        return void rejected.push(reject(entry, verdict));
      }
      if (seen) seen.captions.add(caption);
      else firsts.set(key, { first: entry, captions: new Set([caption]) });
    }
    const verdict = judgeVideo(scan, filters);
    if (verdict) return void rejected.push(reject(entry, verdict));
    const scenes = scenesOf(scan, entry.segment?.start ?? 0, filters);
    scenes.forEach((scene, s) => {
      const bad = judgeScene(scene, filters);
      const segment = scene.segment ?? entry.segment;
      if (bad) return void rejected.push(reject(entry, bad, segment));
      const info = { ...scan.info, seconds: scene.seconds, frames: scene.frames };
      const id = scenes.length > 1 ? `${entry.id}@${s + 1}` : entry.id;
      kept.push({ entry: { ...captioned, id, segment, info }, motion: scene.motion });
    });
  });
  return { kept, rejected };
}

/** Writes a file whole or not at all. */
async function writeWhole(path: string, lines: Iterable<string>): Promise<void> {
  const partial = `${path}.partial`;
  const file = await open(partial, 'w');
  let block = '';
  for (const line of lines) {
    block += `${line}\n`;
    if (block.length < 2 ** 20) continue;
    await file.appendFile(block);
    block = '';
  }
  await file.appendFile(block);
  await file.sync();
  await file.close();
  await rename(partial, path);
}

function* mapLines<T>(items: Iterable<T>, line: (item: T) => string): Iterable<string> {
  for (const item of items) yield line(item);
}

function countReasons(rejected: readonly Rejection[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { reason } of rejected) counts[reason] = (counts[reason] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)));
}

/**
 * Looks at every clip of a source (probe, a whole small decode, cuts, motion), filters them, and writes into `out`: the clips of
 * use as `manifest.jsonl`, all others with reason, value and limit as `rejected.jsonl`, counts and histograms as
 * `summary.json`. What was seen goes into `journal.jsonl` as it comes: after a kill at any time the same call continues, and a call with
 * other filters opens no video again. No single clip is fatal.
 * @throws InputError `prepare.empty` when nothing is left, `prepare.option`, `prepare.other-source`, `manifest.*`;
 *   InterruptedError `prepare.interrupted`; WorkError `ffmpeg.missing`
 */
export async function prepareDataset(
  source: string,
  out: string,
  options: PrepareOptions = {},
): Promise<PrepareResult> {
  const {
    root,
    split,
    limit,
    paths = 'absolute',
    workers: _,
    timeoutSeconds: __,
    signal: ___,
    onProgress: ____,
    ...rest
  } = options;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const filters: Filters = { ...DEFAULTS, ...given };
  checkFilters(filters);
  for (const name of ['ffmpeg', 'ffprobe'] as const) locate(name);
  const folder = resolve(out);
  const listed = await listSource(source, { root, split, limit });
  const { entries, skips, kind, notes } = listed;
  await mkdir(folder, { recursive: true });
  const { found, scanned } = await scanAll(entries, join(folder, PREPARED.journal), listed.source, options);

  const { kept, rejected: filtered } = sift(entries, found, filters);
  const rejected: Rejection[] = [...skips, ...filtered];
  const file = (name: string): string => join(folder, name);
  const nameIn = (path: string): string => (paths === 'relative' ? relative(folder, path) : path);
  const summary: PrepareSummary = {
    source: listed.source,
    kind,
    options: { root, split, limit, paths, ...filters },
    listed: entries.length + skips.length,
    clips: kept.length,
    videos: new Set(kept.map(({ entry }) => nameOf({ path: entry.path, member: entry.member }))).size,
    seconds: round(kept.reduce((sum, { entry }) => sum + (entry.info?.seconds ?? 0), 0)),
    rejected: countReasons(rejected),
    histograms: histogramsOf(kept),
    fingerprint: fingerprint(kept.map(({ entry }) => entry)),
    notes,
  };
  await writeWhole(
    file(REJECTED),
    mapLines(rejected, one => JSON.stringify(one)),
  );
  if (kept.length === 0) await rm(file(PREPARED.manifest), { force: true });
  else
    await writeWhole(
      file(PREPARED.manifest),
      mapLines(kept, one => manifestLine(one, nameIn(one.entry.path))),
    );
  await writeWhole(file(PREPARED.summary), [JSON.stringify(summary, null, 2)]);
  if (kept.length === 0) {
    const reasons = describeCounts(summary.rejected) || 'it holds no videos';
    const first = rejected[0] ? ` First: ${rejected[0].detail}.` : '';
    throw new InputError(
      `nothing of ${listed.source} is of use: ${reasons}.${first} All are listed in ${file(REJECTED)}`,
      {
        code: 'prepare.empty',
        counts: summary.rejected,
      },
    );
  }
  return { ...summary, out: folder, manifest: file(PREPARED.manifest), rejectedFile: file(REJECTED), scanned };
}
