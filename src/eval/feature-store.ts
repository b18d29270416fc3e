/**
 * Features on disk, so that nothing is computed twice: a folder for each way of computing them, in it files that are complete or
 * absent. Several processes, also of several machines, may write at once: every file has a name of its own, the hash of its bytes,
 * by which damage is found as well.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.js';
import { openSafetensors, type SafetensorsReader, writeSafetensors } from '../models/weights/safetensors.js';
import { writeJson } from '../train/cache/atomic.js';
import { hashFile } from '../train/cache/file-hashes.js';

/** Rows of one clip: [rows, dim]. */
export interface Features {
  rows: number;
  values: Float32Array;
}

/** What is known about a clip that has none. */
export interface Refusal {
  reason: string;
  message: string;
}

export interface FeatureStoreOptions {
  /** Features in memory before they are written (default 64) … */
  maxWaiting?: number;
  /** … or seconds (default 0.5): what a kill may lose, besides the clips in the network. */
  maxSeconds?: number;
  /** Files of this process before they are joined (default 32). */
  maxFiles?: number;
  print?: (line: string) => void;
}

const NAME = /^[0-9a-f]{64}\.safetensors$/;
const MAX_OPEN = 64;
/** A temporary file this old belongs to a process that was killed. */
const STALE_MS = 24 * 3600e3;

export class FeatureStore {
  private readonly fileOf = new Map<string, string>();
  private readonly refused = new Map<string, Refusal>();
  private readonly seen = new Set<string>();
  private readonly open = new Map<string, SafetensorsReader>(); // least recently used first
  private readonly own: string[] = [];
  private waiting = new Map<string, Features>();
  private waitingRefusals = new Map<string, Refusal>();
  private flushedAt = performance.now();

  private constructor(
    readonly folder: string,
    private readonly options: FeatureStoreOptions,
  ) {}

