/** What a run asks of a cache. */
import path from 'node:path';
import { FileHashes } from './file-hashes.js';
import { type Fingerprint, readSection, type Wanted } from './record.js';
import type { CacheKind } from './shard-index.js';

/**
 * Computes a run's fingerprint with the hashes that the cache's folder remembers.
 * @param run the run's folder
 * @throws InputError `cache.missing`, `cache.foreign`, before anything is read or written
 */
export async function wantedOf(
  { dir, kind, run }: { dir: string; kind: CacheKind; run: string },
  print: (line: string) => void,
  fingerprint: (hashes: FileHashes) => Promise<Fingerprint>,
): Promise<Wanted> {
  const config = path.join(run, 'config.yaml');
  readSection({ dir, kind, config });
  const hashes = await FileHashes.open(path.join(dir, 'hashes.json'), print);
  const wanted = { dir, kind, config, fingerprint: await fingerprint(hashes) };
  await hashes.save();
  return wanted;
}
