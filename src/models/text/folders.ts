/** Where the text encoder and its tokenizer stand. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../errors.js';
import { isTokenizerFolder } from './tokenizer-files.js';

export interface TextFolders {
  /** Folder with the encoder's config.json and safetensors. */
  encoder: string;
  /** Folder with tokenizer.json, spiece.model, or vocab.json and merges.txt. */
  tokenizer: string;
}

/** What a config says about it; both may be left out. */
export interface TextLocation {
  /** A transformers folder of a text encoder. */
  path?: string;
  /** A folder of a tokenizer. */
  tokenizer?: string;
}

/** The folders of a pipeline (or of a run, which keeps a tiny encoder the same way). */
export const textFoldersIn = (root: string): TextFolders => ({
  encoder: join(root, 'text_encoder'),
  tokenizer: join(root, 'tokenizer'),
});

/**
 * Decides which encoder and tokenizer to use: those that `location` names, else the first of `roots` that holds
 * `text_encoder/`. The tokenizer of an encoder given by path is in its folder or in `tokenizer/` beside it.
 * @param roots pipeline or run folders, the preferred one first
 * @throws InputError saying where it looked
 */
export function textFolders(roots: string | readonly string[], location: TextLocation = {}): TextFolders {
  const { path, tokenizer } = location;
  if (path) {
    const own = isTokenizerFolder(path) ? path : join(dirname(path), 'tokenizer');
    return { encoder: path, tokenizer: tokenizer ?? own };
  }
  const candidates = [roots].flat().map(textFoldersIn);
  const found = candidates.find(({ encoder }) => existsSync(join(encoder, 'config.json')));
  if (found) return { ...found, tokenizer: tokenizer ?? found.tokenizer };
  throw new InputError(
    `There is no text encoder: looked for config.json in ${candidates.map(c => c.encoder).join(', ')}. ` +
      `Set model.textEncoder.path to the folder of a T5 or CLIP encoder, or model.textEncoder.tiny for a small one made from a seed.`,
    { code: 'text.not-found', looked: candidates.map(c => c.encoder) },
  );
}
