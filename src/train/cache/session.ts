/** One run of `show1 data cache` over a folder: what is there is checked, then shards, index and `cache.json` are written in that order. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { InputError, InterruptedError } from '../../errors.js';
import {
  type CacheRecord,
  differences,
  type Fingerprint,
  type RejectedClip,
  readRecord,
  stampOf,
  writeIndex,
  writeRecord,
} from './record.js';
import { type CacheDtype, type CacheKind, indexName } from './shard-index.js';
import { ShardWriter, type ShardWriterOptions } from './shard-writer.js';

export interface SessionOptions {
  dir: string;
  /** How numbers are stored; default: as the cache has them already, in a new one fp32. */
  dtype?: CacheDtype;
  /** Throw away what was made from other models or settings. */
  force: boolean;
  print: (line: string) => void;
  onProgress: (what: string, done: number, total: number) => void;
  signal?: AbortSignal;
  limits?: Pick<ShardWriterOptions, 'maxShardBytes' | 'partBytes' | 'partSeconds'>;
}

export interface FinishOptions {
  entries: number;
  rejected?: RejectedClip[];
  /** Which tensors the cache needs; shards without any are removed. */
  isWanted: (name: string) => boolean;
}

/** A part of a cache that is being filled. */
export interface OpenSection {
  writer: ShardWriter;
  /** Completes it. @returns bytes of its shards */
  finish<T>(index: T, options: FinishOptions): Promise<number>;
}

/** @throws InterruptedError */
export function checkAbort(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new InterruptedError('interrupted; what is finished is kept. Run the same command to go on.', {
    code: 'cache.interrupted',
  });
}

export class CacheSession {
  readonly dir: string;
  readonly print: SessionOptions['print'];
  readonly onProgress: SessionOptions['onProgress'];
  readonly signal: AbortSignal | undefined;

  private constructor(
    private readonly options: SessionOptions,
    private record: CacheRecord,
  ) {
    this.dir = options.dir;
    this.print = options.print;
    this.onProgress = options.onProgress;
    this.signal = options.signal;
  }

  /** @throws InputError `cache.foreign` when the folder holds something else */
  static async open(options: SessionOptions): Promise<CacheSession> {
    const record = readRecord(options.dir);
    await mkdir(options.dir, { recursive: true });
    await removeTemporary(options.dir);
    if (!record) await writeRecord(options.dir, {}); // from now on the folder is known as a cache
    return new CacheSession(options, record ?? {});
  }

  /**
   * Opens one part for writing, with what earlier runs have finished.
   * @throws InputError `cache.stale` when it was made from something else and `force` is not given
   */
  async begin(kind: CacheKind, of: Fingerprint): Promise<OpenSection> {
    const { dir, force, limits } = this.options;
    const existing = this.record[kind];
    const dtype = this.options.dtype ?? (existing?.fingerprint.dtype as CacheDtype | undefined) ?? 'fp32';
    const fingerprint = { ...of, dtype };
    const changed = existing ? differences(existing.fingerprint, fingerprint) : '';
    if (changed && !force) {
      throw new InputError(
        `${dir} holds ${kind === 'text' ? 'text embeddings' : 'latents'} made from something else: ${changed}. ` +
          'Add --force to throw them away and make new ones, or choose another folder with --out.',
        { code: 'cache.stale', dir, kind },
      );
    }
    if (!existing || changed) {
      if (changed) this.print(`throwing away the old ${kind} cache: ${changed}`);
      await this.write({ ...this.record, [kind]: { fingerprint, complete: false, entries: 0, bytes: 0 } });
      await rm(path.join(dir, indexName(kind)), { force: true });
    }
    // Shards with another stamp, should a kill have left any, are removed here.
    const writer = await ShardWriter.open({ dir, kind, dtype, stamp: stampOf(fingerprint), ...limits });
    for (const file of writer.removed) this.print(`removed ${file}`);
    return {
      writer,
      finish: async (index, { entries, rejected, isWanted }) => {
        const shards = await writer.finish(isWanted);
        await writeIndex(dir, kind, { ...index, shards });
        const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
        const section = { fingerprint, complete: true, entries, bytes, ...(rejected ? { rejected } : {}) };
        await this.write({ ...this.record, [kind]: section });
        await writer.removeUnwanted();
        return bytes;
      },
    };
  }

  private async write(record: CacheRecord): Promise<void> {
    await writeRecord(this.options.dir, record);
    this.record = record;
  }
}

/** What a killed writer of small files left. */
async function removeTemporary(dir: string): Promise<void> {
  for (const name of await readdir(dir)) if (name.endsWith('.tmp')) await rm(path.join(dir, name), { force: true });
}
