/** What cached numbers follow from, by content: equal fingerprints, equal numbers. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Config } from '../../config/schema.js';
import { FAMILY_CLEANING, type TextFolders, textFamily, tokenizerFiles } from '../../models/text/index.js';
import { locateWeights } from '../../models/weights/locate.js';
import { readModelConfig } from '../../models/weights/pretrained.js';
import type { FileHashes } from './file-hashes.js';
import type { Fingerprint } from './record.js';

/** The weight files that opening a model folder would read. */
function weightFiles(dir: string): string[] {
  const found = locateWeights(dir);
  return 'file' in found ? [found.file] : found.shards;
}

/** One hash of several files, in the order given; their names do not matter. */
async function hashOf(files: readonly string[], hashes: FileHashes, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await hashes.of(file, signal));
  return hash.digest('hex');
}

/** How a run's text encoder cleans captions. */
export const cleaningOf = (folders: TextFolders) =>
  FAMILY_CLEANING[textFamily(readModelConfig(folders.encoder), path.join(folders.encoder, 'config.json'))];

/** @param maxLength tokens a caption becomes */
export async function textFingerprint(
  folders: TextFolders,
  maxLength: number,
  hashes: FileHashes,
  signal?: AbortSignal,
): Promise<Fingerprint> {
  return {
    encoderConfig: await hashOf([path.join(folders.encoder, 'config.json')], hashes, signal),
    encoderWeights: await hashOf(weightFiles(folders.encoder), hashes, signal),
    tokenizer: await hashOf(tokenizerFiles(folders.tokenizer), hashes, signal),
    cleaning: cleaningOf(folders),
    maxLength,
  };
}

/** @param vae folder of the autoencoder */
export async function latentsFingerprint(
  vae: string,
  { data, precision }: Pick<Config, 'data' | 'precision'>,
  hashes: FileHashes,
  signal?: AbortSignal,
): Promise<Fingerprint> {
  return {
    vaeConfig: await hashOf([path.join(vae, 'config.json')], hashes, signal),
    vaeWeights: await hashOf(weightFiles(vae), hashes, signal),
    precision,
    width: data.width,
    height: data.height,
    fit: data.fit,
    fps: data.fps,
  };
}
