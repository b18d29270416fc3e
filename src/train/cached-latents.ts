/** Opens `data.cached.latents` for a run. */
import type { Config } from '../config/schema.js';
import { latentsFingerprint } from './cache/fingerprints.js';
import { LatentStore } from './cache/latent-store.js';
import { wantedOf } from './cache/wanted.js';
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
  const wanted = await wantedOf({ dir, kind: 'latents', run: config.output }, print, hashes =>
    latentsFingerprint(vae, config, hashes),
  );
  const store = await LatentStore.open(wanted, [...data.train, ...data.heldOut]);
  print(`latents of ${store.size} clips from ${dir}; training decodes no frames`);
  return store;
}
