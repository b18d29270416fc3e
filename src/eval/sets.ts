/**
 * A set of videos to be measured: whatever `src/data` opens, and what `show1 sample` wrote. Captions are optional here. The order is
 * drawn by the seed from each video's own name, so a subset is the same on every machine and grows without changing.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { checkFile, clipProblem } from '../data/ffmpeg-errors.js';
import { describeCounts, type ManifestEntry, type Skip } from '../data/index.js';
import { mapLimit } from '../data/limit.js';
import { listSource } from '../data/manifest.js';
import { InputError } from '../errors.js';
import { captionsOf, type PromptsFile, withPrompts } from './captions.js';
import { readSampleFolder, SAMPLES_FILE } from './sample-folder.js';

/** A video that could not be measured. */
export interface Rejected {
  id: string;
  path: string;
  reason: string;
  message: string;
}

export interface VideoSet {
  /** As it was given. */
  source: string;
  kind: string;
  split: string | null;
  /** Every video that may be measured, in the order of the draw. */
  entries: ManifestEntry[];
  /** What was found unusable without opening it. */
  rejected: Rejected[];
  notes: string[];
  /** The file that gave the captions. */
  prompts?: PromptsFile;
}

export interface SetOptions {
  root?: string;
  split?: string;
  /** Of the order in which videos are taken. */
  seed?: number;
  /** Videos without a caption cannot be measured. */
  captions?: boolean;
  /** A file with prompts in place of captions. */
  prompts?: string;
}

/**
 * Lists a source.
 * @throws InputError `manifest.*` as `openManifest`, `eval.samples`, `eval.empty-set` when no video is there
 */
export async function openSet(source: string, options: SetOptions = {}): Promise<VideoSet> {
  const { root, split, seed = 0 } = options;
  const listed = await list(source, { root, split });
  const { entries: found, notes } = withoutTwins(listed.entries);
  const rejected = listed.skips.map(({ path, reason, detail }) => ({ id: path, path, reason, message: detail }));
  const prompts =
    options.prompts !== undefined && found.length > 0 ? await withPrompts(found, options.prompts) : undefined;
  const captioned = prompts?.entries ?? found;
  const isUsable = (entry: ManifestEntry) => !options.captions || captionsOf(entry).length > 0;
  const entries = captioned.filter(isUsable);
  for (const { id, path } of captioned.filter(entry => !isUsable(entry))) {
    const message = `${path}: no caption beside it or in a mapping file; give --prompts FILE`;
    rejected.push({ id, path, reason: 'no caption', message });
  }
  if (entries.length === 0) {
    const counts: Record<string, number> = {};
    for (const { reason } of rejected) counts[reason] = (counts[reason] ?? 0) + 1;
    const why = rejected.length === 0 ? 'holds no videos' : `has no usable video: ${describeCounts(counts)}`;
    const first = rejected[0] ? `. First: ${rejected[0].message}` : '';
    throw new InputError(
      `${source} ${why}${first}. Give a folder of videos, a manifest, or a folder of "show1 sample"`,
      {
        code: 'eval.empty-set',
        source,
        counts,
      },
    );
  }
  return {
    source,
    kind: listed.kind,
    split: split ?? null,
    entries: drawOrder(entries, seed),
    rejected,
    notes: [...listed.notes, ...notes],
    prompts: prompts?.file,
  };
}

async function list(
  source: string,
  options: Pick<SetOptions, 'root' | 'split'>,
): Promise<{ kind: string; entries: ManifestEntry[]; skips: Skip[]; notes: string[] }> {
  const samples = await readSampleFolder(source);
  if (!samples) return listSource(source, { ...options, withoutCaptions: true });
  const problems = await mapLimit(samples, 8, async ({ path: file, source: at, line }): Promise<Skip | undefined> => {
    try {
      await checkFile(file);
      return undefined;
    } catch (error) {
      const reason = clipProblem(error);
      if (reason === undefined) throw error;
      return { path: file, reason, detail: (error as Error).message, source: `${at}:${line}` };
    }
  });
  return {
    kind: 'samples',
    entries: samples.filter((_, i) => !problems[i]),
    skips: problems.filter(one => one !== undefined),
    notes: [`${path.join(source, SAMPLES_FILE)}: ${samples.length} videos with their prompts`],
  };
}

/** `a.gif` beside `a.mp4` is the same video once more: the mp4, which keeps more of the colours, is taken. */
function withoutTwins(entries: readonly ManifestEntry[]): { entries: ManifestEntry[]; notes: string[] } {
  const isGif = (entry: ManifestEntry) => !entry.member && path.extname(entry.path).toLowerCase() === '.gif';
  const name = (entry: ManifestEntry) => entry.path.slice(0, -path.extname(entry.path).length);
  const others = new Set(entries.filter(entry => !isGif(entry)).map(name));
  const twins = new Set(
    entries
      .filter(isGif)
      .map(name)
      .filter(one => others.has(one)),
  );
  if (twins.size === 0) return { entries: [...entries], notes: [] };
  const kept = entries
    .filter(entry => !isGif(entry) || !twins.has(name(entry)))
    .map(entry => (twins.has(name(entry)) ? { ...entry, id: entry.id.replace(/#\d+$/, '') } : entry));
  const note = `${twins.size} GIFs beside videos of the same name are those videos once more: left out`;
  return { entries: kept, notes: [note] };
}

/** By a hash of seed and id: a subset of n is the first n, whatever the order of the listing. */
export function drawOrder(entries: readonly ManifestEntry[], seed: number): ManifestEntry[] {
  const rank = (id: string) => createHash('sha256').update(`${seed}\0${id}`).digest('hex');
  return entries
    .map(entry => ({ entry, rank: rank(entry.id) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
    .map(({ entry }) => entry);
}
