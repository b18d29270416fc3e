import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLoader, type Loader, type LoaderOptions } from '../../src/data/loader.js';
import type { ManifestEntry } from '../../src/data/manifest.js';
import { failure, frameNumbers, makeClip, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const entry = (id: string, path = at(`${id}.mp4`)): ManifestEntry => ({
  id,
  path,
  caption: `caption ${id}`,
  source: folder,
  line: 0,
});

const GOOD = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'];
let entries: ManifestEntry[];
const open: Loader[] = [];

function loader(options: Partial<LoaderOptions> = {}): Loader {
  const made = createLoader({ entries, frames: 4, fps: 8, width: 16, height: 16, batchSize: 4, seed: 1, ...options });
  open.push(made);
  return made;
}

beforeAll(async () => {
  for (const [i, id] of GOOD.entries()) await makeClip(at(`${id}.mp4`), 4 + 3 * i);
  entries = GOOD.map(id => entry(id));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(one => one.close()));
});

/** Names and first frames of a few batches, which is all that the order and the offsets decide. */
async function trace(from: Loader, steps: readonly number[]): Promise<string[]> {
  const lines: string[] = [];
  for (const step of steps) {
    const { ids, videos } = await from.batch(step);
    const starts = ids.map((_, b) => frameNumbers(videos.subarray(b * 3072, (b + 1) * 3072), 4).join(','));
    lines.push(ids.map((id, b) => `${id}@${starts[b]}`).join(' '));
  }
  return lines;
}

describe('a batch', () => {
  it('has floats in [-1, 1], captions and ids', async () => {
    const batch = await loader().batch(0);
    expect(batch.shape).toEqual([4, 4, 16, 16, 3]);
    expect(batch.videos).toHaveLength(4 * 4 * 16 * 16 * 3);
    const least = batch.videos.reduce((a, b) => Math.min(a, b));
    const most = batch.videos.reduce((a, b) => Math.max(a, b));
    expect(least).toBeGreaterThanOrEqual(-1);
    expect(most).toBeLessThanOrEqual(1);
    expect(most - least).toBeGreaterThan(0.1);
    expect(batch.captions).toEqual(batch.ids.map(id => `caption ${id}`));
  });

  it('holds consecutive frames of each clip, at offsets that vary', async () => {
    const l = loader({ batchSize: 6 });
    const starts = new Map<string, Set<number>>();
    for (let step = 0; step < 12; step++) {
      const { ids, videos } = await l.batch(step);
      ids.forEach((id, b) => {
        const numbers = frameNumbers(videos.subarray(b * 3072, (b + 1) * 3072), 4);
        expect(numbers).toEqual([0, 1, 2, 3].map(i => numbers[0]! + i));
        starts.set(id, (starts.get(id) ?? new Set()).add(numbers[0]!));
      });
    }
    expect([...starts.get('c0')!]).toEqual([0]); // 4 frames: no choice
    expect(starts.get('c5')!.size).toBeGreaterThan(4); // 19 frames: 16 offsets
    expect(Math.max(...starts.get('c5')!)).toBeLessThanOrEqual(15);
  });

  it('takes every n-th frame, with n drawn for each sample', async () => {
    const l = loader({ batchSize: 6, strides: [1, 3], entries: entries.slice(2) }); // 10 frames at least
    const steps = new Set<number>();
    for (let step = 0; step < 8; step++) {
      const { ids, videos } = await l.batch(step);
      ids.forEach((_, b) => {
        const numbers = frameNumbers(videos.subarray(b * 3072, (b + 1) * 3072), 4);
        const each = numbers[1]! - numbers[0]!;
        expect(numbers).toEqual([0, 1, 2, 3].map(i => numbers[0]! + i * each));
        steps.add(each);
      });
    }
    expect([...steps].sort()).toEqual([1, 3]);
    expect(l.skipped).toEqual([]);
    const far = loader({ batchSize: 2, strides: [3] });
    await far.batch(0);
    await far.batch(1);
    await far.batch(2);
    expect(far.skipped.map(({ id }) => id).sort()).toEqual(['c0', 'c1']); // 4 and 7 frames: 10 are needed
  });

  it('may be written into: the next request is not spoilt', async () => {
    const l = loader();
    const first = await l.batch(0);
    const copy = first.videos.slice();
    first.videos.fill(9);
    expect((await l.batch(0)).videos).toEqual(copy);
  });
});

