import { readdir, readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { InputError } from '../../errors.js';
import { isVideoName } from '../captions.js';
import type { ManifestOptions } from '../manifest.js';
import type { SourceContents } from './types.js';

const JSON_NAME = /(videodatainfo|msr[-_]?vtt).*\.json$/i;
const VIDEO_FOLDERS = ['TrainValVideo', 'TestVideo', 'videos', 'video', 'videos/all', 'all', 'data/videos/all', ''];
const JSON_FOLDERS = ['', 'data', 'annotation', 'annotations'];

interface Annotations {
  /** `start time` and `end time` are places in the film that the clip was cut from long ago. */
  videos: { video_id: string; split?: string }[];
  sentences: { video_id: string; caption: string }[];
}

function isAnnotations(value: unknown): value is Annotations {
  const { videos, sentences } = Object(value) as Partial<Annotations>;
  if (!Array.isArray(videos) || !Array.isArray(sentences)) return false;
  return [...videos.slice(0, 10), ...sentences.slice(0, 10)].every(one => typeof Object(one).video_id === 'string');
}

/** The annotation files of a folder, or of its data/ or annotation/: by name, the contents are checked when they are read. */
export async function findMsrVtt(folder: string): Promise<string[]> {
  for (const sub of JSON_FOLDERS) {
    const names = await readdir(join(folder, sub)).catch(() => []);
    const found = names.filter(name => JSON_NAME.test(name)).sort();
    if (found.length > 0) return found.map(name => join(folder, sub, name));
  }
  return [];
}

/** Whether a file holds MSR-VTT's annotations; undefined where it does not. */
export async function readAnnotations(path: string): Promise<Annotations | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isAnnotations(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Every video file under the folders where MSR-VTT's are found, by the name without extension; the first one counts. */
async function listVideos(folders: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const folder of folders) {
    for (const name of await readdir(folder).catch(() => [])) {
      const id = name.slice(0, name.length - extname(name).length);
      if (isVideoName(name) && !found.has(id)) found.set(id, join(folder, name));
    }
  }
  return found;
}

/**
 * MSR-VTT: a JSON with `videos` and `sentences`, and videos `video0.mp4` … in TrainValVideo/, TestVideo/, videos/ or all/. All
 * captions of a video stay with it (`captions`): training draws one for each sample. `split`: `train` (default), `validate`,
 * `test`, `all`.
 * @throws InputError `manifest.layout` when there are no annotations or no videos, `manifest.split` for a split without videos
 */
export async function readMsrVtt(files: readonly string[], options: ManifestOptions): Promise<SourceContents> {
  const contents: SourceContents = { kind: 'msrvtt', candidates: [], skips: [], notes: [] };
  const all: (Annotations['videos'][number] & { file: string })[] = [];
  const captions = new Map<string, string[]>();
  for (const file of files) {
    const annotations = await readAnnotations(file);
    if (!annotations) continue;
    const known = new Set(all.map(video => video.video_id));
    all.push(...annotations.videos.filter(video => !known.has(video.video_id)).map(video => ({ ...video, file })));
    for (const { video_id, caption } of annotations.sentences) {
      const text = typeof caption === 'string' ? caption.trim().replace(/\s+/g, ' ') : '';
      if (text === '' || known.has(video_id)) continue;
      captions.set(video_id, [...(captions.get(video_id) ?? []), text]);
    }
  }
  const top = dirname(files[0]!);
  const roots = options.root ? [options.root] : [top, dirname(top)];
  const folders = [...new Set(roots.flatMap(root => VIDEO_FOLDERS.map(sub => join(root, sub))))];
  const videos = await listVideos(folders);
  if (all.length === 0 || !all.some(({ video_id }) => videos.has(video_id))) {
    const what =
      all.length === 0
        ? `none of ${files.join(', ')} holds the lists "videos" and "sentences" with a "video_id" each`
        : `no ${all[0]!.video_id}.mp4 or other video of ${files[0]} was found; looked in ${folders.join(', ')}`;
    throw new InputError(`MSR-VTT in ${top}: ${what}. Name the folder of the videos with root`, {
      code: 'manifest.layout',
      folders,
    });
  }
  const splits = new Set(all.map(video => video.split ?? 'train'));
  const split = options.split === 'val' ? 'validate' : (options.split ?? (splits.has('train') ? 'train' : 'all'));
  const chosen = all.filter(video => split === 'all' || (video.split ?? 'train') === split);
  if (chosen.length === 0) {
    throw new InputError(
      `MSR-VTT in ${top} has no split "${split}"; it has ${[...splits].sort().join(', ')}; or "all"`,
      {
        code: 'manifest.split',
        split,
      },
    );
  }
  for (const { video_id: id, file } of chosen) {
    const texts = captions.get(id) ?? [];
    const path = videos.get(id) ?? join(folders[0]!, `${id}.mp4`);
    const several = texts.length > 1 ? { captions: texts } : {};
    contents.candidates.push({ id, path, caption: texts[0] ?? '', source: file, line: 0, ...several });
  }
  const count = chosen.reduce((sum, { video_id }) => sum + (captions.get(video_id)?.length ?? 0), 0);
  const part = `split "${split}": ${chosen.length} of ${all.length} videos with ${count} captions`;
  contents.notes.push(`MSR-VTT, ${part}; each sample draws one of its video's`);
  return contents;
}
