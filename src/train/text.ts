/** The text encoder of a training run, or a cache in its place. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { pretrainedRoots } from '../infer/model-folder.js';
import {
  createTinyTextEncoder,
  TextConditioner,
  type TextFolders,
  type TextSource,
  textFolders,
} from '../models/text/index.js';
import { CachedText } from './cache/cached-text.js';
import { textFingerprint } from './cache/fingerprints.js';
import { wantedOf } from './cache/wanted.js';

/** Where the run's text encoder is; a tiny one is made on the first start and kept in the run folder. */
export async function findText(
  { model, output: run }: Pick<Config, 'model' | 'output'>,
  captions: readonly string[],
  print: (line: string) => void,
): Promise<TextFolders> {
  const { tiny, ...location } = model.textEncoder ?? {};
  if (tiny && !existsSync(path.join(run, 'text_encoder', 'config.json'))) {
    await createTinyTextEncoder(run, [...captions, ''], { ...tiny, maxLength: model.maxTextLength });
    print(`made a tiny text encoder of width ${tiny.dModel} in ${run}`);
  }
  const roots = [run, ...pretrainedRoots(model.pretrained)];
  return textFolders(roots, location);
}

/** Every text that a run will ask for. */
export const textsOf = (config: Pick<Config, 'validate'>, captions: readonly string[]): string[] => [
  ...captions,
  ...config.validate.prompts,
  '',
];

/**
 * Opens the encoder, or `data.cached.text`: then no encoder is loaded.
 * @throws InputError `cache.*` when the cache does not belong to this run
 */
export async function buildText(
  config: Config,
  captions: readonly string[],
  print: (line: string) => void,
): Promise<TextSource> {
  const folders = await findText(config, captions, print);
  const maxLength = config.model.maxTextLength;
  const dir = config.data.cached?.text;
  if (dir === undefined) return TextConditioner.fromPretrained(folders, { maxLength });
  const wanted = await wantedOf({ dir, kind: 'text', run: config.output }, print, hashes =>
    textFingerprint(folders, maxLength, hashes),
  );
  const text = CachedText.open(wanted, textsOf(config, captions));
  print(`text embeddings of ${text.size} captions from ${dir}; the text encoder is not loaded`);
  return text;
}
