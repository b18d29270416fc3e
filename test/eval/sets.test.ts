import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseFrames } from '../../src/eval/clip-sampling.js';
import { parseResolution } from '../../src/eval/resolution.js';
import { forSide, perSide } from '../../src/eval/set-options.js';
import { drawOrder, openSet } from '../../src/eval/sets.js';
import { failure, makeClip, temporaryFolder } from '../data/helpers.js';

const root = temporaryFolder();
const folder = join(root, 'videos');

beforeAll(async () => {
  for (const name of ['a.mp4', 'a.gif', 'b.mp4', 'sub/c.gif']) await makeClip(join(folder, name), 8);
});

describe('sets', () => {
  it('are folders with or without captions; a GIF beside a video is no second one', async () => {
    await writeFile(join(folder, 'b.txt'), 'a caption');
    const set = await openSet(folder);
    expect(set.entries.map(({ id }) => id).sort()).toEqual(['a', 'b', 'sub/c']);
    expect(set.entries.find(({ id }) => id === 'b')?.caption).toBe('a caption');
    expect(set.notes.join()).toContain('1 GIFs beside videos of the same name');
  });
  it('are folders of show1 sample, in which only the listed videos count', async () => {
    const out = join(root, 'out');
    await makeClip(join(out, '00-x.mp4'), 8);
    await makeClip(join(out, '00-x.base.mp4'), 8);
    const records = [
      { prompt: 'x', path: '00-x.mp4', gif: '00-x.gif', seed: 1 },
      { prompt: 'y', path: '01-y.mp4', seed: 2 },
    ];
    await writeFile(join(out, 'samples.json'), JSON.stringify(records));
    const set = await openSet(out);
    expect(set.entries.map(({ id, caption }) => [id, caption])).toEqual([['00-x', 'x']]);
    expect(set.rejected.map(({ reason }) => reason)).toEqual(['missing file']);
    await writeFile(join(out, 'samples.json'), JSON.stringify([{ ...records[0], clip: 'a' }]));
    expect(await failure(() => openSet(out))).toMatchObject({ code: 'eval.samples' });
    await writeFile(join(out, 'samples.json'), '[{"prompt": "x"');
    expect((await failure(() => openSet(out))).message).toContain('Was sampling interrupted?');
  });
  it('that are empty are refused with what is wrong', async () => {
    const empty = join(root, 'empty');
    await mkdir(empty, { recursive: true });
    expect(await failure(() => openSet(empty))).toMatchObject({ code: 'eval.empty-set' });
    await writeFile(join(empty, 'z.mp4'), '');
    expect((await failure(() => openSet(empty))).message).toContain('1 zero-byte file');
    expect(await failure(() => openSet(join(root, 'nowhere')))).toMatchObject({ code: 'manifest.missing' });
  });
  it('are drawn in an order of the seed and the names alone', () => {
    const entries = Array.from({ length: 40 }, (_, i) => ({ id: `v${i}`, path: '', caption: '', source: '', line: 0 }));
    const ids = (list: typeof entries, seed: number) => drawOrder(list, seed).map(({ id }) => id);
    expect(ids([...entries].reverse(), 3)).toEqual(ids(entries, 3));
    expect(ids(entries, 4)).not.toEqual(ids(entries, 3));
    const fewer = entries.filter((_, i) => i % 2 === 0);
    expect(ids(fewer, 3)).toEqual(ids(entries, 3).filter(id => Number(id.slice(1)) % 2 === 0));
  });
  it('keep their videos when the folder moves', async () => {
    const before = (await openSet(folder, { seed: 1 })).entries.map(({ id }) => id);
    await rename(folder, `${folder}-moved`);
    expect((await openSet(`${folder}-moved`, { seed: 1 })).entries.map(({ id }) => id)).toEqual(before);
    await rename(`${folder}-moved`, folder);
  });
});

