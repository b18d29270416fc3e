import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InputError } from '../../errors.js';
import { mapLimit } from '../limit.js';
import type { ManifestOptions } from '../manifest.js';
import type { Candidate, SourceContents } from './types.js';

const CLIP = /^v_(.+)_g(\d+)_c(\d+)\.(avi|mp4|mkv|webm)$/i;
const LIST_FOLDERS = ['', 'ucfTrainTestlist', '../ucfTrainTestlist', 'UCF101TrainTestSplits-RecognitionTask'];

/** "apply eye makeup" for ApplyEyeMakeup: the caption of a class, and of every clip in it. */
export function classCaption(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_\s]+/g, ' ')
    .trim()
    .toLowerCase();
}

/** Clips of a class folder by UCF-101's naming; the folder HandstandPushups holds v_HandStandPushups_…, so case is no matter. */
async function listClass(root: string, name: string): Promise<string[]> {
  const files = await readdir(join(root, name)).catch(() => []);
  return files.filter(file => CLIP.exec(file)?.[1]?.toLowerCase() === name.toLowerCase()).sort();
}

/** The folder with the class folders: the given one or its `UCF-101`; undefined where neither has any. */
export async function findUcf101(folder: string): Promise<string | undefined> {
  for (const root of [folder, join(folder, 'UCF-101')]) {
    const names = await readdir(root, { withFileTypes: true }).catch(() => []);
    const folders = names.filter(one => one.isDirectory() && !one.name.startsWith('.'));
    for (const { name } of folders.slice(0, 200)) {
      const [first] = await listClass(root, name);
      if (first === undefined) continue;
      // A text beside a clip says more than the name of its class.
      const files = await readdir(join(root, name));
      return files.some(file => file.endsWith('.txt')) ? undefined : root;
    }
  }
  return undefined;
}

/** `train`, `test`, or one of the three official splits by number: `train1`, `train01`, `trainlist01`. */
function listName(split: string): string | undefined {
  const match = /^(train|test)(?:list)?0?([123])?$/.exec(split);
  return match ? `${match[1]}list0${match[2] ?? 1}.txt` : undefined;
}

/** The clips of a split list, `CLASS/v_….avi [LABEL]` a line. */
async function readList(root: string, file: string): Promise<{ path: string; clips: Set<string> } | undefined> {
  for (const folder of LIST_FOLDERS) {
    const path = join(root, folder, file);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const lines = text.split(/\r?\n/).map(line => line.trim().split(/\s+/)[0]!);
    return { path, clips: new Set(lines.filter(line => line !== '')) };
  }
  return undefined;
}

/**
 * UCF-101: a folder a class, `v_ApplyEyeMakeup_g01_c01.avi` in it. The caption is the class's name in words. With the official
 * lists (trainlist01.txt … testlist03.txt, beside the classes or in ucfTrainTestlist/) the default is `train`, list 01; without
 * them, everything.
 * @throws InputError `manifest.split` when the asked split has no list
 */
export async function readUcf101(root: string, options: ManifestOptions): Promise<SourceContents> {
  const contents: SourceContents = { kind: 'ucf101', candidates: [], skips: [], notes: [] };
  const split = options.split ?? 'train';
  const file = listName(split);
  const list = split === 'all' || file === undefined ? undefined : await readList(root, file);
  if (!list && options.split !== undefined && split !== 'all') {
    const looked = LIST_FOLDERS.map(folder => join(root, folder, file ?? `${split}list01.txt`)).join(', ');
    throw new InputError(
      `${root} has no UCF-101 split "${split}". Allowed: all, train, test, train01 … test03; looked for ${looked}`,
      { code: 'manifest.split', folder: root, split },
    );
  }
  const names = (await readdir(root, { withFileTypes: true })).filter(one => one.isDirectory()).map(one => one.name);
  const classes = await mapLimit(names.sort(), 8, async name => ({ name, files: await listClass(root, name) }));
  const listed = new Set(list?.clips);
  for (const { name, files } of classes) {
    for (const clip of files) {
      const key = `${name}/${clip}`;
      if (list && !listed.delete(key)) continue;
      contents.candidates.push(candidate(root, key, name));
    }
  }
  // What a list names and no folder holds is counted as missing with all other missing files.
  for (const key of listed)
    contents.candidates.push({ ...candidate(root, key, key.split('/')[0]!), source: list!.path });
  const part = list ? `split "${split}" by ${list.path}` : 'no split lists: every clip';
  contents.notes.push(`UCF-101, ${part}; captions are the names of the classes`);
  return contents;
}

function candidate(root: string, key: string, name: string): Candidate {
  const id = key.slice(0, key.length - (basename(key).length - basename(key).lastIndexOf('.')));
  return { id, path: join(root, key), caption: classCaption(name), source: join(root, name), line: 0 };
}
