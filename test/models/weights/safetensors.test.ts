import { readdirSync, readFileSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/errors.js';
import { openSafetensors, writeSafetensors, writeShardedSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { fileBytes, rawFile, tempFolder, thrown } from './files.js';

const f32 = (...values: number[]) => Float32Array.from(values);
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A file of one tensor "x" holding `array` as `dtype`. */
const single = (dtype: string, array: ArrayBufferView & { length: number }, shape = [array.length]) =>
  rawFile(fileBytes({ x: { dtype, shape, data_offsets: [0, array.byteLength] } }, bytesOf(array)));

describe('reading', () => {
  it.each([
    ['F64', Float64Array.of(1.5, -2.25), f32(1.5, -2.25)],
    ['F32', f32(1.5, -2.25), f32(1.5, -2.25)],
    ['F16', Uint16Array.of(0x3e00, 0xc080), f32(1.5, -2.25)],
    ['BF16', Uint16Array.of(0x3fc0, 0xc010), f32(1.5, -2.25)],
    ['I64', BigInt64Array.of(-3n, 2147483647n), Int32Array.of(-3, 2147483647)],
    ['U64', BigUint64Array.of(3n), Int32Array.of(3)],
    ['I32', Int32Array.of(-3, 7), Int32Array.of(-3, 7)],
    ['U32', Uint32Array.of(7), Int32Array.of(7)],
    ['I16', Int16Array.of(-3, 7), Int32Array.of(-3, 7)],
    ['U16', Uint16Array.of(65535), Int32Array.of(65535)],
    ['I8', Int8Array.of(-3, 7), Int32Array.of(-3, 7)],
    ['U8', Uint8Array.of(3, 255), Uint8Array.of(3, 255)],
    ['BOOL', Uint8Array.of(1, 0, 1), Uint8Array.of(1, 0, 1)],
  ])('converts %s', async (dtype, stored, expected) => {
    const reader = openSafetensors(single(dtype, stored));
    expect(await reader.read('x')).toEqual(expected);
    expect(reader.readSync('x')).toEqual(expected);
    expect(reader.info('x')).toMatchObject({ dtype, shape: [stored.length] });
    reader.close();
  });

  it('reads scalars and zero-length tensors', async () => {
    const header = {
      empty: { dtype: 'F16', shape: [0, 3], data_offsets: [0, 0] },
      scalar: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
      tail: { dtype: 'I64', shape: [2, 0], data_offsets: [4, 4] },
    };
    const reader = openSafetensors(rawFile(fileBytes(header, bytesOf(f32(2.5)))));
    expect(await reader.read('scalar')).toEqual(f32(2.5));
    expect(reader.info('scalar').shape).toEqual([]);
    expect(await reader.read('empty')).toEqual(f32());
    expect(await reader.read('tail')).toEqual(new Int32Array(0));
    reader.close();
  });

  it('converts tensors larger than one read', async () => {
    const n = 9 * 2 ** 20; // 18 MiB as F16: two chunks
    const bits = new Uint16Array(n).fill(0x3c00);
    bits[n - 1] = 0x4000;
    const reader = openSafetensors(single('F16', bits));
    const values = await reader.read('x');
    expect([values.length, values[0], values[n - 2], values[n - 1]]).toEqual([n, 1, 1, 2]);
    reader.close();
  });

  it.each([
    ['F32', f32(1, 2, 3, 4, 5, 6), f32(5, 6, 1, 2, 5, 6)],
    ['F16', Uint16Array.of(0x3c00, 0x4000, 0, 0, 0xc080, 0x3e00), f32(-2.25, 1.5, 1, 2, -2.25, 1.5)],
    ['I64', BigInt64Array.of(1n, 2n, 3n, 4n, -5n, 6n), Int32Array.of(-5, 6, 1, 2, -5, 6)],
  ])('reads the rows of a %s matrix that are asked for, in that order', async (dtype, stored, expected) => {
    const reader = openSafetensors(single(dtype, stored, [3, 2]));
    expect(await reader.readRows('x', [2, 0, 2])).toEqual(expected);
    expect((await reader.readRows('x', [])).length).toBe(0);
    for (const row of [3, -1, 0.5]) {
      expect((await thrown(() => reader.readRows('x', [0, row]))).message).toMatch(
        `has no row ${row}: its shape is [3,2]`,
      );
    }
    reader.close();
  });

  it('reads rows from shards and from memory, and no other part of the file', async () => {
    const dir = tempFolder();
    const table = Float32Array.from({ length: 12 }, (_, i) => i);
    const entries = [
      { name: 'a', shape: [2], data: f32(1, 2) },
      { name: 'table', shape: [4, 3], data: table },
    ];
    await writeShardedSafetensors(dir, 'model', entries, { maxShardBytes: 8 });
    const expected = f32(9, 10, 11, 3, 4, 5);
    const shards = openSafetensors(dir);
    const file = shards.info('table').file;
    expect(await shards.readRows('table', [3, 1])).toEqual(expected);
    truncateSync(file, statSync(file).size - 12); // the last row is gone, the others are there
    expect(await shards.readRows('table', [1])).toEqual(f32(3, 4, 5));
    expect((await thrown(() => shards.readRows('table', [3]))).message).toMatch(/became shorter/);
    shards.close();
    const memory = memorySource({ table: { shape: [4, 3], data: table } });
    expect(await memory.readRows('table', [3, 1])).toEqual(expected);
    expect((await thrown(() => memory.readRows('table', [4]))).message).toMatch(/has no row 4/);
  });

  it('opens with an offset that is no multiple of the element size', async () => {
    const header = {
      a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
      b: { dtype: 'F64', shape: [1], data_offsets: [1, 9] },
    };
    const data = Buffer.concat([Uint8Array.of(9), bytesOf(Float64Array.of(0.1))]);
    const reader = openSafetensors(rawFile(fileBytes(header, data)));
    expect(await reader.read('b')).toEqual(f32(0.1));
    reader.close();
  });

  it('does not read the data when opening', () => {
    const file = single('F32', f32(1, 2, 3));
    const reader = openSafetensors(file);
    truncateSync(file, statSync(file).size - 4);
    expect(() => reader.readSync('x')).toThrow(/became shorter/);
    reader.close();
  });

  it('names tensors that exist when one does not', async () => {
    const reader = openSafetensors(single('F32', f32(1)));
    await expect(reader.read('y')).rejects.toThrow(/no tensor "y".*: x/);
    expect(reader.has('y')).toBe(false);
    reader.close();
    expect(() => reader.readSync('x')).toThrow(/closed/);
  });
});

describe('bad files', () => {
  const entry = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });
  const four = new Uint8Array(4);
  const eight = new Uint8Array(8);
  const long = Buffer.alloc(40);
  long.writeBigUInt64LE(1n << 40n);
  const cases: [string, Uint8Array, string, RegExp][] = [
    ['an empty file', new Uint8Array(0), 'truncated', /0 bytes are too few/],
    ['a header longer than the file', long, 'header-length', /1099511627776 bytes, but only 32 follow/],
    ['a header that is not JSON', fileBytes('{"x": nonsense}'), 'header-json', /not JSON/],
    ['a header that is not an object', fileBytes('[1, 2]'), 'header-json', /not an array/],
    ['a header that is not UTF-8', fileBytes('{"x').fill(0xff, 9), 'header-json', /not JSON/],
    ['metadata of numbers', fileBytes({ __metadata__: { a: 1 } }), 'header-json', /"a" must be a string/],
    ['an unknown dtype', fileBytes({ x: { ...entry(0, 4), dtype: 'F31' } }, four), 'dtype', /"F31"; known are F64/],
    ['an entry that is a string', fileBytes({ x: 'x' }, four), 'dtype', /"x" has dtype undefined/],
    ['a negative size', fileBytes({ x: entry(0, 4, [-1, -1]) }, four), 'shape', /whole numbers/],
    ['offsets that run backwards', fileBytes({ x: entry(4, 0, [1]) }, four), 'offsets', /\[4,0\]/],
    ['a byte size that does not fit', fileBytes({ x: entry(0, 4, [2]) }, four), 'byte-size', /needs 8 bytes.*give 4/],
    ['a truncated file', fileBytes({ x: entry(0, 8) }, four), 'truncated', /ends at byte 8.*only 4/],
    ['overlapping tensors', fileBytes({ x: entry(0, 8), y: entry(4, 8) }, eight), 'overlap', /"x" and "y" overlap/],
    ['a hole', fileBytes({ x: entry(4, 8) }, eight), 'hole', /bytes 0 to 4/],
    ['bytes after the last tensor', fileBytes({ x: entry(0, 4) }, eight), 'hole', /4 bytes follow/],
    [
      'a name given twice',
      fileBytes(`{"x":${JSON.stringify(entry(0, 4))},"x":${JSON.stringify(entry(0, 4))}}`, four),
      'duplicate-name',
      /lists "x" twice/,
    ],
    ['a web page', Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>'), 'html', /web page/],
    [
      'a Git LFS pointer',
      Buffer.from('version https://git-lfs.example/spec/v1\noid sha256:0\nsize 12\n'),
      'lfs-pointer',
      /git lfs pull/,
    ],
    ['a torch zip', Buffer.from('PK\x03\x04 and then some more bytes'), 'pickle', /python3 -c/],
    ['an old pickle', Buffer.from([0x80, 2, 0x8a, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 'pickle', /torch\.load/],
  ];

  it.each(cases)('%s', async (_, bytes, code, message) => {
    const file = rawFile(bytes);
    const error = await thrown(() => openSafetensors(file));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(file);
    expect(error.code).toBe(`weights.${code}`);
  });

  it.each(['x.bin', 'x.pt', 'x.ckpt', 'x.pth'])('refuses %s by its name', async name => {
    const error = await thrown(() => openSafetensors(rawFile(new Uint8Array(16), name)));
    expect(error.message).toMatch(/python3 -c .*torch\.load.*x\.safetensors/s);
  });

  it('refuses a folder that holds pickles only', async () => {
    const file = rawFile(new Uint8Array(16), 'diffusion_pytorch_model.bin');
    expect((await thrown(() => openSafetensors(join(file, '..')))).code).toBe('weights.pickle');
  });

  it('says that integers do not fit and types cannot be read, when read', async () => {
    const big = openSafetensors(single('I64', BigInt64Array.of(1n << 40n)));
    await expect(big.read('x')).rejects.toThrow(/1099511627776.*32 bits/);
    const f8 = openSafetensors(single('F8_E4M3', Uint8Array.of(1)));
    await expect(f8.read('x')).rejects.toThrow(/F8_E4M3/);
  });

  it('survives random bit flips and cuts: a good result or an InputError, nothing else', async () => {
    const file = join(tempFolder(), 'x.safetensors');
    await writeSafetensors(file, [
      { name: 'a.weight', shape: [2, 3], data: f32(1, 2, 3, 4, 5, 6) },
      { name: 'b', shape: [], data: f32(7), dtype: 'F16' },
      { name: 'c', shape: [2], data: Int32Array.of(1, 2), dtype: 'I64' },
    ]);
    const good = readFileSync(file);
    const headerEnd = 8 + Number(good.readBigUInt64LE(0));
    let state = 99;
    const random = (n: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const outcomes = { read: 0, refused: 0 };
    for (let i = 0; i < 3000; i++) {
      const bytes = Buffer.from(good);
      for (let flips = 1 + random(3); flips > 0; flips--) {
        const at = random(headerEnd);
        bytes[at] = bytes[at]! ^ (1 << random(8));
      }
      writeFileSync(file, random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
      const error = await read().catch(e => e);
      if (error === null) outcomes.read++;
      else {
        expect(error).toBeInstanceOf(InputError);
        outcomes.refused++;
      }
    }
    async function read() {
      const reader = openSafetensors(file);
      try {
        for (const name of reader.names()) {
          const { shape } = reader.info(name);
          expect((await reader.read(name)).length).toBe(shape.reduce((a, b) => a * b, 1));
        }
      } finally {
        reader.close();
      }
      return null;
    }
    expect(outcomes.refused).toBeGreaterThan(1500);
    expect(outcomes.read).toBeGreaterThan(50); // flips inside names and metadata
  });
});

describe('writing', () => {
  it('round-trips values, types, metadata and odd names', async () => {
    const file = join(tempFolder(), 'deep', 'er', 'x.safetensors');
    const values = Float32Array.from({ length: 24 }, (_, i) => Math.fround(Math.sin(i) * 10));
    await writeSafetensors(
      file,
      [
        { name: 'half', shape: [4, 6], data: values, dtype: 'F16' },
        { name: 'full', shape: [2, 3, 4], data: values },
        { name: 'brain', shape: [24], data: async () => values, dtype: 'BF16' },
        { name: '10', shape: [2], data: Int32Array.of(-1, 5) },
        { name: '9', shape: [2], data: Int32Array.of(-1, 5), dtype: 'I64' },
        { name: 'ü "quoted" \\ name', shape: [1], data: Uint8Array.of(200) },
        { name: '__proto__', shape: [1], data: Uint8Array.of(1), dtype: 'BOOL' },
        { name: 'none', shape: [0], data: f32() },
      ],
      { format: 'pt', step: '12' },
    );
    const reader = openSafetensors(file);
    expect(reader.metadata).toEqual({ format: 'pt', step: '12' });
    expect(await reader.read('full')).toEqual(values);
    const close = (got: ArrayLike<number>, relative: number) =>
      Array.from(got).every((v, i) => Math.abs(v - values[i]!) <= relative * Math.abs(values[i]!) + 1e-7);
    expect(close(await reader.read('half'), 2 ** -11)).toBe(true);
    expect(close(await reader.read('brain'), 2 ** -8)).toBe(true);
    expect(await reader.read('10')).toEqual(Int32Array.of(-1, 5));
    expect(reader.info('9').dtype).toBe('I64');
    expect(await reader.read('9')).toEqual(Int32Array.of(-1, 5));
    expect(await reader.read('ü "quoted" \\ name')).toEqual(Uint8Array.of(200));
    expect(reader.info('__proto__').dtype).toBe('BOOL');
    expect((await reader.read('none')).length).toBe(0);
    const data = 8 + Number(readFileSync(file).readBigUInt64LE(0));
    expect(data % 8).toBe(0);
    reader.close();
  });

  it('asks for one tensor at a time and leaves nothing behind when one fails', async () => {
    const dir = tempFolder();
    const order: string[] = [];
    const lazy = (name: string, fail = false) => ({
      name,
      shape: [1],
      data: () => {
        order.push(name);
        if (fail) throw new Error('no such tensor on the device');
        return f32(1);
      },
    });
    await writeSafetensors(join(dir, 'ok.safetensors'), [lazy('b'), lazy('a')]);
    expect(order).toEqual(['a', 'b']);
    const before = readFileSync(join(dir, 'ok.safetensors'));
    await expect(writeSafetensors(join(dir, 'ok.safetensors'), [lazy('a'), lazy('c', true)])).rejects.toThrow(/device/);
    expect(readdirSync(dir)).toEqual(['ok.safetensors']);
    expect(readFileSync(join(dir, 'ok.safetensors'))).toEqual(before);
  });

  it('refuses values that do not fit the shape, names given twice, and folders it cannot write', async () => {
    const dir = tempFolder();
    const file = join(dir, 'x.safetensors');
    await expect(writeSafetensors(file, [{ name: 'a', shape: [3], data: f32(1) }])).rejects.toThrow(
      /needs 3 values, 1/,
    );
    const a = { name: 'a', shape: [1], data: f32(1) };
    await expect(writeSafetensors(file, [a, a])).rejects.toThrow(/given twice/);
    writeFileSync(join(dir, 'plain'), '');
    await expect(writeSafetensors(join(dir, 'plain', 'x.safetensors'), [a])).rejects.toThrow(/Cannot write .*plain/);
  });

  it('writes equal bytes for equal input in any order', async () => {
    const dir = tempFolder();
    const entries = [
      { name: 'b', shape: [1], data: f32(1) },
      { name: 'a', shape: [1], data: f32(2) },
      { name: 'c', shape: [1], data: f32(2), dtype: 'F16' as const },
    ];
    await writeSafetensors(join(dir, '1'), entries);
    await writeSafetensors(join(dir, '2'), entries.reverse());
    expect(readFileSync(join(dir, '1'))).toEqual(readFileSync(join(dir, '2')));
  });
});

describe('shards', () => {
  const entries = ['a', 'b', 'c', 'd', 'e'].map((name, i) => ({
    name,
    shape: [10],
    data: new Float32Array(10).fill(i),
  }));

  async function sharded() {
    const dir = tempFolder();
    const files = await writeShardedSafetensors(dir, 'model', entries, { maxShardBytes: 100 });
    return { dir, files };
  }

  it('splits by size and reads back through the index or the folder', async () => {
    const { dir, files } = await sharded();
    expect(files).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      'model.safetensors.index.json',
    ]);
    for (const path of [dir, join(dir, 'model.safetensors.index.json')]) {
      const reader = openSafetensors(path);
      expect(reader.names().sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
      expect((await reader.read('e'))[9]).toBe(4);
      expect(reader.info('a').file).toBe(join(dir, 'model-00001-of-00003.safetensors'));
      expect(reader.metadata).toEqual({ format: 'pt' });
      reader.close();
    }
    unlinkSync(join(dir, 'model.safetensors.index.json'));
    expect(openSafetensors(dir).names().length).toBe(5);
  });

  it('replaces an earlier save of another number of files', async () => {
    const { dir } = await sharded();
    expect(await writeShardedSafetensors(dir, 'model', entries)).toEqual(['model.safetensors']);
    expect(readdirSync(dir)).toEqual(['model.safetensors']);
  });

  it('names a missing shard, with and without the index', async () => {
    const { dir } = await sharded();
    unlinkSync(join(dir, 'model-00002-of-00003.safetensors'));
    const error = await thrown(() => openSafetensors(dir));
    expect(error.message).toMatch(/model-00002-of-00003\.safetensors is missing/);
    expect(error.code).toBe('weights.missing-shard');
    unlinkSync(join(dir, 'model.safetensors.index.json'));
    expect((await thrown(() => openSafetensors(dir))).message).toMatch(/model-00002-of-00003\.safetensors is missing/);
  });

  it('refuses an index that disagrees with its files, leaves the folder, or is broken', async () => {
    const { dir } = await sharded();
    const index = join(dir, 'model.safetensors.index.json');
    const good = JSON.parse(readFileSync(index, 'utf8'));
    const withMap = async (map: object) => {
      writeFileSync(index, JSON.stringify({ weight_map: map }));
      return (await thrown(() => openSafetensors(dir))).message;
    };
    expect(await withMap({ ...good.weight_map, z: 'model-00001-of-00003.safetensors' })).toMatch(/"z".*not there/);
    expect(await withMap({ a: '../x.safetensors' })).toMatch(/file name in the same folder/);
    expect(await withMap({})).toMatch(/weight_map/);
    writeFileSync(index, '{');
    expect((await thrown(() => openSafetensors(dir))).message).toMatch(/not a JSON file/);
  });

  it('refuses the same tensor in two files', async () => {
    const { dir } = await sharded();
    await writeSafetensors(join(dir, 'model-00002-of-00003.safetensors'), entries.slice(0, 1));
    expect((await thrown(() => openSafetensors(dir))).message).toMatch(/"a" is in .*00001.* and in .*00002/);
  });
});

describe('folders', () => {
  const a = { name: 'a', shape: [1], data: f32(1) };

  it('finds plain files before variants, and the variant when asked', async () => {
    const dir = tempFolder();
    await writeSafetensors(join(dir, 'diffusion_pytorch_model.fp16.safetensors'), [{ ...a, dtype: 'F16' }]);
    expect(openSafetensors(dir).info('a').dtype).toBe('F16');
    await writeSafetensors(join(dir, 'diffusion_pytorch_model.safetensors'), [a]);
    expect(openSafetensors(dir).info('a').dtype).toBe('F32');
    expect(openSafetensors(dir, { variant: 'fp16' }).info('a').dtype).toBe('F16');
  });

  it('takes the only safetensors file of a folder and refuses to choose among several', async () => {
    const dir = tempFolder();
    await writeSafetensors(join(dir, 'lora.safetensors'), [a]);
    expect(openSafetensors(dir).names()).toEqual(['a']);
    await writeSafetensors(join(dir, 'other.safetensors'), [a]);
    expect(() => openSafetensors(dir)).toThrow(/several other files \(lora\.safetensors, other\.safetensors\)/);
  });

  it('says what it looked for in a folder without weights, and that a path is not there', () => {
    expect(() => openSafetensors(tempFolder())).toThrow(/Looked for diffusion_pytorch_model.*the folder holds nothing/);
    expect(() => openSafetensors(join(tempFolder(), 'gone'))).toThrow(/no such file or folder/);
  });
});
