import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ClipSampling } from '../../src/eval/clip-sampling.js';
import { type Extractor, type ExtractRequest, extract } from '../../src/eval/extract.js';
import { FeatureStore } from '../../src/eval/feature-store.js';
import { parseResolution } from '../../src/eval/resolution.js';
import { openSet } from '../../src/eval/sets.js';
import { cut, failure, frameNumbers, makeClip, temporaryFolder } from '../data/helpers.js';
import { writeTar } from '../data/tar-file.js';

const root = temporaryFolder();
const videos = join(root, 'videos');
const sampling: ClipSampling = { position: 'central', frames: 4, stride: 1, fps: null, seed: 0 };
const CLIPS = 9;

/** Tells which frames it was given; `calls` counts. */
function counter(batch = 1) {
  const state = { calls: 0, clips: 0 };
  const extractor: Extractor = {
    batch,
    async run(clips) {
      state.calls++;
      expect(clips).toHaveLength(batch);
      return clips.map(({ data, frames }) => {
        state.clips++;
        return { rows: 1, values: Float32Array.from(frameNumbers(data, frames)) };
      });
    },
  };
  return { state, extractor };
}

async function run(cache: string, changes: Partial<ExtractRequest> & { batch?: number } = {}) {
  const { batch = 1 } = changes;
  const { state, extractor } = counter(batch);
  const spec = { sampling: changes.sampling ?? sampling };
  const store = await FeatureStore.open(join(root, cache), spec, { print: line => said.push(line) });
  const set = changes.set ?? (await openSet(videos));
  const resolution = parseResolution('none');
  try {
    const result = await extract({
      ...{ set, sampling, resolution, store, batch, workers: 2, extractor: async () => extractor },
      ...changes,
    });
    const rows = new Map<string, number[]>();
    for (const { entry, content } of result.clips) rows.set(entry.id, [...(await store.read(content.name)).values]);
    return { ...result, state, rows, folder: store.folder };
  } finally {
    store.close();
  }
}
let said: string[] = [];

beforeAll(async () => {
  for (let i = 0; i < CLIPS; i++) await makeClip(join(videos, `${i}.mp4`), 6 + 2 * i);
  await makeClip(join(videos, 'short.mp4'), 3);
  await writeFile(join(videos, 'text.mp4'), '<html>not found</html>');
  await cut(join(videos, '8.mp4'), join(videos, 'cut.mp4'), 0.6);
  await writeFile(join(videos, 'empty.mp4'), '');
});

