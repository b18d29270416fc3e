/** Reads event files back with nothing of the writer's: own CRC-32C bit by bit, own protocol buffer wire parser. */
import { readFileSync } from 'node:fs';

function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** The records of a TFRecord file; throws on a wrong checksum or a cut record. */
export function readRecords(file: string): Buffer[] {
  const data = readFileSync(file);
  const records: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const length = Number(data.readBigUInt64LE(at));
    if (unmask(data.readUInt32LE(at + 8)) !== crc32c(data.subarray(at, at + 8)))
      throw new Error(`length checksum at ${at}`);
    const body = data.subarray(at + 12, at + 12 + length);
    if (body.length !== length) throw new Error(`cut record at ${at}`);
    if (unmask(data.readUInt32LE(at + 12 + length)) !== crc32c(body)) throw new Error(`data checksum at ${at}`);
    records.push(body);
    at += length + 16;
  }
  return records;
}

type Wire = Map<number, (bigint | Buffer)[]>;

function parseWire(data: Buffer): Wire {
  const fields: Wire = new Map();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (bytes: number): Buffer => {
    at += bytes;
    return data.subarray(at - bytes, at);
  };
  while (at < data.length) {
    const key = Number(varint());
    const kind = key & 7;
    const value = kind === 0 ? varint() : kind === 1 ? take(8) : kind === 5 ? take(4) : take(Number(varint()));
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

const bytes = (wire: Wire, field: number): Buffer => (wire.get(field)?.[0] as Buffer | undefined) ?? Buffer.alloc(0);
const integer = (wire: Wire, field: number): number => Number((wire.get(field)?.[0] as bigint | undefined) ?? 0n);
const double = (wire: Wire, field: number): number => (wire.has(field) ? bytes(wire, field).readDoubleLE() : 0);
const doubles = (packed: Buffer): number[] =>
  Array.from({ length: packed.length / 8 }, (_, i) => packed.readDoubleLE(8 * i));

export interface ReadEvent {
  wallTime: number;
  step: number;
  version?: string;
  sessionStatus?: number;
  values: {
    tag: string;
    plugin?: string;
    scalar?: number;
    image?: { height: number; width: number; data: Buffer };
    histogram?: {
      min: number;
      max: number;
      num: number;
      sum: number;
      sumSquares: number;
      limits: number[];
      counts: number[];
    };
    text?: string;
  }[];
}

export function readEvents(file: string): ReadEvent[] {
  return readRecords(file).map(record => {
    const event = parseWire(record);
    const summary = event.has(5) ? parseWire(bytes(event, 5)) : undefined;
    return {
      wallTime: double(event, 1),
      step: integer(event, 2),
      version: event.has(3) ? bytes(event, 3).toString() : undefined,
      sessionStatus: event.has(7) ? integer(parseWire(bytes(event, 7)), 1) : undefined,
      values: (summary?.get(1) ?? []).map(raw => {
        const value = parseWire(raw as Buffer);
        const image = value.has(4) ? parseWire(bytes(value, 4)) : undefined;
        const histo = value.has(5) ? parseWire(bytes(value, 5)) : undefined;
        return {
          tag: bytes(value, 1).toString(),
          plugin: value.has(9) ? bytes(parseWire(bytes(parseWire(bytes(value, 9)), 1)), 1).toString() : undefined,
          scalar: value.has(2) ? bytes(value, 2).readFloatLE() : undefined,
          image: image && { height: integer(image, 1), width: integer(image, 2), data: bytes(image, 4) },
          histogram: histo && {
            min: double(histo, 1),
            max: double(histo, 2),
            num: double(histo, 3),
            sum: double(histo, 4),
            sumSquares: double(histo, 5),
            limits: doubles(bytes(histo, 6)),
            counts: doubles(bytes(histo, 7)),
          },
          text: value.has(8) ? bytes(parseWire(bytes(value, 8)), 8).toString() : undefined,
        };
      }),
    };
  });
}
