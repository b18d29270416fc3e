import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertFolder } from '../../src/convert/dtype.js';
import { parseSize } from '../../src/convert/size.js';
import { InputError, InterruptedError, WorkError } from '../../src/errors.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { filesOf } from '../helpers/tiny-run.js';
import { fileBytes, tempFolder, thrown } from '../models/weights/files.js';
import { expectSameFiles, modelFolder, pipelineFolder, put, WEIGHTS } from './folders.js';

const FILE = 'diffusion_pytorch_model.safetensors';

/** A source folder and the place beside it. */
function places(): { dir: string; out: string; root: string } {
  const root = tempFolder();
  return { dir: join(root, 'in'), out: join(root, 'out'), root };
}

describe('a converted model', () => {
  it('needs a name', async () => {
    const { dir } = places();
    await modelFolder(dir);
    await expect(convertFolder(dir, ' ', { dtype: 'F16' })).rejects.toThrow(/OUT is empty; give the folder to write/);
  });

  it('has its floats in the new type and all else as it was', async () => {
    const { dir, out } = places();
    await modelFolder(dir);
    const seen: [number, number, string][] = [];
    const onProgress = (done: number, total: number, what: string) => void seen.push([done, total, what]);
    const result = await convertFolder(dir, out, { dtype: 'F16', onProgress });
    const bytes = 2 * 3740 + 3 * 8;
    expect(result).toMatchObject({ kind: 'model', copied: 1, leftOut: [] });
    expect(result.models).toEqual([{ folder: '', tensors: 4, bytes, files: [FILE] }]);
    expect(seen.at(-1)!.slice(0, 2)).toEqual([4 * 3740 + 24, 4 * 3740 + 24]);
    const weights = openSafetensors(out);
    expect(weights.metadata).toEqual({ format: 'pt', made: 'here' });
    expect(weights.names().map(name => weights.info(name).dtype)).toEqual(['I64', 'F16', 'F16', 'F16']);
    expect(weights.readSync('ids')).toEqual(Int32Array.of(1, 2, 3));
    const [first, original] = [weights.readSync('a.weight'), WEIGHTS['a.weight']!];
    for (const [i, value] of original.entries()) {
      const unit = Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10));
      expect(Math.abs(first[i]! - value)).toBeLessThanOrEqual(unit / 2);
    }
    weights.close();
  });

  it.each(['F16', 'BF16'] as const)('comes back from %s through fp32 to the same bytes', async dtype => {
    const { dir, out, root } = places();
    await modelFolder(dir, WEIGHTS, { config: { torch_dtype: 'float32', eps: 1e-6 } });
    await convertFolder(dir, out, { dtype });
    await convertFolder(out, join(root, 'wide'), { dtype: 'F32' });
    await convertFolder(join(root, 'wide'), join(root, 'narrow'), { dtype });
    expectSameFiles(await filesOf(join(root, 'narrow')), await filesOf(out));
    const named = { F16: 'float16', BF16: 'bfloat16' }[dtype];
    expect(readFileSync(join(out, 'config.json'), 'utf8')).toContain(`"torch_dtype": "${named}"`);
  });

  it('in shards comes back to one file, byte for byte', async () => {
    const { dir, out, root } = places();
    await modelFolder(dir);
    const { models } = await convertFolder(dir, out, { dtype: null, maxShardBytes: 5000 });
    expect(models[0]!.files).toEqual([
      'diffusion_pytorch_model-00001-of-00003.safetensors',
      'diffusion_pytorch_model-00002-of-00003.safetensors',
      'diffusion_pytorch_model-00003-of-00003.safetensors',
      'diffusion_pytorch_model.safetensors.index.json',
    ]);
    await convertFolder(out, join(root, 'whole'), { dtype: null });
    expectSameFiles(await filesOf(join(root, 'whole')), await filesOf(dir));
    // Shards without their index are a set, too.
    rmSync(join(out, models[0]!.files.at(-1)!));
    await convertFolder(out, join(root, 'again'), { dtype: null });
    expectSameFiles(await filesOf(join(root, 'again')), await filesOf(dir));
  });

  it('is read from, and written to, the variant asked for', async () => {
    const { dir, out, root } = places();
    await modelFolder(dir);
    await modelFolder(dir, { 'a.weight': Float32Array.of(7) }, { variant: 'ema' });
    const sharded = await convertFolder(dir, out, { dtype: 'BF16', variant: 'bf16', maxShardBytes: 3000 });
    expect(sharded.models[0]!.files[0]).toBe('diffusion_pytorch_model.bf16-00001-of-00003.safetensors');
    const other = await convertFolder(dir, join(root, 'ema'), { dtype: null, fromVariant: 'ema' });
    expect(other.models[0]).toMatchObject({ tensors: 2, files: [FILE] });
    const back = await convertFolder(out, join(root, 'back'), { dtype: null, fromVariant: 'bf16' });
    expect(back.models[0]).toMatchObject({ tensors: 4, files: [FILE] });
    await expect(convertFolder(dir, join(root, 'none'), { dtype: null, fromVariant: 'fp61' })).rejects.toThrow(
      /--from-variant fp61: no weight file in .* is named \*\.fp61\.safetensors; there are diffusion_pytorch_model/,
    );
  });

  it('is never in memory as a whole', async () => {
    const { dir, out } = places();
    const values = Float32Array.from({ length: 2 ** 18 }, (_, i) => i); // 1 MiB
    await modelFolder(dir, Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`w${i}`, values])));
    const used = () => process.memoryUsage().arrayBuffers;
    const before = used();
    let most = 0;
    const onProgress = () => {
      most = Math.max(most, used() - before);
    };
    await convertFolder(dir, out, { dtype: 'BF16', onProgress });
    expect(most).toBeLessThan(20 * 2 ** 20);
  });

  it('keeps the name of other weights', async () => {
    const { dir, out } = places();
    await modelFolder(dir, WEIGHTS, { stem: 'open_clip.v2' });
    const { models } = await convertFolder(dir, out, { dtype: 'F16' });
    expect(models[0]!.files).toEqual(['open_clip.v2.safetensors']);
  });
});

