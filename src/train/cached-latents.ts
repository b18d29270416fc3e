/** Opens `data.cached.latents` for a run. */
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { FileHashes } from './cache/file-hashes.js';
import { latentsFingerprint } from './cache/fingerprints.js';
import { LatentStore } from './cache/latent-store.js';
import type { TrainingData } from './data.js';

/**
 * @param vae folder of the run's autoencoder
 * @returns null where the run encodes its clips itself
 * @throws InputError `cache.*` when the cache does not belong to this run
 */
export async function openLatents(
  config: Config,
  vae: string,
  data: Pick<TrainingData, 'train' | 'heldOut'>,
  print: (line: string) => void,
): Promise<LatentStore | null> {
  const dir = config.data.cached?.latents;
  if (dir === undefined) return null;
  const hashes = await FileHashes.open(path.join(dir, 'hashes.json'), print);
  const fingerprint = await latentsFingerprint(vae, config, hashes);
  const wanted = { dir, kind: 'latents', fingerprint, config: path.join(config.output, 'config.yaml') } as const;
  const store = await LatentStore.open(wanted, [...data.train, ...data.heldOut]);
  await hashes.save();
  print(`latents of ${store.size} clips from ${dir}; training decodes no frames`);
  return store;
}
