import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, sep } from 'node:path';
import type { CaptionTable } from './captions.js';
import { isVideoName, parseJsonCaptions, parseTextCaptions, stem } from './captions.js';
import type { Skip } from './manifest.js';
import { readParquet } from './sources/parquet.js';
import type { Candidate } from './sources/types.js';
import { readCsv, readJsonl } from './table.js';

/** Mapping files looked for at the top of a folder; all that are there are read, the first caption of a video counts. */
export const MAPPING_FILES = [
  ...[
    'metadata.jsonl',
    'captions.jsonl',
    'metadata.csv',
    'captions.csv',
    'metadata.parquet',
    'captions.parquet',
    'captions.json',
    'metadata.json',
  ],
  ...['captions.txt', 'caption.txt', 'prompts.txt', 'prompt.txt'],
];

/** What a folder holds: videos with captions, and what was passed over. */
export interface FolderContents {
  candidates: Candidate[];
  skips: Skip[];
  notes: string[];
}

async function listFiles(root: string, accepts: (name: string) => boolean): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter(entry => !entry.isDirectory() && accepts(entry.name))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .filter(path => !path.split(sep).some(part => part.startsWith('.')))
    .sort();
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    found => found.isFile(),
    () => false,
  );
}

async function readMapping(path: string, stems: ReadonlySet<string>): Promise<CaptionTable> {
  if (path.endsWith('.jsonl')) return readJsonl(path);
  if (path.endsWith('.csv')) return readCsv(path);
  if (path.endsWith('.parquet')) return readParquet(path);
  const text = await readFile(path, 'utf8');
  return path.endsWith('.json') ? parseJsonCaptions(text, path) : parseTextCaptions(text, stems);
}

/** The caption beside a video, `clip.txt` or `clip.mp4.txt`; undefined where there is none, '' where it is empty. */
export async function readSidecar(video: string): Promise<{ path: string; caption: string } | undefined> {
  const plain = join(dirname(video), `${basename(video, extname(video))}.txt`);
  for (const path of [plain, `${video}.txt`]) {
    if (await exists(path)) return { path, caption: (await readFile(path, 'utf8')).trim().replace(/\s+/g, ' ') };
  }
  return undefined;
}

/** A caption with the place where it was found. */
interface Found extends Omit<Candidate, 'path' | 'id'> {
  key: string;
}

class CaptionIndex {
  private readonly byKey = new Map<string, Found>();
  private readonly used = new Set<Found>();

  add(found: Found): void {
    const key = found.key.replaceAll('\\', '/').replace(/^\.\//, '');
    if (!this.byKey.has(key)) this.byKey.set(key, found);
  }

  /** By path in the folder, then by file name, then without the extension. */
  find(path: string): Found | undefined {
    const plain = path.split(sep).join('/');
    const keys = [plain, basename(plain), plain.slice(0, -extname(plain).length), stem(plain)];
    const found = keys.map(key => this.byKey.get(key)).find(one => one !== undefined);
    if (found) this.used.add(found);
    return found;
  }

  unused(): Found[] {
    return [...this.byKey.values()].filter(found => !this.used.has(found));
  }
}

/**
 * Videos of a folder, at any depth, in the order of their paths. A caption comes from the text file beside the video, else from
 * a mapping file at the top of the folder ({@link MAPPING_FILES}).
 * @param accepts which file names are taken for videos
 */
export async function readFolder(root: string, accepts = isVideoName): Promise<FolderContents> {
  const videos = await listFiles(root, accepts);
  const stems = new Set(videos.map(stem));
  const index = new CaptionIndex();
  const result: FolderContents = { candidates: [], skips: [], notes: [] };

  for (const name of MAPPING_FILES) {
    const path = join(root, name);
    if (!(await exists(path))) continue;
    const table = await readMapping(path, stems);
    for (const row of table.rows) index.add({ ...row, captions: row.entry?.captions, source: path });
    for (const { line, detail } of table.malformed) {
      result.skips.push({ path, reason: 'malformed row', detail, source: `${path}:${line}` });
    }
    if (table.unnamed.length > 0 && table.unnamed.length === videos.length && table.rows.length === 0) {
      videos.forEach((video, i) => {
        index.add({ key: video.split(sep).join('/'), ...table.unnamed[i]!, source: path });
      });
      if (videos.length > 1) {
        result.notes.push(
          `${path} names no files: its ${videos.length} lines were paired with the videos in the order of their names`,
        );
      }
    } else {
      for (const { line, caption } of table.unnamed) {
        const detail = `names no video of the folder: ${JSON.stringify(caption.slice(0, 60))}`;
        result.skips.push({ path, reason: 'malformed row', detail, source: `${path}:${line}` });
      }
    }
  }

  for (const video of videos) {
    const path = join(root, video);
    const sidecar = await readSidecar(path);
    const mapped = index.find(video);
    const id = video.slice(0, -extname(video).length).split(sep).join('/');
    if (sidecar && sidecar.caption !== '') {
      result.candidates.push({ id, path, caption: sidecar.caption, source: sidecar.path, line: 1, info: mapped?.info });
    } else {
      const { caption = '', source = root, line = 0, info, captions } = mapped ?? {};
      result.candidates.push({ id, path, caption, source, line, info, ...(captions && { captions }) });
    }
  }
  for (const { key, source, line, caption } of index.unused()) {
    const path = join(root, key);
    // A row may point outside the folder's own videos; whether the file is there is checked with all the others.
    result.candidates.push({ id: key, path, caption, source, line });
  }
  return result;
}
