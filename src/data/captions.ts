import { basename, extname } from 'node:path';
import { InputError } from '../errors.js';
import type { VideoInfo } from './ffmpeg.js';
import type { ManifestEntry } from './manifest.js';
import type { Segment, TarMember } from './video-source.js';

/** One caption found in a mapping file. `key` is a path, a file name, or a file name without its extension. */
export interface CaptionRow {
  key: string;
  caption: string;
  /** 1-based line in the mapping file. */
  line: number;
  /** What the row already says about the video; saves a probe. */
  info?: VideoInfo;
  /** What else the row says. */
  entry?: Partial<Pick<ManifestEntry, 'id' | 'captions' | 'member' | 'segment' | 'kind'>>;
}

/** Rows of a mapping file, lines that name no video, and lines that could not be read. */
export interface CaptionTable {
  rows: CaptionRow[];
  unnamed: { caption: string; line: number }[];
  malformed: { line: number; detail: string }[];
}

export const VIDEO_EXTENSIONS = [
  '.mp4',
  '.m4v',
  '.mov',
  '.mkv',
  '.webm',
  '.avi',
  '.mpg',
  '.mpeg',
  '.wmv',
  '.flv',
  '.gif',
];
export const PICTURE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp'];
export const PATH_COLUMNS = ['path', 'video', 'file_name', 'filename', 'file', 'video_path'];
export const CAPTION_COLUMNS = ['caption', 'text', 'prompt', 'name'];

export function isVideoName(name: string): boolean {
  return VIDEO_EXTENSIONS.includes(extname(name).toLowerCase());
}

export function isPictureName(name: string): boolean {
  return PICTURE_EXTENSIONS.includes(extname(name).toLowerCase());
}

/** The file name without folder and extension. */
export function stem(path: string): string {
  return basename(path, extname(path));
}

/** The first of the named fields that holds text or a number, trimmed; undefined where none does. */
export function field(row: Record<string, unknown>, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = row[name];
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
    if (typeof value === 'number') return String(value);
  }
  return undefined;
}

/** Columns that say what a probe would find. */
export const INFO_COLUMNS = ['width', 'height', 'fps', 'frames', 'seconds', 'codec'];

/** Several captions of one video, trimmed, in a list; undefined where there is none. */
export function captionsOf(row: Record<string, unknown>): string[] | undefined {
  if (!Array.isArray(row.captions)) return undefined;
  const texts = row.captions.filter((one): one is string => typeof one === 'string').map(one => one.trim());
  const captions = texts.filter(one => one !== '');
  return captions.length > 0 ? captions : undefined;
}

/** Size, rate and length, where a row states them all with usable values. */
export function statedInfo(row: Record<string, unknown>): VideoInfo | undefined {
  const value = (name: string): number => Number(row[name] ?? Number.NaN);
  const info = { width: value('width'), height: value('height'), fps: value('fps'), frames: value('frames') };
  if (!Object.values(info).every(one => Number.isFinite(one) && one > 0)) return undefined;
  const seconds = value('seconds') > 0 ? value('seconds') : info.frames / info.fps;
  return { ...info, seconds, codec: String(row.codec ?? 'unknown') };
}

/** One object of a JSONL or JSON mapping as a row, or the reason why it is none. */
export function objectRow(value: unknown, line: number): CaptionRow | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object';
  const row = value as Record<string, unknown>;
  const key = field(row, PATH_COLUMNS);
  if (key === undefined)
    return `no path: expected one of ${PATH_COLUMNS.join(', ')}; got ${Object.keys(row).join(', ')}`;
  const entry = statedEntry(row);
  if (typeof entry === 'string') return entry;
  const caption = field(row, CAPTION_COLUMNS) ?? entry.captions?.[0] ?? '';
  const extra = Object.keys(entry).length > 0 ? { entry } : {};
  return { key, caption, line, info: statedInfo(row), ...extra };
}

