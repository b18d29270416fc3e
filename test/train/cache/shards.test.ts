/** Shards of a cache: filled in parts, joined, found again, read one tensor at a time. */
import { copyFile, mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ShardReader } from '../../../src/train/cache/shard-reader.js';
import { ShardWriter, type ShardWriterOptions } from '../../../src/train/cache/shard-writer.js';
import { temporaryFolder } from '../../data/helpers.js';

const root = temporaryFolder();
const tensor = (i: number) => ({
  name: `t${i}`,
  shape: [3, 2],
  values: Float32Array.from({ length: 6 }, (_, k) => i + k / 8),
});
const all = () => true;

async function folder(name: string): Promise<string> {
  const dir = path.join(root, name);
  await mkdir(dir);
  return dir;
}
const open = (dir: string, options: Partial<ShardWriterOptions> = {}) =>
  ShardWriter.open({ dir, kind: 'latents', dtype: 'fp32', stamp: 'one', partBytes: 1, ...options });
const filesIn = async (dir: string) => (await readdir(dir)).sort();

describe('shards', () => {
  it('hold what was added, in files of a bounded size and number of parts', async () => {
    const dir = await folder('many');
    const writer = await open(dir);
    for (let i = 0; i < 210; i++) await writer.add(tensor(i));
    const shards = await writer.finish(all);
    expect(shards.map(({ names }) => names.length)).toEqual([200, 10]);
    expect(await filesIn(dir)).toEqual(['latents-00000.safetensors', 'latents-00001.safetensors']);
    const reader = new ShardReader(dir, 'latents', shards);
    expect(reader.size).toBe(210);
    for (const i of [0, 199, 205]) expect(reader.readSync(`t${i}`)).toEqual(tensor(i).values);
    expect(await reader.readRows('t7', [2, 0])).toEqual(Float32Array.of(7.5, 7.625, 7, 7.125));
    expect(() => reader.readSync('t210')).toThrow(/no shard holds t210/);
    reader.close();

    const small = await open(await folder('small'), { maxShardBytes: 400 });
    for (let i = 0; i < 9; i++) await small.add(tensor(i));
    const bytes = (await small.finish(all)).map(shard => shard.bytes);
    expect(bytes.length).toBeGreaterThan(3);
    expect(Math.max(...bytes)).toBeLessThan(800);
  });

  it('are gone on with after a kill at any moment', async () => {
    const dir = await folder('killed');
    const first = await open(dir);
    for (let i = 0; i < 3; i++) await first.add(tensor(i)); // and dies: parts alone are there
    const second = await open(dir);
    expect([second.size, second.has('t2'), second.shapeOf('t2')]).toEqual([3, true, [3, 2]]);
    await second.add({ ...tensor(1), values: new Float32Array(6) }); // known already
    await second.add(tensor(3));
    // Dies between the writing of a shard and the removal of its parts.
    const part = path.join(dir, 'latents.part-00001.safetensors');
    await copyFile(part, `${part}.kept`);
    const shards = await second.finish(all);
    await copyFile(`${part}.kept`, part);
    await rm(`${part}.kept`);
    const third = await open(dir);
    expect(third.size).toBe(4);
    expect(third.removed).toEqual([]);
    expect((await third.finish(all)).map(({ names }) => names.length)).toEqual([4]);
    expect(await filesIn(dir)).toEqual(['latents-00000.safetensors']);
    const reader = new ShardReader(dir, 'latents', shards);
    expect(reader.readSync('t1')).toEqual(tensor(1).values);
    reader.close();
  });

  it('that are damaged or belong to something else are removed, with the reason', async () => {
    const dir = await folder('damaged');
    const writer = await open(dir, { maxShardBytes: 100 });
    for (let i = 0; i < 3; i++) await writer.add(tensor(i));
    await writer.finish(all);
    await truncate(path.join(dir, 'latents-00001.safetensors'), 150);
    await writeFile(path.join(dir, 'latents.part-00009.safetensors'), 'no safetensors');
    await writeFile(path.join(dir, 'other.safetensors'), 'of the user');
    const again = await open(dir);
    expect([again.has('t0'), again.has('t1'), again.has('t2')]).toEqual([true, false, true]);
    expect(again.removed.map(text => text.slice(0, 13))).toEqual(['latents-00001', 'latents.part-']);
    const other = await open(dir, { stamp: 'two' });
    expect(other.size).toBe(0);
    expect(other.removed[0]).toContain('belongs to another state of the cache');
    expect(await filesIn(dir)).toEqual(['other.safetensors']);
  });

  it('of which nothing is wanted any more go, once nothing names them', async () => {
    const dir = await folder('unwanted');
    const writer = await open(dir, { maxShardBytes: 100 });
    for (let i = 0; i < 3; i++) await writer.add(tensor(i));
    const shards = await writer.finish(name => name !== 't1');
    expect(shards.map(({ file }) => file)).toEqual(['latents-00000.safetensors', 'latents-00002.safetensors']);
    expect(await filesIn(dir)).toHaveLength(3);
    await writer.removeUnwanted();
    expect(await filesIn(dir)).toHaveLength(2);
  });
});
