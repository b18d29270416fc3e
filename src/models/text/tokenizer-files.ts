/** Finds out which format a tokenizer folder is in, and opens it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { InputError } from '../../errors.js';
import { type JsonObject, readJsonObject } from '../weights/pretrained.js';
import { ClipTokenEncoder } from './clip-tokenizer.js';
import type { ClipText } from './clip-tokenizer-text.js';
import type { TokenEncoder } from './tokenizer-encoder.js';
import { JsonTokenEncoder } from './tokenizer-json.js';
import { mergeConfigs, tokenText } from './tokenizer-special.js';
import { T5TokenEncoder } from './tokenizer-t5.js';

const FORMATS = [['tokenizer.json'], ['spiece.model'], ['vocab.json', 'merges.txt']] as const;
type FileName = (typeof FORMATS)[number][number];

/** A tokenizer folder, opened. */
export interface OpenedTokenizer {
  encoder: TokenEncoder;
  config: JsonObject;
  /** Name of the padding token. */
  padToken: string;
  /** The file or folder that messages name. */
  where: string;
}

/** Whether a folder holds a tokenizer of any format that is read here. */
export const isTokenizerFolder = (dir: string): boolean =>
  FORMATS.some(names => names.every(name => existsSync(join(dir, name))));

const BESIDE = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'] as const;

/** The files of a folder that decide what ids a text becomes. */
export function tokenizerFiles(dir: string): string[] {
  const format = FORMATS.find(names => names.every(name => existsSync(join(dir, name))));
  if (!format) throw notFound(dir);
  return [...format, ...BESIDE].map(name => join(dir, name)).filter(file => existsSync(file));
}

/**
 * Reads, of the formats that are there, the first of: `tokenizer.json`; `spiece.model` (T5); `vocab.json` with
 * `merges.txt` (CLIP). Beside each: `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.
 * @throws InputError listing what was looked for and what is there; or saying what is wrong with a file
 */
export function openTokenizer(dir: string, clipText?: ClipText): OpenedTokenizer {
  const format = FORMATS.find(names => names.every(name => existsSync(join(dir, name))));
  if (!format) throw notFound(dir);
  const optional = (name: string, what: string) => (existsSync(join(dir, name)) ? readJson(join(dir, name), what) : {});
  const config = mergeConfigs(
    optional('tokenizer_config.json', "the tokenizer's config"),
    optional('special_tokens_map.json', "the tokenizer's special tokens"),
    optional('added_tokens.json', "the tokenizer's added tokens"),
  );
  const kind: FileName = format[0];
  const where = format.length === 1 ? join(dir, kind) : dir;
  const pad = (fallback: string) => String(tokenText(config.pad_token ?? fallback));
  if (kind === 'tokenizer.json') {
    const encoder = new JsonTokenEncoder(readJson(where, 'the tokenizer'), config, where);
    return { encoder, config, padToken: pad('<pad>'), where };
  }
  if (kind === 'spiece.model') {
    onlyFor('T5Tokenizer', config, where);
    return { encoder: new T5TokenEncoder(readBytes(where), config, where), config, padToken: pad('<pad>'), where };
  }
  onlyFor('CLIPTokenizer', config, where);
  const vocab = readJson(join(dir, 'vocab.json'), "the tokenizer's vocabulary");
  const merges = readBytes(join(dir, 'merges.txt')).toString();
  const encoder = new ClipTokenEncoder({ vocab, merges, config }, where, clipText);
  return { encoder, config, padToken: pad('<|endoftext|>'), where };
}

/** Files of the same names belong to other models as well, which treat texts differently. */
function onlyFor(expected: string, config: JsonObject, where: string): void {
  const found = config.tokenizer_class;
  if (found === undefined || found === expected || found === `${expected}Fast`) return;
  throw new InputError(
    `${where} belongs to a ${found}; without tokenizer.json only a ${expected} can be read. ` +
      'Save it with a fast tokenizer of transformers, which writes tokenizer.json.',
    { code: 'tokenizer.class', where, class: found },
  );
}

function readJson(file: string, what: string): JsonObject {
  readBytes(file);
  return readJsonObject(file, what);
}

/** @throws InputError when the file is a Git LFS pointer, a web page, or empty */
function readBytes(file: string): Buffer {
  const bytes = readFileSync(file);
  const head = bytes.subarray(0, 200).toString('latin1');
  const name = basename(file);
  if (head.startsWith('version https://git-lfs')) {
    throw new InputError(
      `${file} is a Git LFS pointer (a few lines of text), not the file itself. ` +
        'Fetch the content: run "git lfs install && git lfs pull" in the folder it was cloned to.',
      { code: 'tokenizer.lfs-pointer', file },
    );
  }
  if (/^\s*<(!doctype|html|head|\?xml)/i.test(head)) {
    throw new InputError(
      `${file} is a web page: the download was answered with HTML (often a login or an error page). ` +
        `Download ${name} again, signed in where the model asks for it.`,
      { code: 'tokenizer.html', file },
    );
  }
  if (bytes.length === 0) {
    throw new InputError(`${file} is empty. Download ${name} again.`, { code: 'tokenizer.empty', file });
  }
  return bytes;
}

function notFound(dir: string): InputError {
  const names = existsSync(dir) ? readdirSync(dir).sort() : null;
  const holds = names?.length ? names.slice(0, 12).join(', ') : 'nothing';
  return new InputError(
    `No tokenizer in ${dir}: looked for ${FORMATS.map(format => format.join(' with ')).join('; ')}. ` +
      `${names ? `It holds ${holds}.` : 'There is no such folder.'} Download the tokenizer folder of the model.`,
    { code: 'tokenizer.not-found', dir },
  );
}
