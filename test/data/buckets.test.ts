import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { assignBuckets, type Bucket, type BucketAssignment, chooseBucket } from '../../src/data/buckets.js';
import type { VideoInfo } from '../../src/data/ffmpeg.js';
import { type Batch, createLoader, type Loader, type LoaderOptions } from '../../src/data/loader.js';
import type { ManifestEntry } from '../../src/data/manifest.js';
import { failure, makeClip, temporaryFolder } from './helpers.js';

const info = (width: number, height: number, frames: number, fps = 8): VideoInfo => ({
  ...{ width, height, fps, frames },
  seconds: frames / fps,
  codec: 'h264',
});

const BUCKETS: Bucket[] = [
  { width: 64, height: 40, frames: 8 },
  { width: 64, height: 40, frames: 16 },
  { width: 40, height: 64, frames: 8 },
  { width: 128, height: 80, frames: 8 },
];

describe('the bucket of a clip', () => {
  const choose = (clip: VideoInfo, rules: Partial<Parameters<typeof chooseBucket>[2]> = {}, buckets = BUCKETS) =>
    chooseBucket(clip, buckets, { fps: 8, maxCrop: 0.5, ...rules });

  it.each([
    ['is of the nearest aspect, with the most frames', info(640, 400, 40), 1],
    ['has fewer frames where the clip is short', info(100, 62, 15), 0],
    ['is upright for an upright clip', info(360, 640, 40), 2],
    ['is the largest that does not enlarge the clip', info(640, 400, 10), 3],
    ['is the smallest where each enlarges it', info(32, 20, 10), 0],
    ['has another aspect where the nearest is too long', info(320, 250, 9), 3],
  ])('%s', (_, clip, bucket) => {
    expect(choose(clip)).toEqual({ bucket });
  });

  it('counts frames at the rate and the largest stride of the samples', () => {
    expect(choose(info(64, 40, 60, 30))).toEqual({ bucket: 1 }); // 2 s: 16 frames
    expect(choose(info(64, 40, 59, 30), { fps: 4 })).toEqual({ bucket: 0 }); // 8 frames
    expect(choose(info(64, 40, 30), { strides: [1, 2] })).toEqual({ bucket: 0 }); // 15 of 31 at stride 2
    expect(choose(info(64, 40, 31), { strides: [1, 2] })).toEqual({ bucket: 1 });
    expect(choose(info(64, 40, 31, 24), { fps: undefined })).toEqual({ bucket: 1 }); // its own rate
  });

  it('takes sizes of one aspect for one, though their sides were rounded', () => {
    const near = [
      { width: 854, height: 480, frames: 16 },
      { width: 1280, height: 720, frames: 8 },
    ];
    expect(choose(info(1920, 1080, 20), {}, near)).toEqual({ bucket: 0 });
  });

  it('is none where too much would be cut', () => {
    const choice = choose(info(1000, 200, 40));
    expect(choice).toMatchObject({
      reason: 'other aspect',
      message: 'is 1000x200; the nearest bucket, 64x40, would lose 68 % of it, more than 50 %',
    });
    expect(choose(info(1000, 200, 40), { maxCrop: 0.7 })).toEqual({ bucket: 1 });
    expect(choose(info(640, 400, 40), { maxCrop: 0 })).toEqual({ bucket: 1 });
  });

  it('is none where the clip is too short for all', () => {
    expect(choose(info(64, 40, 7))).toMatchObject({
      reason: 'too short',
      message: 'has 7 frames at 8 fps (0.88 s); the shortest bucket of its aspect needs 8',
    });
  });
});

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const entry = (id: string): ManifestEntry => ({
  ...{ id, path: at(`${id}.mp4`), caption: `caption ${id}`, source: folder, line: 0 },
});
/** Wide clips of 4 and of 9 frames, upright ones of 4; sizes as small as the tests allow. */
const CLIPS: [string, number, number, number][] = [
  ...[0, 1, 2, 3, 4].map((i): [string, number, number, number] => [`short${i}`, 32, 16, 4 + (i % 3)]),
  ...[0, 1, 2].map((i): [string, number, number, number] => [`long${i}`, 32, 16, 9 + i]),
  ...[0, 1].map((i): [string, number, number, number] => [`upright${i}`, 16, 32, 5]),
];
const SHAPES: Bucket[] = [
  { width: 32, height: 16, frames: 4 },
  { width: 32, height: 16, frames: 8, batchSize: 2 },
  { width: 16, height: 32, frames: 4 },
];
let entries: ManifestEntry[];
let assigned: BucketAssignment;
const open: Loader[] = [];
beforeAll(async () => {
  for (const [id, width, height, frames] of CLIPS) await makeClip(at(`${id}.mp4`), frames, { width, height });
  await makeClip(at('strip.mp4'), 12, { width: 64, height: 16 });
  await makeClip(at('three.mp4'), 3, { width: 32, height: 16 });
  writeFileSync(at('page.mp4'), '<html>404</html>');
  entries = [...CLIPS.map(([id]) => id), 'strip', 'three', 'page'].map(entry);
  assigned = await assignBuckets(entries, SHAPES, { fps: 8, maxCrop: 0.4, workers: 2 });
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(one => one.close()));
});

