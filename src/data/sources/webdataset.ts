import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { CAPTION_COLUMNS, captionsOf, field, isVideoName, statedInfo } from '../captions.js';
import { mapLimit } from '../limit.js';
import type { Skip } from '../manifest.js';
import type { TarMember } from '../video-source.js';
import { readTarIndex, type WindowReader } from './tar.js';
import type { Candidate, SourceContents } from './types.js';

/** A sample's texts are a caption and video2dataset's metadata: never more than this. */
const MAX_TEXT_BYTES = 2 ** 20;

/** The members of one key. */
interface Sample {
  video?: TarMember;
  text?: string;
  json?: Record<string, unknown>;
  /** Why a text could not be used. */
  problem?: { what: string; cut: boolean };
}

/** `folder/a.b.mp4` belongs to key `folder/a` and is its `b.mp4`: the name is split at its first dot. */
function splitName(name: string): { key: string; extension: string } {
  const file = basename(name);
  const dot = file.indexOf('.');
  if (dot < 0) return { key: name, extension: '' };
  return { key: name.slice(0, name.length - file.length + dot), extension: file.slice(dot + 1).toLowerCase() };
}

async function addMember(sample: Sample, member: TarMember, extension: string, reader: WindowReader): Promise<void> {
  if (isVideoName(`.${extension}`) || isVideoName(member.name)) {
    sample.video ??= member;
    return;
  }
  if (extension !== 'txt' && extension !== 'json') return;
  if (member.end > reader.size || member.end - member.start > MAX_TEXT_BYTES) {
    const cut = member.end > reader.size;
    sample.problem = { what: cut ? `the shard ends inside ${member.name}` : `${member.name} is no short text`, cut };
    return;
  }
  const content = (await reader.read(member.start, member.end)).toString('utf8');
  if (extension === 'txt') {
    sample.text = content.trim().replace(/\s+/g, ' ');
    return;
  }
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value === 'object' && value !== null) sample.json = value as Record<string, unknown>;
  } catch (error) {
    sample.problem = { what: `${member.name} is not JSON: ${(error as Error).message}`, cut: false };
  }
}

/** Samples of one shard, in the order of their first members. */
async function readShard(path: string): Promise<{ candidates: Candidate[]; skips: Skip[] }> {
  const samples = new Map<string, Sample>();
  const index = await readTarIndex(path, async (member, reader) => {
    const { key, extension } = splitName(member.name);
    // Hidden files, among them the ones that macOS puts beside every file.
    if (basename(key) === '' || basename(key).startsWith('._')) return;
    const sample = samples.get(key) ?? {};
    samples.set(key, sample);
    await addMember(sample, member, extension, reader);
  });
  const candidates: Candidate[] = [];
  const skips: Skip[] = [];
  for (const [key, { video, text, json = {}, problem }] of samples) {
    const captions = captionsOf(json);
    const caption = text || field(json, CAPTION_COLUMNS) || captions?.[0] || '';
    const where = { path: `${path}(${key})`, source: path };
    if (!video) {
      const reason = index.damage === undefined ? 'missing file' : 'truncated';
      skips.push({ ...where, reason, detail: `${path}(${key}): no video of this key is in the shard` });
    } else if (caption === '' && problem !== undefined) {
      const reason = problem.cut ? 'truncated' : 'no caption';
      skips.push({ ...where, reason, detail: `${path}(${key}): its caption cannot be read: ${problem.what}` });
    } else {
      const entry = { id: key, path, caption, source: path, line: 0, member: video };
      candidates.push({ ...entry, info: statedInfo(json), ...(captions && text === undefined && { captions }) });
    }
  }
  // A cut inside a video shows as that video, by its bytes; a cut inside a header has no name.
  if (index.damage && !candidates.some(({ member }) => member!.end > index.size)) {
    const detail = `${path}: the shard is cut or damaged: ${index.damage}; what came behind is lost. Copy it again`;
    if (!skips.some(({ reason }) => reason === 'truncated'))
      skips.push({ path, reason: 'truncated', detail, source: path });
  }
  return { candidates, skips };
}

/**
 * WebDataset shards as video2dataset writes them: tars of `KEY.mp4` with `KEY.txt` (the caption) and `KEY.json` (`caption` or
 * `text` where there is no text file). Nothing is unpacked. A damaged shard loses what lies behind the damage, no more.
 * @throws InputError `manifest.tar` when a shard is no tar at all and the only one
 */
export async function readWebDataset(shards: readonly string[]): Promise<SourceContents> {
  const contents: SourceContents = { kind: 'webdataset', candidates: [], skips: [], notes: [] };
  const read = await mapLimit(shards, Math.min(8, availableParallelism() * 2), async path => {
    try {
      return await readShard(path);
    } catch (error) {
      if (shards.length === 1) throw error;
      const skip: Skip = { path, reason: 'unreadable', detail: (error as Error).message, source: path };
      return { candidates: [], skips: [skip] };
    }
  });
  for (const { candidates, skips } of read) {
    contents.candidates.push(...candidates);
    contents.skips.push(...skips);
  }
  return contents;
}

/** The shards among the names of a folder, in their order. */
export function shardsOf(folder: string, names: readonly string[]): string[] {
  return names
    .filter(name => name.endsWith('.tar') && !name.startsWith('.'))
    .sort()
    .map(name => join(folder, name));
}