  /**
   * Opens the folder of one way of computing features, and reads what is there.
   * @param cache the folder of all of them
   * @param spec everything that features follow from besides the clip; kept as `spec.json`
   * @throws InputError `eval.cache` when the folder cannot be used
   */
  static async open(cache: string, spec: object, options: FeatureStoreOptions = {}): Promise<FeatureStore> {
    const key = createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 24);
    const folder = path.join(cache, key);
    try {
      await mkdir(folder, { recursive: true });
      if (!existsSync(path.join(folder, 'spec.json'))) await writeJson(path.join(folder, 'spec.json'), spec);
    } catch (error) {
      throw new InputError(`--cache ${cache} cannot be written: ${(error as Error).message}`, {
        code: 'eval.cache',
        cache,
      });
    }
    const store = new FeatureStore(folder, options);
    await store.removeStale();
    await store.refresh();
    return store;
  }

  has(name: string): boolean {
    return this.fileOf.has(name) || this.waiting.has(name);
  }

  /** Why a clip has no features; undefined where that is not known. */
  refusal(name: string): Refusal | undefined {
    return this.refused.get(name) ?? this.waitingRefusals.get(name);
  }

  /** Looks for what other processes have written meanwhile. */
  async refresh(): Promise<void> {
    for (const name of (await readdir(this.folder)).sort()) {
      if (NAME.test(name) && !this.seen.has(name)) await this.adopt(name);
    }
  }

  /**
   * Keeps features, and refusals, that belong together: after a kill all of them are there, or none.
   */
  async add(
    features: ReadonlyMap<string, Features>,
    refusals: ReadonlyMap<string, Refusal> = new Map(),
  ): Promise<void> {
    for (const [name, values] of features) if (!this.has(name)) this.waiting.set(name, values);
    for (const [name, refusal] of refusals) if (!this.refusal(name)) this.waitingRefusals.set(name, refusal);
    const { maxWaiting = 64, maxSeconds = 0.5 } = this.options;
    const late = performance.now() - this.flushedAt >= 1e3 * maxSeconds;
    if (this.waiting.size + this.waitingRefusals.size >= maxWaiting || late) await this.flush();
  }

  /** Puts everything that waits on the disk. */
  async flush(): Promise<void> {
    this.flushedAt = performance.now();
    if (this.waiting.size + this.waitingRefusals.size === 0) return;
    const file = await this.write(this.waiting, this.waitingRefusals);
    for (const name of this.waiting.keys()) this.fileOf.set(name, file);
    for (const [name, refusal] of this.waitingRefusals) this.refused.set(name, refusal);
    this.waiting = new Map();
    this.waitingRefusals = new Map();
    this.own.push(file);
    const { maxFiles = 32 } = this.options;
    if (this.own.length >= maxFiles) await this.join();
  }

  /** @throws InputError `eval.cache-lost` when it is no longer there */
  async read(name: string): Promise<Features> {
    const waiting = this.waiting.get(name);
    if (waiting) return waiting;
    for (let attempt = 0; ; attempt++) {
      const file = this.fileOf.get(name);
      try {
        if (file === undefined) throw new Error('no file holds it');
        const reader = this.opened(file);
        return { rows: reader.info(name).shape[0]!, values: reader.readSync(name) as Float32Array };
      } catch (error) {
        // Another process joins its files: what one held is in a newer one.
        if (attempt === 0) {
          if (file !== undefined) this.forget(file);
          await this.refresh();
          continue;
        }
        throw new InputError(
          `features of ${name.slice(0, 12)}… are gone from ${this.folder}: ${(error as Error).message}. Run the command again`,
          { code: 'eval.cache-lost', folder: this.folder },
        );
      }
    }
  }

  close(): void {
    for (const reader of this.open.values()) reader.close();
    this.open.clear();
  }

  private at(file: string): string {
    return path.join(this.folder, file);
  }

  /** @returns the name of the file */
  private async write(
    features: ReadonlyMap<string, Features>,
    refusals: ReadonlyMap<string, Refusal>,
  ): Promise<string> {
    const temporary = this.at(`${randomBytes(8).toString('hex')}.tmp`);
    const entries = [...features].map(([name, { rows, values }]) => ({
      name,
      shape: [rows, values.length / rows],
      data: values,
    }));
    await writeSafetensors(temporary, entries, { format: 'pt', refused: JSON.stringify([...refusals]) });
    const file = `${await hashFile(temporary)}.safetensors`;
    await rename(temporary, this.at(file));
    this.seen.add(file);
    return file;
  }

  private async adopt(file: string): Promise<void> {
    let reader: SafetensorsReader;
    try {
      if (`${await hashFile(this.at(file))}.safetensors` !== file) throw new Error('its bytes have changed');
      reader = openSafetensors(this.at(file));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // joined by its owner just now
      this.options.print?.(`${this.at(file)} is damaged (${(error as Error).message}): what it held is computed again`);
      await rename(this.at(file), this.at(`${file}.damaged`)).catch(() => undefined);
      return;
    }
    this.seen.add(file);
    for (const name of reader.names()) this.fileOf.set(name, file);
    for (const [name, refusal] of JSON.parse(reader.metadata.refused ?? '[]') as [string, Refusal][]) {
      this.refused.set(name, refusal);
    }
    reader.close();
  }

  /** Joins this process's files to one. */
  private async join(): Promise<void> {
    const features = new Map<string, Features>();
    const refusals = new Map<string, Refusal>();
    const files = this.own.splice(0);
    for (const file of files) {
      const reader = this.opened(file);
      for (const name of reader.names()) features.set(name, await this.read(name));
      for (const [name, refusal] of JSON.parse(reader.metadata.refused!) as [string, Refusal][]) {
        refusals.set(name, refusal);
      }
    }
    const joined = await this.write(features, refusals);
    for (const name of features.keys()) this.fileOf.set(name, joined);
    for (const file of files) {
      if (file === joined) continue;
      this.open.get(file)?.close();
      this.open.delete(file);
      await rm(this.at(file), { force: true });
    }
  }

  private opened(file: string): SafetensorsReader {
    const known = this.open.get(file);
    this.open.delete(file); // and set again below: last in the map's order
    const reader = known ?? openSafetensors(this.at(file));
    this.open.set(file, reader);
    for (const [other, { close }] of this.open) {
      if (this.open.size <= MAX_OPEN) break;
      if (other === file) continue;
      close.call(this.open.get(other));
      this.open.delete(other);
    }
    return reader;
  }

  private forget(file: string): void {
    this.open.get(file)?.close();
    this.open.delete(file);
    for (const [name, holder] of this.fileOf) if (holder === file) this.fileOf.delete(name);
  }

  private async removeStale(): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (!name.endsWith('.tmp')) continue;
      const found = await stat(this.at(name)).catch(() => undefined);
      if (found && Date.now() - found.mtimeMs > STALE_MS) await rm(this.at(name), { force: true });
    }
  }
}