describe('a converted pipeline', () => {
  it('has all its parts, and each set of weights once', async () => {
    const { dir, out } = places();
    await pipelineFolder(dir);
    const { kind, models, leftOut, copied } = await convertFolder(dir, out, { dtype: 'F16' });
    expect(kind).toBe('pipeline');
    expect(models.map(({ folder, files }) => [folder, files])).toEqual([
      ['text_encoder', ['model.safetensors']],
      ['unet', [FILE]],
    ]);
    expect(leftOut.sort()).toEqual(['original/weights.pth', 'unet/diffusion_pytorch_model.bin', 'whole.safetensors']);
    const [before, after] = [await filesOf(dir), await filesOf(out)];
    expect([...after.keys()].sort()).toEqual(
      [...before.keys()].filter(name => !leftOut.includes(name) && !name.startsWith('.')).sort(),
    );
    const changed = [...after.keys()].filter(name => !before.get(name)!.equals(after.get(name)!));
    expect(changed.sort()).toEqual([`text_encoder/config.json`, 'text_encoder/model.safetensors', `unet/${FILE}`]);
    expect(copied).toBe(after.size - 2);
  });

  it('of a cascade stands in its stage’s folder', async () => {
    const { dir, out } = places();
    await pipelineFolder(join(dir, 'base'));
    await modelFolder(join(dir, 'sr1', 'unet')); // without an index
    put(join(dir, 'sr1', 'scheduler', 'scheduler_config.json'), '{}');
    symlinkSync(dir, join(dir, 'base', 'unet', 'loop')); // must not be followed round and round
    const { kind, models } = await convertFolder(dir, out, { dtype: 'BF16' });
    expect(kind).toBe('cascade');
    expect(models.map(({ folder }) => folder)).toEqual(['base/text_encoder', 'base/unet', 'sr1/unet']);
    expect(existsSync(join(out, 'sr1', 'scheduler', 'scheduler_config.json'))).toBe(true);
  });

  it('is read through the links of a hub cache', async () => {
    const { dir, out, root } = places();
    await modelFolder(join(root, 'blobs'));
    put(join(dir, 'unet', 'notes.txt'), 'x');
    for (const name of [FILE, 'config.json']) symlinkSync(join(root, 'blobs', name), join(dir, 'unet', name));
    await convertFolder(dir, out, { dtype: 'F32' });
    expect(readFileSync(join(out, 'unet', FILE)).equals(readFileSync(join(root, 'blobs', FILE)))).toBe(true);
  });
});

