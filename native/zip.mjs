/** A small zip reader (stored and deflated entries, no zip64, no encryption): wheels are such zips. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { SetupError } from './errors.mjs';

/**
 * @typedef {object} Entry
 * @property {string} name with '/' between folders
 * @property {number} size unpacked bytes
 * @property {number} compressedSize
 * @property {number} crc32
 * @property {number} method 0 stored, 8 deflated
 * @property {number} offset of the local header
 * @property {boolean} executable
 */

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;

/** Node 20.15 and later have it; with older ones the sizes and the hash of the whole file must do. */
const crc32 = /** @type {typeof zlib.crc32 | undefined} */ (zlib.crc32);

/**
 * @param {string} file
 * @param {string} why
 */
const corrupt = (file, why) =>
  new SetupError('zip.corrupt', `${file} is not a whole zip file: ${why}`, ['remove it and run npm run setup again']);

/**
 * Reads the table of contents.
 * @param {string} file
 * @returns {Promise<Entry[]>}
 */
export async function listZip(file) {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const tailSize = Math.min(size, 65_557); // the end record and the longest comment
    const tail = Buffer.alloc(tailSize);
    await handle.read(tail, 0, tailSize, size - tailSize);
    let at = tailSize - 22;
    while (at >= 0 && tail.readUInt32LE(at) !== END) at--;
    if (at < 0) throw corrupt(file, 'it has no end record (a download cut short?)');
    const count = tail.readUInt16LE(at + 10);
    const length = tail.readUInt32LE(at + 12);
    const start = tail.readUInt32LE(at + 16);
    if (count === 0xffff || start === 0xffffffff) throw corrupt(file, 'zip64 is not supported');
    if (start + length > size) throw corrupt(file, 'its table of contents lies beyond its end');
    const table = Buffer.alloc(length);
    await handle.read(table, 0, length, start);
    return parseTable(file, table, count);
  } finally {
    await handle.close();
  }
}

/**
 * @param {string} file
 * @param {Buffer} table
 * @param {number} count
 * @returns {Entry[]}
 */
function parseTable(file, table, count) {
  const entries = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > table.length || table.readUInt32LE(at) !== CENTRAL) throw corrupt(file, `entry ${i} is damaged`);
    const nameLength = table.readUInt16LE(at + 28);
    entries.push({
      name: table.toString('utf8', at + 46, at + 46 + nameLength),
      size: table.readUInt32LE(at + 24),
      compressedSize: table.readUInt32LE(at + 20),
      crc32: table.readUInt32LE(at + 16),
      method: table.readUInt16LE(at + 10),
      offset: table.readUInt32LE(at + 42),
      executable: ((table.readUInt32LE(at + 38) >>> 16) & 0o111) !== 0,
    });
    at += 46 + nameLength + table.readUInt16LE(at + 30) + table.readUInt16LE(at + 32);
  }
  return entries;
}

/** Entries up to this size are unpacked in one piece: a wheel has thousands of headers. */
const SMALL = 1 << 20;

/**
 * Unpacks one entry to `dest/<its name>`, checks size and checksum, and syncs it to the disk.
 * @param {string} file
 * @param {Entry} entry
 * @param {string} dest folder
 * @param {(bytes: number) => void} [onBytes] unpacked bytes, as they come
 */
export async function extractEntry(file, entry, dest, onBytes = () => {}) {
  const target = join(dest, entry.name);
  if (isAbsolute(entry.name) || normalize(entry.name).split(sep).includes('..')) {
    throw corrupt(file, `it has an entry that points outside: ${entry.name}`);
  }
  if (entry.method !== 0 && entry.method !== 8)
    throw corrupt(file, `${entry.name} is packed by method ${entry.method}`);
  await mkdir(dirname(target), { recursive: true });
  let size = 0;
  let crc = 0;
  /** @param {Buffer} chunk */
  const measure = chunk => {
    size += chunk.length;
    if (crc32) crc = crc32(chunk, crc);
    onBytes(chunk.length);
  };
  const handle = await open(file, 'r');
  try {
    const start = await dataStart(handle, file, entry);
    if (Math.max(entry.size, entry.compressedSize) <= SMALL) await extractSmall(handle, start, entry, target, measure);
    else await extractLarge(file, start, entry, target, measure);
  } catch (error) {
    await rm(target, { force: true });
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (/^Z_|ERR_BUFFER_TOO_LARGE/.test(code)) throw corrupt(file, `${entry.name}: ${message}`);
    throw error;
  } finally {
    await handle.close();
  }
  if (size !== entry.size || (crc32 && crc !== entry.crc32)) {
    await rm(target, { force: true });
    throw corrupt(
      file,
      `${entry.name} unpacks to ${size} bytes with a wrong checksum or size (${entry.size} expected)`,
    );
  }
}

/** @param {Entry} entry */
const modeOf = entry => (entry.executable ? 0o755 : 0o644);

/**
 * @param {import('node:fs/promises').FileHandle} handle
 * @param {number} start
 * @param {Entry} entry
 * @param {string} target
 * @param {(chunk: Buffer) => void} measure
 */
async function extractSmall(handle, start, entry, target, measure) {
  const packed = Buffer.alloc(entry.compressedSize);
  await handle.read(packed, 0, packed.length, start);
  const data = entry.method === 8 ? zlib.inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.size) }) : packed;
  measure(data);
  await writeFile(target, data, { mode: modeOf(entry), flush: true });
}

/**
 * @param {string} file
 * @param {number} start
 * @param {Entry} entry
 * @param {string} target
 * @param {(chunk: Buffer) => void} measure
 */
async function extractLarge(file, start, entry, target, measure) {
  const meter = new Transform({
    highWaterMark: 1 << 20,
    transform(chunk, _encoding, done) {
      measure(chunk);
      done(null, chunk);
    },
  });
  const source = createReadStream(file, { start, end: start + entry.compressedSize - 1, highWaterMark: 1 << 20 });
  const sink = createWriteStream(target, { mode: modeOf(entry) });
  if (entry.method === 8) await pipeline(source, zlib.createInflateRaw({ chunkSize: 1 << 20 }), meter, sink);
  else await pipeline(source, meter, sink);
  const handle = await open(target, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Where an entry's data begins: the local header has its own name and extra lengths.
 * @param {import('node:fs/promises').FileHandle} handle
 * @param {string} file
 * @param {Entry} entry
 */
async function dataStart(handle, file, entry) {
  const header = Buffer.alloc(30);
  await handle.read(header, 0, 30, entry.offset);
  if (header.readUInt32LE(0) !== LOCAL) throw corrupt(file, `${entry.name} has no header`);
  return entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
}
