/** Reads single tensors of a cache's shards; few files are open at a time and nothing is kept in memory. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { openSafetensors, type SafetensorsReader } from '../../models/weights/safetensors.js';
import { type CacheKind, damaged, type Shard } from './shard-index.js';

const MAX_OPEN = 64;

interface Opened {
  reader: SafetensorsReader;
  /** Reads going on. */
  users: number;
}

export class ShardReader {
  private readonly shardOf = new Map<string, Shard>();
  private readonly open = new Map<string, Opened>(); // least recently used first

  /** @throws InputError `cache.damaged` when a shard is missing or has another size than it was written with */
  constructor(
    private readonly dir: string,
    private readonly kind: CacheKind,
    shards: readonly Shard[],
  ) {
    for (const shard of shards) {
      const found = statSync(path.join(dir, shard.file), { throwIfNoEntry: false });
      if (!found) throw damaged(dir, `${shard.file} is missing`, kind);
      if (found.size !== shard.bytes) {
        throw damaged(dir, `${shard.file} has ${found.size} bytes, ${shard.bytes} were written`, kind);
      }
      for (const name of shard.names) this.shardOf.set(name, shard);
    }
  }

  get size(): number {
    return this.shardOf.size;
  }

  has(name: string): boolean {
    return this.shardOf.has(name);
  }

  /** A whole tensor, row-major. */
  readSync(name: string): Float32Array {
    return this.opened(name).reader.readSync(name) as Float32Array;
  }

  /** Some rows (first axis) of a tensor, in the order asked for. */
  async readRows(name: string, rows: readonly number[]): Promise<Float32Array> {
    const file = this.opened(name);
    file.users++;
    try {
      return (await file.reader.readRows(name, rows)) as Float32Array;
    } finally {
      file.users--;
    }
  }

  shapeOf(name: string): number[] {
    return this.opened(name).reader.info(name).shape;
  }

  close(): void {
    for (const { reader } of this.open.values()) reader.close();
    this.open.clear();
  }

  private opened(name: string): Opened {
    const shard = this.shardOf.get(name);
    if (!shard) throw damaged(this.dir, `no shard holds ${name}`, this.kind);
    const known = this.open.get(shard.file);
    this.open.delete(shard.file); // and set again below: last in the map's order
    const opened = known ?? { reader: openSafetensors(path.join(this.dir, shard.file)), users: 0 };
    this.open.set(shard.file, opened);
    for (const [file, { reader, users }] of this.open) {
      if (this.open.size <= MAX_OPEN) break;
      if (users > 0 || file === shard.file) continue;
      reader.close();
      this.open.delete(file);
    }
    return opened;
  }
}