describe('a conversion that cannot be done', () => {
  /** The folder to read, spoiled. */
  const cases: [string, (dir: string) => Promise<void> | void, string, RegExp][] = [
    ['no folder', () => {}, 'convert.no-folder', /There is no folder .*in\./],
    [
      'no model',
      dir => put(join(dir, 'x.txt'), ''),
      'convert.no-model',
      /in holds no weights to convert: neither a model/,
    ],
    ['a config without weights', dir => put(join(dir, 'config.json'), '{}'), 'convert.no-model', /holds no weights/],
    ['a run', dir => put(join(dir, 'config.yaml'), ''), 'convert.run', /use show1 convert export/],
    [
      'pickle files only',
      dir => {
        put(join(dir, 'config.json'), '{}');
        put(join(dir, 'diffusion_pytorch_model.bin'), '');
      },
      'weights.pickle',
      /is a PyTorch pickle.*\n.*python3 -c/,
    ],
    [
      'a part in pickle files only',
      async dir => {
        await pipelineFolder(dir);
        rmSync(join(dir, 'unet', FILE));
      },
      'weights.pickle',
      /unet\/diffusion_pytorch_model\.bin is a PyTorch pickle/,
    ],
    [
      'a missing shard',
      async dir => {
        await modelFolder(dir, WEIGHTS, { maxShardBytes: 5000 });
        rmSync(join(dir, 'diffusion_pytorch_model-00002-of-00003.safetensors'));
      },
      'weights.missing-shard',
      /00002-of-00003\.safetensors is missing/,
    ],
    [
      'a header longer than the file',
      async dir => {
        await modelFolder(dir);
        const bytes = fileBytes('{}');
        bytes.writeBigUInt64LE(5000n);
        writeFileSync(join(dir, FILE), bytes);
      },
      'weights.header-length',
      /announce a header of 5000 bytes, but only 2 follow/,
    ],
    [
      'weights that end early',
      async dir => {
        await modelFolder(dir);
        writeFileSync(join(dir, FILE), readFileSync(join(dir, FILE)).subarray(0, -8));
      },
      'weights.truncated',
      /it is truncated/,
    ],
    [
      'a value beyond fp16',
      dir => modelFolder(dir, { good: Float32Array.of(1), 'x.weight': Float32Array.of(1, 65520, -7e5) }),
      'weights.range',
      /tensor "x\.weight" of .*in\/diffusion_pytorch_model\.safetensors holds 2 values of up to 7\.000e\+5.*store it as bf16/,
    ],
    [
      '8-bit floats',
      async dir => {
        await modelFolder(dir);
        const header = { w: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] } };
        writeFileSync(join(dir, FILE), fileBytes(header, Uint8Array.of(1, 2)));
      },
      'convert.dtype',
      /tensor "w" of .* is stored as F8_E4M3/,
    ],
  ];
  it.each(cases)('%s', async (_, spoil, code, message) => {
    const { dir, out, root } = places();
    await spoil(dir);
    const error = await thrown(() => convertFolder(dir, out, { dtype: 'F16' }));
    expect(error).toBeInstanceOf(InputError);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(readdirSync(root).filter(name => name !== 'in')).toEqual([]);
  });

  it('but the types that are not converted go along', async () => {
    const { dir, out } = places();
    await modelFolder(dir);
    const header = { w: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] } };
    writeFileSync(join(dir, FILE), fileBytes(header, Uint8Array.of(1, 2)));
    await convertFolder(dir, out, { dtype: null });
    expect(openSafetensors(out).info('w').dtype).toBe('F8_E4M3');
  });

  it('stops when asked to and leaves nothing', async () => {
    const { dir, out, root } = places();
    await modelFolder(dir);
    const control = new AbortController();
    const onProgress = () => control.abort();
    const error = await thrown(() => convertFolder(dir, out, { dtype: 'F16', signal: control.signal, onProgress }));
    expect(error).toBeInstanceOf(InterruptedError);
    expect(readdirSync(root)).toEqual(['in']);
  });

  it('says how much room it needs', async () => {
    const { dir, out, root } = places();
    await modelFolder(dir);
    const error = await thrown(() => convertFolder(dir, out, { dtype: 'F16', freeBytes: async () => 5000 }));
    expect(error).toBeInstanceOf(WorkError);
    expect(error.message).toMatch(
      /The disk of .*out is full: about 7\.3\d KiB are needed, 4\.88 KiB are free\. Make room/,
    );
    expect(readdirSync(root)).toEqual(['in']);
  });
});

