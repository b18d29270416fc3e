/** Latents of clips from a cache, for a loader: the frames that it would have decoded, encoded. */
import type { FeatureReader, FeatureRequest } from '../../data/features.js';
import { clipError } from '../../data/ffmpeg-errors.js';
import { decode, type ManifestEntry } from '../../data/index.js';
import { mapLimit } from '../../data/limit.js';
import { InputError } from '../../errors.js';
import { identify, placeOf } from './clip-files.js';
import type { LatentsIndex, StoredClip } from './latents-index.js';
import { notCached, readIndex, requireSection, type Wanted } from './record.js';
import { ShardReader } from './shard-reader.js';

/** Files that are looked at together. */
const STATS_AT_A_TIME = 16;

export class LatentStore implements FeatureReader {
  readonly shape: readonly [number, number, number];

  private constructor(
    private readonly wanted: Wanted,
    private readonly index: LatentsIndex,
    private readonly reader: ShardReader,
  ) {
    this.shape = index.shape;
  }

  /**
   * Opens a complete cache that was made with the same autoencoder and preprocessing and knows all of `entries`.
   * @throws InputError `cache.missing`, `cache.stale`, `cache.incomplete`, `cache.damaged`, `cache.foreign`
   */
  static async open(wanted: Wanted, entries: readonly ManifestEntry[]): Promise<LatentStore> {
    requireSection(wanted);
    const { shards, ...index } = readIndex<LatentsIndex>(wanted.dir, 'latents');
    const isKnown = async (entry: ManifestEntry): Promise<boolean> => {
      const file = index.files[placeOf(entry)];
      if (!file) return false;
      return (await identify(entry, file)).sha256 === file.sha256;
    };
    const known = await mapLimit(entries, STATS_AT_A_TIME, isKnown);
    const missing = entries.filter((_, i) => !known[i]).map(({ path }) => path);
    if (missing.length > 0) throw notCached(wanted, missing, entries.length);
    return new LatentStore(wanted, index, new ShardReader(wanted.dir, 'latents', shards));
  }

  /** Clips in the cache. */
  get size(): number {
    return this.reader.size;
  }

  async read(entry: ManifestEntry, request: FeatureRequest): Promise<{ data: Uint8Array; offset: number }> {
    const { name, problem } = this.index.files[placeOf(entry)]!;
    if (problem) throw new InputError(problem.message, { code: problem.code, path: entry.path });
    const clip = this.index.clips[name]!;
    const offset = await this.offset(entry, clip, request);
    const { count, each } = request;
    const rows = Array.from({ length: Math.floor((count - 1) / each) + 1 }, (_, i) => offset + i * each);
    const { buffer, byteOffset, byteLength } = await this.reader.readRows(name, rows);
    return { data: new Uint8Array(buffer, byteOffset, byteLength), offset };
  }

  close(): void {
    this.reader.close();
  }

  /** As the clip reader of `data/` chooses it. */
  private async offset(entry: ManifestEntry, clip: StoredClip, request: FeatureRequest): Promise<number> {
    const { frames, count, chooseOffset, isWhole } = request;
    const total = Math.round(clip.seconds * (this.wanted.fingerprint.fps as number));
    if (isWhole(total, clip.seconds)) {
      const there = total > 0 ? clip.frames : Math.min(clip.frames, 64 * frames);
      if (there < frames) throw await this.tooShort(entry, clip, frames, request.signal);
      return chooseOffset(there - count + 1);
    }
    const offset = chooseOffset(total - count + 1);
    if (offset + count <= clip.frames) return offset;
    if (count > clip.frames) throw await this.tooShort(entry, clip, count, request.signal);
    return 0; // the stated length promises more than there is
  }

  /** The words of the decoder about a clip with too few frames: cut, or merely short. */
  private async tooShort(entry: ManifestEntry, clip: StoredClip, frames: number, signal: AbortSignal): Promise<Error> {
    const { width, height, fit, fps } = this.wanted.fingerprint;
    const size = { width: width as number, height: height as number };
    const options = { size, fit: fit as 'crop', fps: fps as number, sourceFps: clip.fps, frames, signal };
    return decode(entry, options).then(
      () =>
        clipError('video.too-short', entry, `has ${clip.frames} frames, ${frames} are needed`, { got: clip.frames }),
      error => error as Error,
    );
  }
}
