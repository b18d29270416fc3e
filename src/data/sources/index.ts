import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import { isPictureName, isVideoName, stem } from '../captions.js';
import { MAPPING_FILES, readFolder, readSidecar } from '../folder.js';
import type { Manifest, ManifestOptions } from '../manifest.js';
import { readCsv, readJsonl } from '../table.js';
import { findMsrVtt, readAnnotations, readMsrVtt } from './msrvtt.js';
import { readParquet } from './parquet.js';
import type { Candidate, SourceContents } from './types.js';
import { findUcf101, readUcf101 } from './ucf101.js';
import { readWebDataset, shardsOf } from './webdataset.js';

/** What a source may be, for messages. */
export const SOURCE_HELP =
  'A source is a folder of videos, each with a caption in a text file of the same name or in captions.txt | .csv | .json or ' +
  'metadata.jsonl; a CSV or Parquet with path,caption or with the columns of WebVid (videoid, contentUrl, duration, page_dir, ' +
  'name); a JSONL of {"path", "caption"}; WebDataset shards (a .tar, or a folder of 00000.tar … with KEY.mp4 and KEY.txt or ' +
  'KEY.json); UCF-101\'s folders of classes; MSR-VTT\'s annotations with its videos; a folder that "show1 data prepare" wrote; ' +
  'or one video with its text file. docs/data.md describes each. "show1 data shapes OUT --clips 512" makes a dataset';

const TABLES: Record<string, { kind: Manifest['kind']; read: typeof readCsv | typeof readJsonl }> = {
  '.csv': { kind: 'csv', read: readCsv },
  '.jsonl': { kind: 'jsonl', read: readJsonl },
  '.parquet': { kind: 'parquet', read: readParquet },
};

/** What `show1 data prepare` leaves in its folder. */
export const PREPARED = { manifest: 'manifest.jsonl', journal: 'journal.jsonl', summary: 'summary.json' } as const;

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

async function readTable(source: string, options: ManifestOptions): Promise<SourceContents> {
  const { kind, read } = TABLES[extname(source).toLowerCase()]!;
  const table = await read(source, options.limit);
  const videos = join(dirname(source), 'videos');
  const webvid = 'webvid' in table && table.webvid === true;
  const root = resolve(options.root ?? (webvid && (await isFolder(videos)) ? videos : dirname(source)));
  return {
    kind,
    notes: [],
    skips: table.malformed.map(({ line, detail }) => {
      return { path: source, reason: 'malformed row', detail, source: `${source}:${line}` };
    }),
    candidates: table.rows.map(({ key, caption, line, info, entry }) => ({
      id: webvid ? stem(key) : key.slice(0, key.length - extname(key).length),
      path: isAbsolute(key) ? key : join(root, key),
      caption,
      source,
      line,
      info,
      ...entry,
    })),
  };
}

/** Which of the known layouts a folder has: the most particular first. */
async function readFolderSource(folder: string, options: ManifestOptions): Promise<SourceContents> {
  const names = await readdir(folder);
  const has = (name: string): boolean => names.includes(name);
  if (has(PREPARED.journal)) {
    if (has(PREPARED.manifest))
      return { ...(await readTable(join(folder, PREPARED.manifest), options)), kind: 'prepared' };
    throw new InputError(
      `${folder} is the output of a "show1 data prepare" that did not reach its end; run the same command again to continue it`,
      { code: 'manifest.unfinished', folder },
    );
  }
  if (!has('split.json') && !MAPPING_FILES.some(has)) {
    const shards = shardsOf(folder, names);
    if (shards.length > 0) return readWebDataset(shards);
    const annotations = await findMsrVtt(folder);
    if (annotations.length > 0 && (await Promise.all(annotations.map(readAnnotations))).some(Boolean)) {
      return readMsrVtt(annotations, options);
    }
    const classes = await findUcf101(folder);
    if (classes !== undefined) return readUcf101(classes, options);
  }
  const notes: string[] = [];
  const contents = await readFolder(await chooseSplit(folder, options, notes));
  return { kind: 'folder', ...contents, notes: [...notes, ...contents.notes] };
}

/**
 * Reads a source of any known layout.
 * @param path absolute, of something that exists
 * @throws InputError `manifest.kind` when it is none, `manifest.*` of the layout that it looks like
 */
export async function readSource(
  path: string,
  isDirectory: boolean,
  options: ManifestOptions,
): Promise<SourceContents> {
  if (!options.pictures) return readVideos(path, isDirectory, options);
  if (isDirectory) {
    const contents = await readFolder(path, isPictureName);
    if (contents.candidates.some(({ path: file }) => isPictureName(file))) {
      return { kind: 'pictures', ...contents, candidates: contents.candidates.map(markPicture) };
    }
  }
  const contents = await readVideos(path, isDirectory, options);
  return { ...contents, candidates: contents.candidates.map(markPicture) };
}

function markPicture(candidate: Candidate): Candidate {
  return isPictureName(candidate.member?.name ?? candidate.path) ? { ...candidate, kind: 'image' } : candidate;
}

async function readVideos(path: string, isDirectory: boolean, options: ManifestOptions): Promise<SourceContents> {
  if (isDirectory) return readFolderSource(path, options);
  const extension = extname(path).toLowerCase();
  if (extension in TABLES) return readTable(path, options);
  if (extension === '.tar') return readWebDataset([path]);
  if (isVideoName(path)) {
    const sidecar = await readSidecar(path);
    const { caption = '', path: source = path } = sidecar ?? {};
    const candidate = { id: stem(path), path, caption, source, line: sidecar ? 1 : 0 };
    return { kind: 'video', candidates: [candidate], skips: [], notes: [] };
  }
  if (extension === '.json') {
    if (await readAnnotations(path)) return readMsrVtt([path], options);
  }
  const looked = `neither a folder nor a ${Object.keys(TABLES).join(', ')}, .tar, MSR-VTT .json or video file`;
  throw new InputError(`data source ${path} is ${looked}. ${SOURCE_HELP}`, { code: 'manifest.kind', source: path });
}