describe('the folder to write', () => {
  it('must be new or empty, unless it is forced and holds a model', async () => {
    const { dir, out } = places();
    await modelFolder(dir);
    await convertFolder(dir, out, { dtype: 'F16' });
    const before = await filesOf(out);
    const again = await thrown(() => convertFolder(dir, out, { dtype: 'BF16' }));
    expect(again).toMatchObject({ code: 'convert.output', message: expect.stringContaining('--force to replace it') });
    expectSameFiles(await filesOf(out), before);

    put(join(out, 'old.txt'), 'x');
    await convertFolder(dir, out, { dtype: 'BF16', force: true });
    expect(openSafetensors(out).info('a.weight').dtype).toBe('BF16');
    expect(existsSync(join(out, 'old.txt'))).toBe(false);

    rmSync(join(out, 'config.json'));
    const photos = await thrown(() => convertFolder(dir, out, { dtype: 'F16', force: true }));
    expect(photos.message).toContain(
      'holds no model (config.json or model_index.json), so --force does not replace it',
    );
  });

  it('is as it was when a forced conversion fails', async () => {
    const { dir, out, root } = places();
    await modelFolder(dir, { w: Float32Array.of(1e6) });
    await modelFolder(out);
    const before = await filesOf(out);
    await thrown(() => convertFolder(dir, out, { dtype: 'F16', force: true }));
    expectSameFiles(await filesOf(out), before);
    expect(readdirSync(root).sort()).toEqual(['in', 'out']);
  });

  it('does not overlap the one that is read', async () => {
    const { dir, root } = places();
    await modelFolder(dir);
    symlinkSync(dir, join(root, 'link'));
    const outs: [string, RegExp][] = [
      [dir, /is the folder to read/],
      [`${dir}/`, /is the folder to read/],
      [join(root, 'link'), /is the folder to read/],
      [join(dir, 'half'), /lies inside/],
      [join(root, 'link', 'half'), /lies inside/],
      [root, /holds .*in, which is read/],
      [join(dir, 'config.json'), /lies inside/],
    ];
    for (const [out, message] of outs) {
      const error = await thrown(() => convertFolder(dir, out, { dtype: 'F16', force: true }));
      expect(error.message, out).toMatch(message);
    }
    put(join(root, 'file'), '');
    expect((await thrown(() => convertFolder(dir, join(root, 'file'), { dtype: 'F16' }))).message).toMatch(/is a file/);
  });
});

describe('a size', () => {
  it.each([
    ['2GB', 2e9],
    ['500mb', 5e8],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['4096', 4096],
  ])('%s', (text, bytes) => {
    expect(parseSize(text, 'max-shard-size')).toBe(bytes);
  });
  it.each(['', 'GB', '2 gigs', '-1GB', '0', '1e9'])('not %j', text => {
    expect(() => parseSize(text, 'max-shard-size')).toThrow('--max-shard-size is');
  });
});
