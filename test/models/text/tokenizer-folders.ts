/** Tokenizer folders as models come with them, from the small models that test/reference/tokenizers_golden.py trained. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { tempFolder } from '../weights/files.js';

const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name));

export interface Golden {
  texts: string[];
  t5: { ids: number[][]; vocabSize: number; padded: Record<string, number[][]> };
  bytes: { ids: number[][] };
  clip: Record<
    'end' | 'bang',
    { padId: number; ftfy: number[][]; basic: number[][]; fast: number[][]; padded: Record<string, number[][]> }
  >;
}

/** Python's ids of difficult texts. */
export const golden: Golden = JSON.parse(fixture('golden.json').toString());

/** T5-like: 199 pieces, NFKC. */
export const t5Model: Buffer = gunzipSync(fixture('t5/spiece.model.gz'));
/** Byte fallback, user-defined and control symbols, spaces kept. */
export const bytesModel: Buffer = gunzipSync(fixture('bytes/spiece.model.gz'));
export const clipVocab: Record<string, number> = JSON.parse(fixture('clip/vocab.json').toString());
export const clipMerges: string = fixture('clip/merges.txt').toString();

/** A fresh folder with these files; objects become JSON. */
export function folderWith(files: Record<string, unknown>): string {
  const dir = tempFolder();
  for (const [name, content] of Object.entries(files)) {
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(join(dir, name), raw ? content : JSON.stringify(content));
  }
  return dir;
}

export const t5Folder = (more: Record<string, unknown> = {}): string =>
  folderWith({ 'spiece.model': t5Model, ...more });
export const clipFolder = (more: Record<string, unknown> = {}): string =>
  folderWith({ 'vocab.json': clipVocab, 'merges.txt': clipMerges, ...more });
