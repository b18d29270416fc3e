/** The prompts of a set: its own captions, or those of a file. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseJsonCaptions, stem } from '../data/captions.js';
import type { ManifestEntry } from '../data/index.js';
import { InputError } from '../errors.js';

export interface PromptsFile {
  path: string;
  sha256: string;
}

/**
 * Gives entries the prompts of a file: `.json` names the videos (`{"a.mp4": "a cat"}` or a list of `{"path", "caption"}`), any
 * other file has one a line, in the order of the listing (`#` lines and empty ones are none).
 * @param entries in the order of the listing
 * @throws InputError `eval.prompts` when the file cannot be read, or has another number of prompts than there are videos
 */
export async function withPrompts(
  entries: readonly ManifestEntry[],
  file: string,
): Promise<{ entries: ManifestEntry[]; file: PromptsFile }> {
  const fail = (why: string): InputError => new InputError(`--prompts ${file}: ${why}`, { code: 'eval.prompts', file });
  const bytes = await readFile(file).catch(error => {
    throw fail((error as Error).message);
  });
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  const record: PromptsFile = { path: file, sha256: createHash('sha256').update(bytes).digest('hex') };
  const give = (entry: ManifestEntry, caption: string): ManifestEntry => {
    const { captions: _, ...rest } = entry;
    return { ...rest, caption, source: file };
  };
  if (path.extname(file).toLowerCase() !== '.json') {
    const prompts = text
      .split(/\r?\n/)
      .map(line => line.trim())
      .filter(line => line !== '' && !line.startsWith('#'));
    if (prompts.length !== entries.length) {
      throw fail(
        `${prompts.length} prompts for ${entries.length} videos; give one a line for each video, in the order of their names, ` +
          'or a .json that names the videos',
      );
    }
    return { entries: entries.map((entry, i) => give(entry, prompts[i]!)), file: record };
  }
  const { rows, malformed } = parseJsonCaptions(text, file);
  if (malformed.length > 0) throw fail(`entry ${malformed[0]!.line}: ${malformed[0]!.detail}`);
  const byKey = new Map(rows.map(({ key, caption }) => [key, caption]));
  const found = entries.map(entry => {
    const name = path.basename(entry.member?.name ?? entry.path);
    const keys = [entry.id, entry.path, name, stem(name), `${entry.id}${path.extname(name)}`];
    return keys.map(key => byKey.get(key)).find(one => one !== undefined);
  });
  const without = entries.filter((_, i) => found[i] === undefined || found[i] === '');
  if (without.length > 0) {
    throw fail(`${without.length} of ${entries.length} videos have no prompt in it, the first is ${without[0]!.id}`);
  }
  return { entries: entries.map((entry, i) => give(entry, found[i]!)), file: record };
}

/** Every caption of a video; none where it has none. */
export const captionsOf = ({ caption, captions = [caption] }: ManifestEntry): string[] =>
  captions.filter(text => text.trim() !== '');