describe('extraction', () => {
  it('gives every readable video its features and every other one its reason', async () => {
    const { rows, rejected, computed, state } = await run('all');
    expect(computed).toBe(CLIPS);
    expect(state.calls).toBe(CLIPS);
    for (let i = 0; i < CLIPS; i++) {
      const first = Math.floor((6 + 2 * i - 4) / 2);
      expect(rows.get(String(i))).toEqual([first, first + 1, first + 2, first + 3]);
    }
    const reasons = Object.fromEntries(rejected.map(({ id, reason }) => [id.split('/').at(-1), reason]));
    expect(reasons).toMatchObject({ short: 'too short', text: 'not a video', 'empty.mp4': 'zero-byte file' });
    expect(reasons.cut).toMatch(/truncated|not a video/);
    expect(rejected.find(({ id }) => id === 'short')?.message).toContain('3 frames');
  });
  it('computes nothing twice', async () => {
    const before = await run('twice');
    const again = await run('twice');
    expect(again.computed).toBe(0);
    expect(again.state.calls).toBe(0);
    expect([again.clips, again.rejected]).toEqual([before.clips, before.rejected]);
    expect(again.rows).toEqual(before.rows);
  });
  it('goes on after an interruption with what is finished', async () => {
    const controller = new AbortController();
    const onProgress = (done: number) => {
      if (done === 5) controller.abort();
    };
    const error = await failure(() => run('stopped', { signal: controller.signal, onProgress }));
    expect(error).toMatchObject({ code: 'eval.interrupted', exitCode: 130 });
    const rest = await run('stopped');
    expect(rest.computed).toBeGreaterThan(0);
    expect(rest.computed).toBeLessThan(CLIPS);
    expect(rest.rows).toEqual((await run('all')).rows);
  });
  it('is shared by shards; the last run finds their work', async () => {
    const samples = 6;
    const whole = await run('whole', { samples });
    const parts = [];
    for (let index = 0; index < 3; index++) parts.push(await run('parts', { samples, shard: { index, count: 3 } }));
    expect(parts.every(part => part.computed <= 2)).toBe(true);
    const merged = await run('parts', { samples });
    expect(merged.computed + parts.reduce((sum, part) => sum + part.computed, 0)).toBe(samples);
    expect(merged.clips).toEqual(whole.clips);
    expect(merged.rows).toEqual(whole.rows);
    expect(merged.rejected).toEqual(whole.rejected);
    expect(await failure(() => run('nothing', { samples, storedOnly: true }))).toMatchObject({
      code: 'eval.not-extracted',
    });
    expect((await run('parts', { samples, storedOnly: true })).rows).toEqual(whole.rows);
  });
  it('fills batches up and keeps the same result', async () => {
    const batched = await run('batched', { batch: 4 });
    expect(batched.state.clips).toBe(4 * batched.state.calls);
    expect(batched.rows).toEqual((await run('all')).rows);
  });
  it('finds damaged files and computes again what they held', async () => {
    const before = await run('damaged');
    const files = (await readdir(before.folder)).filter(name => name.endsWith('.safetensors'));
    const bytes = await readFile(join(before.folder, files[0]!));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(join(before.folder, files[0]!), bytes);
    said = [];
    const after = await run('damaged');
    expect(after.computed).toBeGreaterThan(0);
    expect(after.rows).toEqual(before.rows);
    expect(said.join()).toContain('is damaged (its bytes have changed)');
    const [file] = (await readdir(before.folder)).filter(name => name.endsWith('.safetensors'));
    await truncate(join(before.folder, file!), 20);
    expect((await run('damaged')).rows).toEqual(before.rows);
    expect((await run('damaged')).computed).toBe(0);
  });
  it('knows a video by its bytes: a copy under another name is not computed again', async () => {
    await run('copies');
    const set = await openSet(videos);
    const [entry] = set.entries.filter(({ id }) => id === '3');
    const copy = { ...entry!, id: 'copy', path: join(root, 'copy.mp4') };
    await writeFile(copy.path, await readFile(entry!.path));
    const both = await run('copies', { set: { ...set, entries: [entry!, copy] } });
    expect(both.computed).toBe(0);
    expect(both.clips).toHaveLength(2);
    const twins = await run('twins', { set: { ...set, entries: [entry!, copy] }, batch: 2 });
    expect(twins.rows.get('copy')).toEqual(both.rows.get('3'));
  });
  it('reads videos in tar shards, the same as those in files', async () => {
    const bytes = await readFile(join(videos, '5.mp4'));
    writeTar(join(root, '00000.tar'), [
      { name: 'a.mp4', data: bytes },
      { name: 'a.txt', data: 'a caption' },
      { name: 'b.mp4', data: await readFile(join(videos, '6.mp4')) },
    ]);
    const files = await run('tar-or-file');
    const tar = await run('tar-or-file', { set: await openSet(join(root, '00000.tar')) });
    expect(tar.computed).toBe(0);
    expect([tar.rows.get('a'), tar.rows.get('b')]).toEqual([files.rows.get('5'), files.rows.get('6')]);
  });
  it('reads all frames of a video, and frames at another rate', async () => {
    const all = await run('frames', { sampling: { ...sampling, frames: 'all', stride: 2 } });
    expect(all.rows.get('4')).toEqual([0, 2, 4, 6, 8, 10, 12]);
    expect(all.rejected.map(({ id }) => id)).not.toContain('short');
    const slow = await run('slow', { sampling: { ...sampling, fps: 4, position: 'start' } }); // the clips have 8
    expect(slow.rows.get('8')).toEqual([0, 2, 4, 6]);
    expect(slow.rejected.map(({ id }) => id)).toContain('0'); // 6 frames become 3
  });
});

describe('the store', () => {
  it('joins its files, and other processes find what was joined', async () => {
    const cache = join(root, 'joined');
    const writer = await FeatureStore.open(cache, {}, { maxWaiting: 1, maxFiles: 4 });
    const reader = await FeatureStore.open(cache, {});
    for (let i = 0; i < 10; i++) {
      await writer.add(new Map([[`f${i}`, { rows: 2, values: Float32Array.from([i, 1, i, 2]) }]]));
      if (i === 2) await reader.refresh(); // knows three files that will be gone
    }
    const files = (await readdir(writer.folder)).filter(name => name.endsWith('.safetensors'));
    expect(files.length).toBeLessThan(6);
    for (let i = 0; i < 10; i++) {
      expect(await reader.read(`f${i}`)).toEqual({ rows: 2, values: Float32Array.from([i, 1, i, 2]) });
    }
    expect(await failure(() => reader.read('f10'))).toMatchObject({ code: 'eval.cache-lost' });
    expect((await FeatureStore.open(cache, {})).has('f9')).toBe(true);
    expect((await FeatureStore.open(cache, { other: true })).has('f9')).toBe(false);
  });
});
