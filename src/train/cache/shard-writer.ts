/**
 * Fills a cache's shards so that a kill at any moment loses seconds: tensors go to small finished files (parts), each synced and
 * renamed, which are joined into shards of about 256 MiB. Every file says what it belongs to, so nothing else is needed to go on.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  openSafetensors,
  type RawTensorEntry,
  type SafetensorsReader,
  writeSafetensors,
} from '../../models/weights/safetensors.js';
import { Staging } from '../../models/weights/source.js';
import {
  type CacheDtype,
  type CacheKind,
  FILE_DTYPE,
  fileNumber,
  partName,
  type Shard,
  shardName,
} from './shard-index.js';

export interface ShardWriterOptions {
  dir: string;
  kind: CacheKind;
  dtype: CacheDtype;
  /** What the tensors belong to; files with another stamp are removed. */
  stamp: string;
  /** Largest shard in bytes, as long as single tensors allow (default 256 MiB). */
  maxShardBytes?: number;
  /** A part is written when so many bytes wait (default 16 MiB) … */
  partBytes?: number;
  /** … or the last one is so old (default 2). */
  partSeconds?: number;
}

export interface CacheTensor {
  name: string;
  shape: readonly number[];
  values: Float32Array;
}

interface File extends Shard {
  number: number;
}

const MiB = 2 ** 20;
/** Parts of a shard at most: they are open together while they are joined. */
const MAX_PARTS = 200;

export class ShardWriter {
  /** Files that were of no use, with the reason. */
  readonly removed: string[] = [];
  private readonly shards: File[] = [];
  private readonly parts: File[] = [];
  private readonly shapes = new Map<string, readonly number[]>();
  private unwanted: File[] = [];
  private waiting: CacheTensor[] = [];
  private waitingBytes = 0;
  private flushedAt = performance.now();

  private constructor(private readonly options: ShardWriterOptions) {}

  /** Finds what earlier runs have finished; damaged files and those of another stamp are removed. */
  static async open(options: ShardWriterOptions): Promise<ShardWriter> {
    const writer = new ShardWriter(options);
    const { dir, kind } = options;
    const files = (await readdir(dir)).sort();
    for (const name of files) {
      for (const what of ['shard', 'part'] as const) {
        const number = fileNumber(name, kind, what);
        if (number !== null) await writer.adopt(name, number, what);
      }
    }
    return writer;
  }

  /** Number of tensors that are stored or wait to be. */
  get size(): number {
    return this.shapes.size;
  }

  has(name: string): boolean {
    return this.shapes.has(name);
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.shapes.get(name);
  }

  async add(tensor: CacheTensor): Promise<void> {
    if (this.shapes.has(tensor.name)) return;
    this.shapes.set(tensor.name, tensor.shape);
    this.waiting.push(tensor);
    this.waitingBytes += tensor.values.length * (this.options.dtype === 'fp32' ? 4 : 2);
    const { partBytes = 16 * MiB, partSeconds = 2 } = this.options;
    if (this.waitingBytes >= partBytes || performance.now() - this.flushedAt >= 1e3 * partSeconds) await this.flush();
  }

  /** Puts everything that waits on the disk. */
  async flush(): Promise<void> {
    this.flushedAt = performance.now();
    if (this.waiting.length === 0) return;
    const number = (this.parts.at(-1)?.number ?? -1) + 1;
    const file = partName(this.options.kind, number);
    const entries = this.waiting.map(({ name, shape, values }) => ({
      name,
      shape,
      dtype: FILE_DTYPE[this.options.dtype],
      data: values,
    }));
    await writeSafetensors(this.at(file), entries, this.metadata);
    this.parts.push({ number, file, bytes: (await stat(this.at(file))).size, names: entries.map(({ name }) => name) });
    this.waiting = [];
    this.waitingBytes = 0;
    await this.join(false);
  }

  /** Joins what is left. @returns the shards that hold something wanted, in order */
  async finish(isWanted: (name: string) => boolean): Promise<Shard[]> {
    await this.flush();
    await this.join(true);
    this.unwanted = this.shards.filter(shard => !shard.names.some(isWanted));
    const kept = this.shards.filter(shard => !this.unwanted.includes(shard));
    return kept.map(({ file, bytes, names }) => ({ file, bytes, names }));
  }

  /** Removes the other shards: once no index names them any more. */
  async removeUnwanted(): Promise<void> {
    for (const { file } of this.unwanted) await rm(this.at(file));
    this.unwanted = [];
  }

  private get metadata(): Record<string, string> {
    return { format: 'pt', stamp: this.options.stamp };
  }

  private at(file: string): string {
    return path.join(this.options.dir, file);
  }

  private async adopt(file: string, number: number, what: 'shard' | 'part'): Promise<void> {
    const shapes = new Map<string, number[]>();
    let problem = '';
    try {
      const reader = openSafetensors(this.at(file));
      for (const name of reader.names()) shapes.set(name, reader.info(name).shape);
      if (reader.metadata.stamp !== this.options.stamp) problem = 'belongs to another state of the cache';
      reader.close();
    } catch (error) {
      problem = (error as Error).message;
    }
    // A kill between the writing of a shard and the removal of its parts leaves both.
    const names = [...shapes.keys()];
    const isDouble = what === 'part' && problem === '' && names.every(name => this.shapes.has(name));
    if (problem !== '' || isDouble) {
      if (problem !== '') this.removed.push(`${file}: ${problem}`);
      await rm(this.at(file));
      return;
    }
    for (const [name, shape] of shapes) this.shapes.set(name, shape);
    const list = what === 'shard' ? this.shards : this.parts;
    list.push({ number, file, bytes: (await stat(this.at(file))).size, names });
  }

  /** Joins parts to full shards; `all` also those that do not fill one. */
  private async join(all: boolean): Promise<void> {
    const { maxShardBytes = 256 * MiB } = this.options;
    for (;;) {
      let bytes = 0;
      let count = 0;
      const fits = () => count === 0 || bytes + this.parts[count]!.bytes <= maxShardBytes;
      while (count < Math.min(this.parts.length, MAX_PARTS) && fits()) bytes += this.parts[count++]!.bytes;
      const isFull = count === MAX_PARTS || count < this.parts.length || bytes >= maxShardBytes;
      if (count === 0 || (!all && !isFull)) return;
      await this.joinParts(this.parts.slice(0, count));
      this.parts.splice(0, count);
    }
  }

  private async joinParts(parts: File[]): Promise<void> {
    const number = (this.shards.at(-1)?.number ?? -1) + 1;
    const file = shardName(this.options.kind, number);
    const readers: SafetensorsReader[] = [];
    const staging = new Staging();
    try {
      const entries = new Map<string, RawTensorEntry>();
      for (const part of parts) {
        const reader = openSafetensors(this.at(part.file));
        readers.push(reader);
        for (const name of part.names) {
          const { dtype, shape } = reader.info(name);
          entries.set(name, { name, dtype, shape, pieces: () => reader.pieces(name, staging) });
        }
      }
      await writeSafetensors(this.at(file), entries.values(), this.metadata);
      this.shards.push({ number, file, bytes: (await stat(this.at(file))).size, names: [...entries.keys()] });
    } finally {
      for (const reader of readers) reader.close();
    }
    for (const part of parts) await rm(this.at(part.file));
  }
}