/** What a prepared manifest says beyond path and caption, or what is wrong with it: a part must not become the whole. */
function statedEntry(row: Record<string, unknown>): NonNullable<CaptionRow['entry']> | string {
  const entry: NonNullable<CaptionRow['entry']> = {};
  if (typeof row.id === 'string' && row.id !== '') entry.id = row.id;
  const captions = captionsOf(row);
  if (captions) entry.captions = captions;
  if (row.kind === 'image') entry.kind = 'image';
  if (row.member !== undefined) {
    const { name, start, end } = Object(row.member) as TarMember;
    const whole = [start, end].every(Number.isSafeInteger) && start >= 0 && end >= start;
    if (typeof name !== 'string' || !whole) return 'member is not {"name": text, "start": byte, "end": byte}';
    entry.member = { name, start, end };
  }
  if (row.segment !== undefined) {
    const { start, seconds } = Object(row.segment) as Segment;
    if (![start, seconds].every(Number.isFinite) || start < 0 || seconds <= 0) {
      return 'segment is not {"start": seconds, "seconds": above 0}';
    }
    entry.segment = { start, seconds };
  }
  return entry;
}

/**
 * A JSON mapping: `{"a.mp4": "a cat", …}`, `{"a.mp4": {"caption": "a cat"}, …}` or `[{"path": "a.mp4", "caption": "a cat"}, …]`.
 * Positions are counted as lines, from 1.
 * @throws InputError `captions.json` when the text is no JSON of these shapes
 */
export function parseJsonCaptions(text: string, source: string): CaptionTable {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(
      `${source} is not JSON: ${(error as Error).message}`,
      { code: 'captions.json', source },
      error,
    );
  }
  const table: CaptionTable = { rows: [], unnamed: [], malformed: [] };
  const add = (item: unknown, line: number): void => {
    const row = objectRow(item, line);
    if (typeof row === 'string') table.malformed.push({ line, detail: row });
    else table.rows.push(row);
  };
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      add(item, i + 1);
    });
  } else if (typeof value === 'object' && value !== null) {
    Object.entries(value).forEach(([key, item], i) => {
      add(typeof item === 'string' ? { path: key, caption: item } : { path: key, ...(item as object) }, i + 1);
    });
  } else {
    throw new InputError(`${source} must hold an object {"a.mp4": "caption"} or a list [{"path", "caption"}]`, {
      code: 'captions.json',
      source,
    });
  }
  return table;
}

const NAMED = new RegExp(
  `^"?(.+?(?:${[...VIDEO_EXTENSIONS, ...PICTURE_EXTENSIONS].map(one => `\\${one}`).join('|')}))"?\\s*(?:[\\t|,:;=]|\\s)\\s*(.+)$`,
  'i',
);
const SEPARATED = /^([^\t|:,]+?)\s*[\t|:,]\s*(.+)$/;

/**
 * Plain text: `a.mp4 a cat`, `a.mp4<tab>a cat`, also with `|`, `,`, `:` between, or a known file name without extension
 * before such a separator. Other lines count as captions that name no video.
 * @param knownStems file names (without extension) of the videos that there are
 */
export function parseTextCaptions(text: string, knownStems: ReadonlySet<string>): CaptionTable {
  const table: CaptionTable = { rows: [], unnamed: [], malformed: [] };
  text.split(/\r?\n/).forEach((raw, i) => {
    const content = raw.trim();
    if (content === '') return;
    const line = i + 1;
    const named = NAMED.exec(content);
    const separated = SEPARATED.exec(content);
    if (named) table.rows.push({ key: named[1]!, caption: unquote(named[2]!), line });
    else if (isVideoName(content) || isPictureName(content)) table.rows.push({ key: content, caption: '', line });
    else if (separated && knownStems.has(separated[1]!)) {
      table.rows.push({ key: separated[1]!, caption: unquote(separated[2]!), line });
    } else table.unnamed.push({ caption: unquote(content), line });
  });
  return table;
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^".*"$/.test(trimmed) ? trimmed.slice(1, -1).trim() : trimmed;
}