function loader(options: Partial<LoaderOptions> = {}): Loader {
  const { entries, buckets } = assigned;
  const shape = { frames: 4, width: 32, height: 16 };
  const made = createLoader({ entries, buckets, ...shape, fps: 8, batchSize: 3, seed: 1, ...options });
  open.push(made);
  return made;
}

const line = ({ ids, offsets, strides, captions, shape, kind }: Batch): string =>
  JSON.stringify({ ids, offsets, strides, captions, shape, kind });
async function trace(from: Loader, steps: readonly number[]): Promise<string[]> {
  const lines: string[] = [];
  for (const step of steps) lines.push(line(await from.batch(step)));
  return lines;
}
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('an assignment', () => {
  it('sorts by what a probe says, and tells of each clip that fits none', () => {
    const names = assigned.buckets.map(({ members }) => Array.from(members, i => assigned.entries[i]!.id.slice(0, -1)));
    expect(names).toEqual([Array(5).fill('short'), Array(3).fill('long'), Array(2).fill('upright')]);
    expect(assigned.entries.every(({ info }) => info !== undefined)).toBe(true);
    expect(assigned.unplaced.map(({ id, reason }) => [id, reason])).toEqual([
      ['strip', 'other aspect'],
      ['three', 'too short'],
      ['page', 'not a video'],
    ]);
    expect(assigned.unplaced[0]!.message).toMatch(/strip\.mp4: is 64x16; the nearest bucket, 32x16, would lose 50 %/);
  });

  it('opens only what the source does not describe, and tells how far it is', async () => {
    const told: [number, number][] = [];
    const known = { ...entry('nowhere'), info: info(32, 16, 4) };
    const again = await assignBuckets([known, ...assigned.entries, entry('upright0')], SHAPES, {
      ...{ fps: 8, maxCrop: 0.4, workers: 2 },
      onProgress: (done, total) => told.push([done, total]),
    });
    expect(told).toEqual([[1, 1]]);
    expect(again.unplaced).toEqual([]);
  });
});

