import { type FileHandle, open } from 'node:fs/promises';
import { InputError } from '../../errors.js';
import type { TarMember } from '../video-source.js';

const BLOCK = 512;
/** Read at once: a header with the small text files that follow it. */
const WINDOW = 32 * 1024;
/** A pax header or a long name is a few hundred bytes. */
const MAX_NAME_BYTES = 2 ** 20;

/** Where the files of a tar lie. */
export interface TarIndex {
  members: TarMember[];
  /** Bytes of the tar. The last member's `end` may lie behind: then the tar was cut inside it. */
  size: number;
  /** Set where the tar does not end as a tar must: what was found instead. */
  damage?: string;
}

/** Reads at any place, with one window kept. */
export class WindowReader {
  private window = Buffer.alloc(0);
  private at = 0;
  constructor(
    private readonly file: FileHandle,
    readonly size: number,
  ) {}

  /** Bytes `[start, end)`, fewer where the file ends before. */
  async read(start: number, end: number): Promise<Buffer> {
    if (start < this.at || end > this.at + this.window.length) {
      const { buffer, bytesRead } = await this.file.read({
        buffer: Buffer.allocUnsafe(Math.max(WINDOW, end - start)),
        position: start,
      });
      this.window = buffer.subarray(0, bytesRead);
      this.at = start;
    }
    return this.window.subarray(start - this.at, Math.min(end - this.at, this.window.length));
  }
}

/** Text up to the first zero byte. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** Octal digits, or (GNU, above 8 GB) a big-endian number with the first bit set. */
function numeric(bytes: Buffer): number {
  if (bytes[0]! & 0x80) return bytes.reduce((sum, byte, i) => (i === 0 ? byte & 0x7f : sum * 256 + byte), 0);
  return Number.parseInt(text(bytes).trim() || '0', 8);
}

/** A block's bytes add up to its checksum field, which itself counts as spaces. */
function hasChecksum(block: Buffer): boolean {
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
  return sum === numeric(block.subarray(148, 156));
}

/** Records `LENGTH key=value\n` of a pax header. */
function paxRecords(bytes: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number.parseInt(bytes.toString('latin1', at, space), 10);
    if (space < 0 || !(length > 0)) break;
    const record = bytes.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

/** The name in a header: ustar has a second field for its folder. */
function headerName(block: Buffer): string {
  const name = text(block.subarray(0, 100));
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(block.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/**
 * Lists the files of a tar (ustar, pax or GNU) by reading its headers alone: an hour of video costs a few small reads.
 * @param visit called with each file in turn and a reader, to look into small ones
 * @throws InputError `manifest.tar` when the file does not start as a tar
 */
export async function readTarIndex(
  path: string,
  visit?: (member: TarMember, reader: WindowReader) => Promise<void>,
): Promise<TarIndex> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const reader = new WindowReader(file, size);
    const index: TarIndex = { members: [], size };
    let long: { path?: string; size?: string } = {};
    for (let at = 0; ; ) {
      const block = await reader.read(at, at + BLOCK);
      if (block.length === BLOCK && block.every(byte => byte === 0)) return index;
      if (block.length < BLOCK || !hasChecksum(block)) {
        if (at === 0) {
          const found = size === 0 ? 'it has zero bytes' : 'it does not start with the header of a member';
          throw new InputError(`${path} is no tar: ${found}`, { code: 'manifest.tar', path });
        }
        // Some writers leave out the blocks of zeros at the end.
        if (block.length > 0) index.damage = `byte ${at} is ${block.length < BLOCK ? 'a cut' : 'no'} header`;
        return index;
      }
      const type = String.fromCharCode(block[156]!);
      const start = at + BLOCK;
      const length = long.size === undefined ? numeric(block.subarray(124, 136)) : Number(long.size);
      const end = start + length;
      at = start + Math.ceil(length / BLOCK) * BLOCK;
      if (type === 'x' || type === 'L') {
        const data = await reader.read(start, Math.min(end, start + MAX_NAME_BYTES));
        if (type === 'L') long = { ...long, path: text(data) };
        else long = { ...long, ...paxRecords(data) };
        if (end > size) index.damage = `byte ${size} is inside the header of a member`;
      } else {
        // Folders, links and global headers are no files, and what a pax header said was about them.
        if (type === '0' || type === '\0' || type === '7') {
          const member = { name: long.path ?? headerName(block), start, end };
          index.members.push(member);
          await visit?.(member, reader);
          if (end > size) index.damage = `byte ${size} is inside ${member.name}`;
        }
        long = {};
      }
      if (index.damage !== undefined) return index;
      if (at >= size) return index;
    }
  } finally {
    await file.close();
  }
}
