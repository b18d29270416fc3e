/** Folders that `show1 sample` and the validation of a training run write: `samples.json` beside the videos. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ManifestEntry } from '../data/index.js';
import { InputError } from '../errors.js';

export const SAMPLES_FILE = 'samples.json';

/**
 * The videos that a `samples.json` lists with their prompts; undefined where the folder has none.
 * @throws InputError `eval.samples` when it cannot be used
 */
export async function readSampleFolder(folder: string): Promise<ManifestEntry[] | undefined> {
  const file = path.join(folder, SAMPLES_FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const fail = (why: string): InputError => new InputError(`${file} ${why}`, { code: 'eval.samples', file });
  let records: unknown;
  try {
    records = JSON.parse(text);
  } catch (error) {
    throw fail(`is not JSON: ${(error as Error).message}. Was sampling interrupted? Run the same "show1 sample" again`);
  }
  if (!Array.isArray(records)) throw fail('must hold a list of {"prompt", "path"}, as "show1 sample" writes it');
  return records.map((record: Record<string, unknown>, i) => {
    const { prompt, path: name, clip } = Object(record) as { prompt?: unknown; path?: unknown; clip?: unknown };
    if (typeof prompt !== 'string' || typeof name !== 'string') {
      throw fail(`entry ${i + 1} has no "prompt" and "path", as "show1 sample" writes them`);
    }
    if (clip !== undefined) {
      throw fail(
        'belongs to the validation of a stage that shows condition, sample and truth side by side in one picture; ' +
          'sample with "show1 sample --out DIR" and give DIR',
      );
    }
    const id = name.slice(0, name.length - path.extname(name).length);
    return { id, path: path.resolve(folder, name), caption: prompt, source: file, line: i + 1 };
  });
}
