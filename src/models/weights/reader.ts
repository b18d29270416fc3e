/** Lazy safetensors reader: opening reads the header alone, each tensor is read when asked for. */
import { closeSync, fstatSync, openSync, read as readCallback, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { InputError, WorkError } from '../../errors.js';
import { allocate, DTYPE_BYTES, decode, isFloatFormat, isPlain } from './dtypes.js';
import { type Header, type HeaderTensor, headerLength, parseHeader } from './header.js';
import { isPickleName, pickleError, wrongKind } from './refuse.js';
import {
  checkRows,
  type FloatBytes,
  missingTensor,
  type Staging,
  type TensorInfo,
  type WeightArray,
  type WeightSource,
} from './source.js';

const readAt = promisify(readCallback) as unknown as (
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesRead: number }>;

/** Bytes a read: bounds the staging memory of conversions, and stays below what one system call takes. */
const CHUNK_BYTES = 16 * 2 ** 20;

/** Where a chunk of the file goes: `staging` bytes that are then converted, or the array's own memory. */
interface Chunk {
  into: Uint8Array;
  position: number;
  finish(): void;
}

/** One safetensors file. */
export class SafetensorsFile implements WeightSource {
  private constructor(
    readonly file: string,
    private fd: number | null,
    private readonly header: Header,
    private readonly dataStart: number,
  ) {}

  /** Opens a file and checks its header. @throws InputError saying what is wrong with it and what to do */
  static open(file: string): SafetensorsFile {
    if (isPickleName(file)) throw pickleError(file);
    const fd = openFile(file);
    try {
      const { size } = fstatSync(fd);
      const head = new Uint8Array(Math.min(size, 200));
      fill(fd, head, 0);
      let length = 0;
      let header: Header;
      try {
        length = headerLength(file, head, size);
        const bytes = new Uint8Array(length);
        fill(fd, bytes, 8);
        header = parseHeader(file, bytes, size - 8 - length);
      } catch (error) {
        throw (error as InputError).code === 'weights.header-length' || size < 8
          ? (wrongKind(file, head) ?? error)
          : error;
      }
      return new SafetensorsFile(file, fd, header, 8 + length);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** The header's `__metadata__`. */
  get metadata(): Record<string, string> {
    return this.header.metadata;
  }

  names(): string[] {
    return [...this.header.tensors.keys()];
  }

  has(name: string): boolean {
    return this.header.tensors.has(name);
  }

  info(name: string): TensorInfo {
    const { dtype, shape } = this.tensor(name);
    return { dtype, shape: [...shape], file: this.file };
  }

  async read(name: string): Promise<WeightArray> {
    const { out, chunks } = this.plan(name);
    for (const { into, position, finish } of chunks) {
      await this.fill(name, into, position);
      finish();
    }
    return out;
  }

  async readBytes(name: string, staging: Staging): Promise<FloatBytes> {
    const { dtype, begin, end } = this.tensor(name);
    if (!isFloatFormat(dtype)) throw new Error(`readBytes: tensor "${name}" of ${this.file} is ${dtype}`);
    const bytes = staging.take(end - begin);
    const reads: Promise<void>[] = []; // all asked for at once: they go on while JavaScript waits for TensorFlow
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      reads.push(this.fill(name, bytes.subarray(at, at + CHUNK_BYTES), this.dataStart + begin + at));
    }
    await Promise.all(reads);
    return { dtype, bytes };
  }

  async *pieces(name: string, staging: Staging): AsyncGenerator<Uint8Array> {
    const { begin, end } = this.tensor(name);
    for (let at = 0; at < end - begin; at += CHUNK_BYTES) {
      const piece = staging.take(Math.min(CHUNK_BYTES, end - begin - at));
      await this.fill(name, piece, this.dataStart + begin + at);
      yield piece;
    }
  }

  async readRows(name: string, rows: readonly number[]): Promise<WeightArray> {
    const { dtype, shape, begin } = this.tensor(name);
    checkRows(name, this.file, shape, rows);
    const width = shape.slice(1).reduce((product, n) => product * n, 1);
    const bytes = width * DTYPE_BYTES[dtype]!;
    const where = `tensor "${name}" of ${this.file}`;
    const out = allocate(dtype, rows.length * width, where);
    const stored = isPlain(dtype) ? new Uint8Array(out.buffer) : new Uint8Array(rows.length * bytes);
    const read = (row: number, i: number) =>
      this.fill(name, stored.subarray(i * bytes, (i + 1) * bytes), this.dataStart + begin + row * bytes);
    await Promise.all(rows.map(read));
    if (!isPlain(dtype)) decode(dtype, stored, out, 0, where);
    return out;
  }

  private async fill(name: string, into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await readAt(this.descriptor(), into, done, into.length - done, position + done);
      if (bytesRead === 0) throw shrunk(this.file, name);
      done += bytesRead;
    }
  }

  readSync(name: string): WeightArray {
    const { out, chunks } = this.plan(name);
    for (const { into, position, finish } of chunks) {
      if (fill(this.descriptor(), into, position) < into.length) throw shrunk(this.file, name);
      finish();
    }
    return out;
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd);
    this.fd = null;
  }

  private tensor(name: string): HeaderTensor {
    const tensor = this.header.tensors.get(name);
    if (!tensor) throw missingTensor(name, this.file, this.names());
    return tensor;
  }

  private descriptor(): number {
    if (this.fd === null) throw new WorkError(`${this.file} was closed before reading.`, { code: 'weights.closed' });
    return this.fd;
  }

  /** The result array and the reads that fill it, in order. */
  private plan(name: string): { out: WeightArray; chunks: Iterable<Chunk> } {
    const { dtype, begin, end } = this.tensor(name);
    const where = `tensor "${name}" of ${this.file}`;
    const size = DTYPE_BYTES[dtype]!;
    const out = allocate(dtype, (end - begin) / size, where);
    const start = this.dataStart + begin;
    const chunks = function* (): Generator<Chunk> {
      const staging = isPlain(dtype) ? null : new Uint8Array(Math.min(CHUNK_BYTES, end - begin));
      for (let at = 0; at < end - begin; at += CHUNK_BYTES) {
        const bytes = Math.min(CHUNK_BYTES, end - begin - at);
        const into = staging ? staging.subarray(0, bytes) : new Uint8Array(out.buffer, out.byteOffset + at, bytes);
        const finish = () => staging && decode(dtype, into, out, at / size, where);
        yield { into, position: start + at, finish };
      }
    };
    return { out, chunks: chunks() };
  }
}

function openFile(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new InputError(`Cannot open the weights ${file}: ${why}.`, { code: 'weights.open', file }, cause);
  }
}

/** Reads until `into` is full or the file ends. @returns bytes read */
function fill(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const bytes = readSync(fd, into, done, into.length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}

const shrunk = (file: string, name: string) =>
  new InputError(`${file} became shorter while tensor "${name}" was read. Is something writing to it?`, {
    code: 'weights.truncated',
    file,
    name,
  });