describe('frames of a clip', () => {
  const sampling = { position: 'central', frames: 4, stride: 1, fps: null, seed: 0 } as const;
  it('are central, at the start, spread, or all', () => {
    expect(chooseFrames(sampling, 10, 'x')).toEqual([3, 4, 5, 6]);
    expect(chooseFrames({ ...sampling, stride: 3 }, 11, 'x')).toEqual([0, 3, 6, 9]);
    expect(chooseFrames({ ...sampling, position: 'start' }, 10, 'x')).toEqual([0, 1, 2, 3]);
    expect(chooseFrames({ ...sampling, position: 'uniform' }, 16, 'x')).toEqual([2, 6, 10, 14]);
    expect(chooseFrames({ ...sampling, frames: 'all', stride: 2 }, 5, 'x')).toEqual([0, 2, 4]);
    expect(chooseFrames({ ...sampling, stride: 4 }, 12, 'x')).toBeUndefined();
    expect(chooseFrames(sampling, 4, 'x')).toEqual([0, 1, 2, 3]);
  });
  it('are drawn from seed and content where they are random', () => {
    const first = (content: string, seed: number) =>
      chooseFrames({ ...sampling, position: 'random', seed }, 1000, content)![0]!;
    expect(first('x', 1)).toBe(first('x', 1));
    expect(first('x', 1)).not.toBe(first('x', 2));
    const places = Array.from({ length: 400 }, (_, i) => first(String(i), 0));
    expect(Math.min(...places)).toBeLessThan(30);
    expect(Math.max(...places)).toBeGreaterThan(960);
    expect(Math.max(...places)).toBeLessThanOrEqual(996);
    const mean = places.reduce((a, b) => a + b, 0) / places.length;
    expect(Math.abs(mean - 498)).toBeLessThan(45); // three standard errors
  });
});

describe('resolution', () => {
  /** Every pixel says where it is: red its column, green its row. */
  const grid = (width: number, height: number) => {
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) data.set([i % width, Math.floor(i / width), 7], i * 3);
    return { data, frames: 1, width, height };
  };
  const apply = (text: string, width: number, height: number) => parseResolution(text).apply(grid(width, height));
  it('cuts the middle and keeps pixels', () => {
    const cut = apply('centre-crop', 9, 6);
    expect([cut.width, cut.height]).toEqual([6, 6]);
    expect([...cut.data.subarray(0, 2)]).toEqual([1, 0]);
    expect([...apply('centre-crop:2', 9, 6).data.subarray(0, 2)]).toEqual([3, 2]);
    expect(() => apply('centre-crop:7', 9, 6)).toThrow('does not fit into a video of 9x6');
  });
  it('squeezes, or keeps the shape', () => {
    const size = ({ width, height }: { width: number; height: number }) => [width, height];
    expect(size(apply('square:4', 9, 6))).toEqual([4, 4]);
    expect(size(apply('short:12', 9, 6))).toEqual([18, 12]);
    expect(size(apply('short:12', 6, 9))).toEqual([12, 18]);
    expect(size(apply('size:5x3', 9, 6))).toEqual([5, 3]);
    expect(size(apply('center-crop + square:4', 9, 6))).toEqual([4, 4]);
    expect(apply('none', 9, 6).data).toEqual(grid(9, 6).data);
    expect(parseResolution('center-crop+square:4').id).toBe('centre-crop+square:4');
  });
  it('refuses what is no step', () => {
    for (const text of ['', 'square', 'square:0', 'square:4x4', 'size:4', 'crop:3', 'none+square:4']) {
      expect(() => parseResolution(text)).toThrow('is no step');
    }
  });
});

describe('options of two sets', () => {
  it('are one value, or one for each', () => {
    const read = (text: string | undefined) => perSide('frames', text, word => Number(word) || undefined, 'a number');
    expect([forSide(read('16'), 'real'), forSide(read('16'), 'generated')]).toEqual([16, 16]);
    const two = read('real=16,generated=8');
    expect([forSide(two, 'real'), forSide(two, 'generated')]).toEqual([16, 8]);
    expect(forSide(read('real=16'), 'generated')).toBeUndefined();
    expect(read(undefined)).toBeUndefined();
    expect(() => read('real=x')).toThrow('--frames real=x: "x" is not a number');
    expect(() => read('real=1,fake=2')).toThrow('"fake=2" is not real=… or generated=…');
  });
});