describe('the order', () => {
  it('shows each clip once an epoch, every epoch in another order', async () => {
    const l = loader({ batchSize: 3 });
    const epochs: string[][] = [];
    for (let epoch = 0; epoch < 4; epoch++) {
      const ids = [...(await l.batch(2 * epoch)).ids, ...(await l.batch(2 * epoch + 1)).ids];
      expect([...ids].sort()).toEqual(GOOD);
      epochs.push(ids);
    }
    expect(new Set(epochs.map(String)).size).toBeGreaterThan(1);
    expect([l.size, l.batchesPerEpoch]).toEqual([6, 2]);
  });

  it('is the same for the same seed, whatever was asked before: a resumed run continues', async () => {
    const straight = await trace(loader(), [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await trace(loader(), [5, 6, 7])).toEqual(straight.slice(5));
    expect(await trace(loader({ workers: 1, prefetch: 0 }), [7, 2, 0])).toEqual([
      straight[7],
      straight[2],
      straight[0],
    ]);
    expect(await trace(loader({ seed: 2 }), [0, 1, 2, 3])).not.toEqual(straight.slice(0, 4));
  });

  it('does not depend on what the cache holds', async () => {
    const roomy = loader();
    const straight = await trace(roomy, [0, 1, 2, 3, 4, 5]);
    // Room for three clips: clips hardly longer than a sample are kept, of others the window alone is decoded.
    const tight = loader({ cache: { maxBytes: 3 * 8 * 16 * 16 * 3 } });
    expect(await trace(tight, [0, 1, 2, 3, 4, 5])).toEqual(straight);
    expect(tight.stats().cachedBytes).toBeLessThanOrEqual(3 * 8 * 16 * 16 * 3);
    expect(tight.stats().decoded).toBeGreaterThan(roomy.stats().decoded);
    expect(await trace(loader({ cache: { maxBytes: 0 } }), [4, 5])).toEqual(straight.slice(4));
  });
});

describe('the cache', () => {
  it('starts ffmpeg once a clip', async () => {
    const l = loader();
    for (let step = 0; step < 20; step++) await l.batch(step);
    const stats = l.stats();
    expect(stats.decoded).toBe(6);
    expect(stats.cachedClips).toBe(6);
    expect(stats.hits).toBeGreaterThan(60);
  });

  it('is asked before a probe where the manifest states the length', async () => {
    const info = { width: 32, height: 32, fps: 8, frames: 4, seconds: 0.5, codec: 'h264' };
    const l = loader({ entries: [{ ...entry('c0'), info }], batchSize: 1 });
    expect((await l.batch(0)).ids).toEqual(['c0']);
  });
});

describe('clips that cannot be read', () => {
  const bad = (): ManifestEntry[] => {
    writeFileSync(at('zero.mp4'), '');
    writeFileSync(at('page.mp4'), '<html>404</html>');
    return [entries[0]!, entry('zero'), entries[3]!, entry('page'), entry('gone'), entry('three'), entries[5]!];
  };

  it('are counted with their reason and replaced by the next of the order', async () => {
    await makeClip(at('three.mp4'), 3);
    const told: string[] = [];
    const l = loader({ entries: bad(), batchSize: 7, onSkip: clip => told.push(clip.id) });
    const ids: string[] = [];
    for (let step = 0; step < 5; step++) ids.push(...(await l.batch(step)).ids);
    expect(new Set(ids)).toEqual(new Set(['c0', 'c3', 'c5']));
    expect(ids).toHaveLength(35);
    expect(Object.fromEntries(l.skipped.map(({ id, reason }) => [id, reason]))).toEqual({
      zero: 'zero-byte file',
      page: 'not a video',
      gone: 'missing file',
      three: 'too short',
    });
    expect(l.skipped.find(clip => clip.id === 'three')!.message).toMatch(/has 3 frames.*4 are needed/);
    expect(told.sort()).toEqual(['gone', 'page', 'three', 'zero']);
    expect(l.stats().skipped).toBe(4);
  });

  it('are replaced in the same way after a resume', async () => {
    await makeClip(at('three.mp4'), 3);
    const all = bad();
    const straight = await trace(loader({ entries: all }), [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await trace(loader({ entries: all }), [3, 4, 5, 6, 7])).toEqual(straight.slice(3));
    expect(await trace(loader({ entries: all, workers: 1, prefetch: 0 }), [7, 6, 1])).toEqual([
      straight[7],
      straight[6],
      straight[1],
    ]);
  });

  it('of which there are no others: an error that counts the reasons', async () => {
    writeFileSync(at('zero.mp4'), '');
    const l = loader({ entries: [entry('zero'), entry('gone')], batchSize: 1 });
    const error = await failure(() => l.batch(0));
    expect([error.code, error.exitCode]).toEqual(['loader.nothing-left', 2]);
    expect(error.message).toMatch(
      /none of the 2 clips can be read as 4 frames: 1 (zero-byte|missing) file, 1 (zero-byte|missing) file/,
    );
  });

  it('promise more frames than they have: the start is read instead', async () => {
    const info = { width: 32, height: 32, fps: 8, frames: 400, seconds: 50, codec: 'h264' };
    const l = loader({ entries: [{ ...entry('c5'), info }], batchSize: 8, cache: { maxBytes: 0 } });
    const { ids, videos } = await l.batch(0);
    expect(new Set(ids)).toEqual(new Set(['c5']));
    for (let b = 0; b < 8; b++) {
      const first = frameNumbers(videos.subarray(b * 3072, (b + 1) * 3072), 4)[0]!;
      expect(first).toBeLessThanOrEqual(15);
    }
    expect(l.skipped).toEqual([]);
  });
});

describe('close', () => {
  it('stops what is running and refuses what comes later', async () => {
    const l = loader({ batchSize: 6, prefetch: 3 });
    const call = failure(() => l.batch(0));
    await l.close();
    expect((await call).code).toMatch(/loader.closed|ffmpeg.aborted/);
    expect((await failure(() => l.batch(1))).code).toBe('loader.closed');
    await l.close();
  });
});

describe('options', () => {
  it.each([
    [{ batchSize: 0 }, /batchSize must be an integer from 1, got 0/],
    [{ frames: 2.5 }, /frames must be an integer from 1, got 2.5/],
    [{ seed: -1 }, /seed must be an integer from 0, got -1/],
    [{ fps: Number.NaN }, /fps must be a positive number, got NaN/],
    [{ entries: [] }, /there are no entries/],
  ])('%o are refused', (options, message) => {
    expect(() => loader(options)).toThrow(message);
  });

  it('so is a step that is none', async () => {
    expect((await failure(() => loader().batch(-1))).code).toBe('loader.option');
  });

  it('without fps each clip keeps its own rate', async () => {
    await makeClip(at('fast.mp4'), 8, { fps: 24 });
    const l = loader({ entries: [entry('fast')], fps: undefined, batchSize: 1, frames: 8 });
    expect(frameNumbers((await l.batch(0)).videos, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    rmSync(at('fast.mp4'));
    expect(existsSync(at('fast.mp4'))).toBe(false);
    expect(frameNumbers((await l.batch(3)).videos, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]); // from memory
  });
});
