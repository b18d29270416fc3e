/**
 * The safetensors header: 8 bytes little-endian length, then that many bytes of JSON mapping each name to
 * `{dtype, shape, data_offsets}`, then the data without gaps. Everything is checked before any tensor is read.
 */
import { InputError } from '../../errors.js';
import { DTYPE_BYTES } from './dtypes.js';

/** The format's own limit on the header. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface HeaderTensor {
  dtype: string;
  shape: number[];
  /** Bytes [begin, end) counted from the start of the data. */
  begin: number;
  end: number;
}

export interface Header {
  tensors: Map<string, HeaderTensor>;
  metadata: Record<string, string>;
}

const AGAIN = 'Download or write the file again.';

function bad(file: string, code: string, message: string, data: Record<string, unknown> = {}): InputError {
  return new InputError(`${file}: ${message}`, { code: `weights.${code}`, file, ...data });
}

/** Checks the length field against the file. @returns the header's length in bytes */
export function headerLength(file: string, first8: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8) {
    throw bad(file, 'truncated', `${fileBytes} bytes are too few for a safetensors file (8 at least). ${AGAIN}`);
  }
  const length = Buffer.from(first8).readBigUInt64LE(0);
  if (length > BigInt(fileBytes - 8)) {
    throw bad(
      file,
      'header-length',
      `its first 8 bytes announce a header of ${length} bytes, but only ${fileBytes - 8} follow: ` +
        `the file is truncated or not in safetensors format. ${AGAIN}`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw bad(
      file,
      'header-length',
      `its header of ${length} bytes is above the format's limit of ${MAX_HEADER_BYTES}. ${AGAIN}`,
    );
  }
  return Number(length);
}

/**
 * Parses and checks a header.
 * @param bytes the JSON bytes
 * @param dataBytes bytes of the file after the header
 */
export function parseHeader(file: string, bytes: Uint8Array, dataBytes: number): Header {
  const { json, text } = parseObject(file, bytes);
  const tensors = new Map<string, HeaderTensor>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(file, entry);
    else tensors.set(name, parseEntry(file, name, entry, dataBytes));
  }
  const twice = duplicateKey(text);
  if (twice !== null) {
    throw bad(file, 'duplicate-name', `its header lists "${twice}" twice; each tensor may be there once. ${AGAIN}`);
  }
  checkLayout(file, tensors, dataBytes);
  return { tensors, metadata };
}

function parseObject(file: string, bytes: Uint8Array): { json: Record<string, unknown>; text: string } {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw bad(file, 'header-json', `its header is not JSON (${(cause as Error).message}). ${AGAIN}`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw bad(file, 'header-json', `its header must be a JSON object of tensors, not ${kindOf(json)}. ${AGAIN}`);
  }
  return { json: json as Record<string, unknown>, text };
}

const kindOf = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value);

/**
 * First key that stands twice in the outermost object, or null: `JSON.parse` would silently keep the last one.
 * @param text valid JSON whose outermost values are all objects, so that every string at depth 1 is a key
 */
function duplicateKey(text: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    else if (c === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (depth !== 1) continue;
      const key = JSON.parse(text.slice(start, i + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}

function parseMetadata(file: string, entry: unknown): Record<string, string> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw bad(file, 'header-json', `its __metadata__ must be an object of strings, not ${kindOf(entry)}. ${AGAIN}`);
  }
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string') {
      throw bad(
        file,
        'header-json',
        `its __metadata__ entry "${key}" must be a string, not ${kindOf(value)}. ${AGAIN}`,
      );
    }
  }
  return entry as Record<string, string>;
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(file: string, name: string, entry: unknown, dataBytes: number): HeaderTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const size = typeof dtype === 'string' && Object.hasOwn(DTYPE_BYTES, dtype) ? DTYPE_BYTES[dtype]! : 0;
  if (size === 0) {
    const known = Object.keys(DTYPE_BYTES).join(' ');
    throw bad(file, 'dtype', `tensor "${name}" has dtype ${JSON.stringify(dtype)}; known are ${known}.`, { name });
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw bad(file, 'shape', `tensor "${name}" has shape ${JSON.stringify(shape)}; sizes must be whole numbers.`, {
      name,
    });
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0]! > offsets[1]!) {
    throw bad(
      file,
      'offsets',
      `tensor "${name}" has data_offsets ${JSON.stringify(offsets)}; two whole numbers [begin, end] are needed. ${AGAIN}`,
      { name },
    );
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product, n) => product * n, size);
  if (bytes !== end - begin) {
    throw bad(
      file,
      'byte-size',
      `tensor "${name}" of type ${dtype} and shape [${shape}] needs ${bytes} bytes, its data_offsets [${begin}, ${end}] ` +
        `give ${end - begin}. ${AGAIN}`,
      { name },
    );
  }
  if (end > dataBytes) {
    throw bad(
      file,
      'truncated',
      `tensor "${name}" ends at byte ${end} of the data, but the file holds only ${dataBytes}: it is truncated. ${AGAIN}`,
      { name },
    );
  }
  return { dtype: dtype as string, shape: shape as number[], begin, end };
}

/** The tensors must cover the data exactly once. */
function checkLayout(file: string, tensors: Map<string, HeaderTensor>, dataBytes: number): void {
  let at = 0;
  let previous = 'the header';
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (const [name, { begin, end }] of inOrder) {
    if (begin < at) {
      throw bad(file, 'overlap', `tensors ${previous} and "${name}" overlap at byte ${begin} of the data. ${AGAIN}`);
    }
    if (begin > at) {
      throw bad(file, 'hole', `bytes ${at} to ${begin} of the data, before tensor "${name}", belong to none. ${AGAIN}`);
    }
    at = end;
    previous = `"${name}"`;
  }
  if (at !== dataBytes) {
    throw bad(
      file,
      'hole',
      `${dataBytes - at} bytes follow the last tensor (${previous}) and belong to none. ${AGAIN}`,
    );
  }
}
