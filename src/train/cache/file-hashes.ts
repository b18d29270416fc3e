/**
 * What a file holds, as SHA-256, read once and remembered. A size and a modification time are no proof (a copy may keep
 * both), so what is remembered also needs the same inode and the same change time, which no program can set.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { formatBytes, formatDuration } from '../../format.js';

/** Files above this many bytes are worth a progress line. */
const LARGE = 2 ** 30;
/** Milliseconds between progress lines. */
const INTERVAL = 5000;

export interface ByteRange {
  /** Bytes `[start, end)`. */
  start: number;
  end: number;
}

export interface HashOptions {
  range?: ByteRange;
  /** Told of bytes read so far. */
  onBytes?: (done: number) => void;
  signal?: AbortSignal;
}

/** SHA-256 of a file or of some of its bytes, in hex; never all in memory. */
export async function hashFile(path: string, { range, onBytes, signal }: HashOptions = {}): Promise<string> {
  const hash = createHash('sha256');
  const part = range ? { start: range.start, end: range.end - 1 } : {}; // Node's end is the last byte
  let done = 0;
  for await (const chunk of createReadStream(path, { ...part, highWaterMark: 2 ** 20, signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    onBytes?.(done);
  }
  return hash.digest('hex');
}

/** Hashes of large files, remembered in a JSON file. */
export class FileHashes {
  private constructor(
    private readonly memo: string,
    private readonly known: Map<string, { identity: string; sha256: string }>,
    private readonly print: (line: string) => void,
  ) {}

  /** @param memo file to remember in; a missing or damaged one is started anew */
  static async open(memo: string, print: (line: string) => void): Promise<FileHashes> {
    try {
      const json = JSON.parse(await readFile(memo, 'utf8')) as Record<string, { identity: string; sha256: string }>;
      return new FileHashes(memo, new Map(Object.entries(json)), print);
    } catch {
      return new FileHashes(memo, new Map(), print);
    }
  }

  /** The file's SHA-256 in hex. @throws as `stat` does when it is not there */
  async of(file: string, signal?: AbortSignal): Promise<string> {
    const path = await realpath(file);
    const before = await identity(path);
    const found = this.known.get(path);
    if (found?.identity === before.text) return found.sha256;
    const large = before.size > LARGE;
    if (large) this.print(`reading ${file} (${formatBytes(before.size)}) once, to know it again`);
    const began = performance.now();
    let shown = began;
    const sha256 = await hashFile(path, {
      signal,
      onBytes: done => {
        const now = performance.now();
        if (!large || now - shown < INTERVAL) return;
        shown = now;
        const left = ((now - began) / 1e3 / done) * (before.size - done);
        this.print(`  ${Math.floor((100 * done) / before.size)}%  ETA ${formatDuration(left)}`);
      },
    });
    const after = await identity(path); // written to meanwhile: not remembered
    if (after.text === before.text) this.known.set(path, { identity: after.text, sha256 });
    return sha256;
  }

  /** Writes what is known; a folder that cannot be written to costs only another reading. */
  async save(): Promise<void> {
    const text = `${JSON.stringify(Object.fromEntries(this.known), null, 2)}\n`;
    await writeFile(this.memo, text).catch(() => undefined);
  }
}

async function identity(path: string): Promise<{ text: string; size: number }> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return { text: [dev, ino, size, mtimeNs, ctimeNs].join(':'), size: Number(size) };
}
