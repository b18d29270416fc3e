/** Writes safetensors: tensors stream to a temporary file one by one, which is synced and then renamed into place. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError, WorkError } from '../../errors.js';
import { DTYPE_BYTES, encode, naturalDtype, type WriteDtype } from './dtypes.js';
import { checkRange } from './range.js';
import type { WeightArray } from './source.js';

/** One tensor to write. */
export interface TensorEntry {
  name: string;
  /** Shape in the file (PyTorch's layout). */
  shape: readonly number[];
  /** Type in the file (default: F32 for functions, else what the array is: F32, I32 or U8). */
  dtype?: WriteDtype;
  /** The values, or a function called once when it is this tensor's turn, so that few tensors are in memory at once. */
  data: WeightArray | (() => WeightArray | Promise<WeightArray>);
}

/** One tensor to write whose bytes are made elsewhere, so that not even one whole tensor is in memory. */
export interface RawTensorEntry {
  name: string;
  shape: readonly number[];
  /** Any type of the format. */
  dtype: string;
  /** The bytes as they will lie in the file, called once when it is this tensor's turn. */
  pieces(): AsyncIterable<Uint8Array>;
}

export interface ShardOptions {
  /** Largest number of data bytes a file, as long as single tensors allow (default 10 GB, as diffusers). */
  maxShardBytes?: number;
  metadata?: Record<string, string>;
  /** Put into the file names as transformers and diffusers do: `<stem>.<variant>.safetensors`. */
  variant?: string;
}

type AnyEntry = TensorEntry | RawTensorEntry;
type Placed = (RawTensorEntry | (TensorEntry & { dtype: WriteDtype })) & { length: number; bytes: number };

const DEFAULT_METADATA = { format: 'pt' };

/**
 * Writes a file in one go: at any interruption either the old file or the complete new one is there. Tensors are laid
 * out by falling element size, then by name (as the reference writer does), so equal input gives equal bytes.
 * @param metadata the header's `__metadata__`; transformers and diffusers require `format: 'pt'`
 * @throws InputError for duplicate names and for values beyond the type's range; WorkError when values do not fit the
 *   shape or the disk refuses
 */
export async function writeSafetensors(
  path: string,
  entries: Iterable<AnyEntry>,
  metadata: Record<string, string> = DEFAULT_METADATA,
): Promise<void> {
  await writeFile(path, place(entries), metadata);
}

/**
 * Writes `<stem>.safetensors`, or, when it would be larger than `maxShardBytes`, `<stem>-00001-of-0000N.safetensors` …
 * with `<stem>.safetensors.index.json`. Files of an earlier save with the same stem are removed at the end.
 * @param stem e.g. `diffusion_pytorch_model`
 * @returns the file names written
 */