describe('batches of buckets', () => {
  it('hold one shape each, and show each clip once an epoch', async () => {
    const l = loader();
    const seen = new Map<string, number>();
    // 3 epochs: 15 short clips in 5 batches, 9 long ones of which 8 in 4, 6 upright ones in 2.
    for (const step of range(11)) {
      const { ids, shape } = await l.batch(step);
      const kind = ids[0]!.slice(0, -1);
      expect(ids.every(id => id.startsWith(kind))).toBe(true);
      expect(shape).toEqual({ short: [3, 4, 16, 32, 3], long: [2, 8, 16, 32, 3], upright: [3, 4, 32, 16, 3] }[kind]!);
      for (const id of ids) seen.set(id, (seen.get(id) ?? 0) + 1);
    }
    expect(CLIPS.map(([id]) => seen.get(id)).sort()).toEqual([2, ...Array(9).fill(3)]);
    expect(l.batchesPerEpoch).toBe(2 + 2 + 1);
    expect(l.skipped).toEqual([]);
  });

  it('come in an order of the seed, the same whatever was asked before', async () => {
    const straight = await trace(loader(), range(16));
    expect(await trace(loader(), range(16).slice(9))).toEqual(straight.slice(9));
    const lazy = loader({ prefetch: 0, workers: 1, cache: { maxBytes: 0 } });
    expect(await trace(lazy, [15, 2, 7])).toEqual([straight[15], straight[2], straight[7]]);
    expect(await trace(loader({ seed: 2 }), range(16))).not.toEqual(straight);
  });

  it('of which no clip can be read are taken over by the next bucket, and counted', async () => {
    const lost = [entry('gone0'), entry('gone1')].map(one => ({ ...one, info: info(16, 32, 4) }));
    const all = await assignBuckets([...assigned.entries.slice(0, 5), ...lost], SHAPES, { fps: 8, maxCrop: 0.4 });
    const l = loader(all);
    const batches = await trace(l, range(8));
    expect(batches.every(text => /short/.test(text) && !/gone/.test(text))).toBe(true);
    expect(l.skipped.map(({ reason }) => reason)).toEqual(['missing file', 'missing file']);
    expect(await trace(loader(all), [7, 6])).toEqual([batches[7], batches[6]]);
    const none = await assignBuckets(lost, SHAPES, { fps: 8, maxCrop: 0.4 });
    const error = await failure(() => loader(none).batch(0));
    expect([error.code, error.message]).toEqual(['loader.nothing-left', expect.stringMatching(/2 missing file/)]);
  });

  it('are read ahead within the bytes allowed', async () => {
    const bytes = 3 * 4 * 32 * 16 * 3;
    const l = loader({ prefetch: 8, prefetchBytes: 3 * bytes });
    for (const step of range(8)) {
      await l.batch(step);
      expect(l.stats().aheadBytes).toBeLessThanOrEqual(3 * bytes);
    }
    expect(l.stats().mostAheadBytes).toBeGreaterThan(bytes);
    const none = loader({ prefetch: 8, prefetchBytes: 0 });
    await none.batch(0);
    expect(none.stats().mostAheadBytes).toBe(0);
  });
});

describe('pictures among videos', () => {
  const images = () => ({ entries: assigned.entries.slice(5, 8), share: 0.5, batchSize: 4 });

  it('are single frames, of a video source from anywhere in the clip', async () => {
    const l = loader({ images: images() });
    const kinds = new Set<string>();
    const offsets = new Set<number>();
    for (const step of range(12)) {
      const batch = await l.batch(step);
      kinds.add(batch.kind);
      if (batch.kind === 'video') continue;
      expect(batch.shape).toEqual([4, 1, 16, 32, 3]);
      expect(batch.ids.every(id => id.startsWith('long'))).toBe(true);
      for (const offset of batch.offsets) offsets.add(offset);
    }
    expect([...kinds].sort()).toEqual(['image', 'video']);
    expect(offsets.size).toBeGreaterThan(3);
  });

  it('change nothing about the order of the videos, and resume with it', async () => {
    const straight = await trace(loader({ images: images() }), range(14));
    const videos = straight.filter(text => !text.includes('"image"'));
    expect(videos).toEqual(await trace(loader(), range(videos.length)));
    expect(await trace(loader({ images: images() }), range(14).slice(5))).toEqual(straight.slice(5));
  });
});

describe('options', () => {
  it.each([
    [{ buckets: [{ ...SHAPES[0]!, members: [99] }] }, /buckets\.0 names entry 99, but there are 10/],
    [{ buckets: [{ ...SHAPES[0]!, members: [1, 1] }] }, /buckets\.0 names entry 1, which is in a bucket already/],
    [{ buckets: [{ ...SHAPES[0]!, members: [] }] }, /no clip is in any of buckets/],
    [{ buckets: [{ ...SHAPES[0]!, frames: 0, members: [1] }] }, /buckets\.0\.frames must be an integer from 1, got 0/],
    [{ prefetchBytes: -1 }, /prefetchBytes must be an integer from 0, got -1/],
    [{ images: { entries: [], share: 0.5, batchSize: 1 } }, /there are no pictures to read/],
    [{ images: { entries: [entry('a')], share: 1, batchSize: 1 } }, /images\.share must be above 0 and below 1, got 1/],
    [{ images: { entries: [entry('a')], share: 0.5, batchSize: 0 } }, /images\.batchSize must be an integer from 1/],
    [
      { images: { entries: [entry('a')], share: 0.5, batchSize: 1, buckets: [{ ...SHAPES[0]!, members: [0] }] } },
      /a bucket of pictures has one frame, got 4/,
    ],
  ])('%o are refused', (options, message) => {
    expect(() => loader(options)).toThrow(message);
  });
});
