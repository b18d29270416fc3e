import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkRange } from '../../../src/models/weights/range.js';
import {
  openSafetensors,
  type RawTensorEntry,
  writeSafetensors,
  writeShardedSafetensors,
} from '../../../src/models/weights/safetensors.js';
import { Staging } from '../../../src/models/weights/source.js';
import { fileBytes, rawFile, tempFolder, thrown } from './files.js';

/** Bytes 0, 1, 2, … of a tensor of any type. */
const bytesOf = (count: number) => Uint8Array.from({ length: count }, (_, i) => (i * 37) % 251);

/** A file with a tensor of each given type and number of elements. */
function anyFile(tensors: Record<string, [dtype: string, bytes: number, elements: number]>): string {
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [dtype, bytes, elements]] of Object.entries(tensors)) {
    header[name] = { dtype, shape: [elements], data_offsets: [at, at + bytes] };
    at += bytes;
  }
  return rawFile(fileBytes(header, bytesOf(at)));
}

describe('tensors as bytes', () => {
  it('come and go unchanged, whatever their type', async () => {
    const source = openSafetensors(
      anyFile({ wide: ['I64', 24, 3], small: ['F8_E4M3', 5, 5], half: ['BF16', 6, 3], none: ['F32', 0, 0] }),
    );
    const entries: RawTensorEntry[] = source.names().map(name => {
      const { shape, dtype } = source.info(name);
      return { name, shape, dtype, pieces: () => source.pieces(name, new Staging()) };
    });
    const path = join(tempFolder(), 'y.safetensors');
    await writeSafetensors(path, entries);
    const copy = openSafetensors(path);
    expect(copy.names()).toEqual(['wide', 'half', 'small', 'none'].sort((a, b) => order(a) - order(b)));
    for (const name of source.names()) {
      expect(copy.info(name)).toMatchObject({ dtype: source.info(name).dtype, shape: source.info(name).shape });
      expect(await collect(copy.pieces(name, new Staging()))).toEqual(
        await collect(source.pieces(name, new Staging())),
      );
    }
    source.close();
    copy.close();
  });

  it('of a large tensor come in pieces of 16 MiB', async () => {
    const values = Float32Array.from({ length: 5 * 2 ** 20 }, (_, i) => i);
    const path = join(tempFolder(), 'y.safetensors');
    await writeSafetensors(path, [{ name: 'w', shape: [values.length], data: values }]);
    const source = openSafetensors(path);
    const sizes: number[] = [];
    let first = 0;
    for await (const piece of source.pieces('w', new Staging())) {
      sizes.push(piece.length);
      const floats = new Float32Array(piece.buffer, piece.byteOffset, piece.length / 4);
      expect([floats[0], floats.at(-1)]).toEqual([first, first + floats.length - 1]);
      first += floats.length;
    }
    expect(sizes).toEqual([16 * 2 ** 20, 4 * 2 ** 20]);
    source.close();
  });

  it('that are too few are refused, and nothing is left behind', async () => {
    const dir = tempFolder();
    const pieces = async function* () {
      yield bytesOf(7);
    };
    const error = await thrown(() =>
      writeSafetensors(join(dir, 'y.safetensors'), [{ name: 'w', shape: [4], dtype: 'F16', pieces }]),
    );
    expect(error).toMatchObject({ code: 'weights.write-size' });
    expect(error.message).toContain('needs 4 values, 3.5 were given');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('are written under a variant’s names, with shards and without', async () => {
    const dir = tempFolder();
    const entries = ['a', 'b'].map(name => ({ name, shape: [4], data: new Float32Array(4) }));
    const whole = await writeShardedSafetensors(dir, 'model', entries, { variant: 'fp16' });
    expect(whole).toEqual(['model.fp16.safetensors']);
    const shards = await writeShardedSafetensors(dir, 'model', entries, { variant: 'fp16', maxShardBytes: 16 });
    expect(shards).toEqual([
      'model.fp16-00001-of-00002.safetensors',
      'model.fp16-00002-of-00002.safetensors',
      'model.safetensors.index.fp16.json',
    ]);
    expect(readdirSync(dir).sort()).toEqual(shards);
    const reader = openSafetensors(dir, { variant: 'fp16' });
    expect(reader.names().sort()).toEqual(['a', 'b']);
    reader.close();
    expect(readFileSync(join(dir, shards[2]!), 'utf8')).toContain('"b": "model.fp16-00002-of-00002.safetensors"');
  });
});

describe('the range of a type', () => {
  const cases: [string, Float32Array | Float64Array, string | null][] = [
    ['F16', Float32Array.of(65519.99, -65519.99, Number.POSITIVE_INFINITY, Number.NaN), null],
    ['F16', Float32Array.of(1, 65520, -70000), 'w holds 2 values of up to 7.000e+4, beyond the range of fp16'],
    ['BF16', Float32Array.of(3.39e38), null],
    ['BF16', Float32Array.of(3.4e38), 'w holds a value of up to 3.400e+38, beyond the range of BF16'],
    ['F32', Float64Array.of(3.4028234e38), null],
    ['F32', Float64Array.of(1e39), 'beyond the range of F32'],
    ['F32', Float32Array.of(3.4e38), null],
    ['F64', Float64Array.of(1e300), null],
  ];
  it.each(cases)('%s of %s', async (dtype, values, message) => {
    const check = () => checkRange(dtype, values, 'w');
    if (message === null) expect(check).not.toThrow();
    else
      expect(await thrown(check)).toMatchObject({ code: 'weights.range', message: expect.stringContaining(message) });
  });

  it('is kept by every writer', async () => {
    const path = join(tempFolder(), 'y.safetensors');
    const data = Float32Array.of(0, 1e5);
    await writeSafetensors(path, [{ name: 'w', shape: [2], data, dtype: 'BF16' }]);
    const error = await thrown(() => writeSafetensors(path, [{ name: 'w', shape: [2], data, dtype: 'F16' }]));
    expect(error.message).toContain('tensor "w" holds a value of up to 1.000e+5');
    expect(error.message).toContain('store it as bf16');
    const kept = openSafetensors(path);
    expect(kept.info('w').dtype).toBe('BF16');
    kept.close();
  });
});

/** Place of each name in the file: by falling element size, then by name. */
const order = (name: string) => ['wide', 'none', 'half', 'small'].indexOf(name);

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}