export async function writeShardedSafetensors(
  dir: string,
  stem: string,
  entries: Iterable<AnyEntry>,
  { maxShardBytes = 10e9, metadata = DEFAULT_METADATA, variant }: ShardOptions = {},
): Promise<string[]> {
  if (variant !== undefined && !/^[\w-]+$/.test(variant)) {
    throw new InputError(
      `The variant ${JSON.stringify(variant)} becomes part of file names: letters, digits, _ and - only, as fp16.`,
      {
        code: 'weights.variant',
        variant,
      },
    );
  }
  const shards = split(place(entries), maxShardBytes);
  const digits = (n: number) => String(n).padStart(5, '0');
  const base = variant ? `${stem}.${variant}` : stem;
  const names =
    shards.length === 1
      ? [`${base}.safetensors`]
      : shards.map((_, i) => `${base}-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) await writeFile(join(dir, names[i]!), shard, metadata);
  if (shards.length > 1) {
    const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]!] as const));
    const index = {
      metadata: { total_size: shards.flat().reduce((sum, { bytes }) => sum + bytes, 0) },
      weight_map: Object.fromEntries(map.sort(([a], [b]) => (a < b ? -1 : 1))),
    };
    const file = `${stem}.safetensors.index${variant ? `.${variant}` : ''}.json`;
    await writeAtomically(join(dir, file), async handle => {
      await handle.writeFile(`${JSON.stringify(index, null, 2)}\n`);
    });
    names.push(file);
  }
  for (const old of await readdir(dir)) {
    const rest = old.startsWith(base) ? old.slice(base.length) : '';
    const ours = /^(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/.test(rest);
    if (ours && !names.includes(old)) await rm(join(dir, old));
  }
  return names;
}

function place(entries: Iterable<AnyEntry>): Placed[] {
  const placed = new Map<string, Placed>();
  for (const entry of entries) {
    const { name, shape } = entry;
    if (placed.has(name) || name === '__metadata__') {
      throw new InputError(`Cannot write tensor "${name}": ${placed.has(name) ? 'given twice' : 'a reserved name'}.`, {
        code: 'weights.duplicate-name',
        name,
      });
    }
    const length = shape.reduce((product, n) => product * n, 1);
    if ('pieces' in entry) {
      placed.set(name, { ...entry, length, bytes: length * DTYPE_BYTES[entry.dtype]! });
    } else {
      const { data } = entry;
      const dtype = entry.dtype ?? (typeof data === 'function' ? 'F32' : naturalDtype(data));
      placed.set(name, { ...entry, dtype, length, bytes: length * DTYPE_BYTES[dtype]! });
    }
  }
  const size = ({ dtype }: Placed) => DTYPE_BYTES[dtype]!;
  return [...placed.values()].sort((a, b) => size(b) - size(a) || (a.name < b.name ? -1 : 1));
}

/** Fills shards in the given order; a tensor larger than the limit gets one of its own. */
function split(entries: Placed[], maxBytes: number): Placed[][] {
  const shards: Placed[][] = [[]];
  let used = 0;
  for (const entry of entries) {
    if (used > 0 && used + entry.bytes > maxBytes) {
      shards.push([]);
      used = 0;
    }
    shards.at(-1)!.push(entry);
    used += entry.bytes;
  }
  return shards;
}

/** The length field and the JSON, padded with spaces so that the data starts at a multiple of 8. */
function headerBytes(entries: Placed[], metadata: Record<string, string>): Uint8Array {
  let at = 0;
  const tensors = entries.map(({ name, dtype, shape, bytes }) => {
    const entry = JSON.stringify({ dtype, shape, data_offsets: [at, at + bytes] });
    at += bytes;
    return `${JSON.stringify(name)}:${entry}`; // joined by hand: an object would move names like "0" to the front
  });
  const meta = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const json = Buffer.from(`{${[...meta, ...tensors].join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const out = Buffer.alloc(8 + length, ' ');
  out.writeBigUInt64LE(BigInt(length), 0);
  json.copy(out, 8);
  return out;
}

async function writeFile(path: string, entries: Placed[], metadata: Record<string, string>): Promise<void> {
  await writeAtomically(path, async handle => {
    await writeAll(handle, headerBytes(entries, metadata));
    for (const entry of entries) {
      const count = await ('pieces' in entry ? writePieces(handle, entry) : writeValues(handle, entry));
      if (count === entry.length) continue;
      const { name, shape, length } = entry;
      throw new WorkError(
        `Cannot write ${path}: tensor "${name}" of shape [${shape}] needs ${length} values, ${count} were given.`,
        { code: 'weights.write-size', name },
      );
    }
  });
}

/** @returns the number of values written */
async function writePieces(handle: FileHandle, { dtype, pieces }: RawTensorEntry): Promise<number> {
  let bytes = 0;
  for await (const piece of pieces()) {
    bytes += piece.length;
    await writeAll(handle, piece);
  }
  return bytes / DTYPE_BYTES[dtype]!;
}

/** @returns the number of values written */
async function writeValues(
  handle: FileHandle,
  { name, dtype, data }: TensorEntry & { dtype: WriteDtype },
): Promise<number> {
  const values = typeof data === 'function' ? await data() : data;
  if (values instanceof Float32Array) checkRange(dtype, values, `tensor "${name}"`);
  await writeAll(handle, encode(dtype, values));
  return values.length;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, Math.min(bytes.length - at, 2 ** 30));
    at += bytesWritten;
  }
}

/** Runs `write` on a temporary neighbour of `path`, syncs it and renames it; removes it if anything fails. */
async function writeAtomically(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close()); // makes the rename itself durable
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    if (cause instanceof WorkError || !(cause as NodeJS.ErrnoException).syscall) throw cause;
    throw new WorkError(`Cannot write ${path}: ${(cause as Error).message}.`, { code: 'weights.write', path }, cause);
  }
}
