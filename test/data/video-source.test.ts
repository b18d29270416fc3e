import { copyFileSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createClipReader } from '../../src/data/clip-reader.js';
import { decode, probe } from '../../src/data/ffmpeg.js';
import { createLoader } from '../../src/data/loader.js';
import type { ManifestEntry } from '../../src/data/manifest.js';
import type { Segment, VideoSource } from '../../src/data/video-source.js';
import { failure, frameNumbers, makeClip, temporaryFolder } from './helpers.js';
import { writeTar } from './tar-file.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
// A name with every character that ffmpeg's own way of writing a part of a file could trip over.
const shard = at('00,end,7,,:file:0 %d.tar');
const size = { width: 32, height: 32 };
let members: VideoSource[];

beforeAll(async () => {
  await makeClip(at('a.mp4'), 12);
  await makeClip(at('b.mp4'), 24, { fps: 24 });
  const names = ['a.mp4', 'b.mp4', 'page.mp4', 'zero.mp4'];
  const data = [readFileSync(at('a.mp4')), readFileSync(at('b.mp4')), Buffer.from('<html>404</html>'), Buffer.alloc(0)];
  const places = writeTar(
    shard,
    names.map((name, i) => ({ name, data: data[i]! })),
  );
  members = names.map((name, i) => ({ path: shard, member: { name, ...places[i]! } }));
});

describe("a member of a tar's shard", () => {
  it.each([
    ['a.mp4', 0],
    ['b.mp4', 1],
  ])('%s decodes and probes as the file that went in', async (name, i) => {
    expect(await probe(members[i]!)).toEqual(await probe(at(name)));
    expect(await decode(members[i]!)).toEqual(await decode(at(name)));
    const part = { fps: 8, offset: 2, frames: 3, size };
    expect(await decode(members[i]!, part)).toEqual(await decode(at(name), part));
  });

  it('that is no video is named with its shard', async () => {
    const page = await failure(() => probe(members[2]!));
    expect([page.code, page.data.path]).toEqual(['video.not-a-video', shard]);
    expect(page.message).toBe(`${shard}(page.mp4): is text, not a video: it starts with "<html>404</html>"`);
    const zero = await failure(() => decode(members[3]!));
    expect(zero.message).toBe(`${shard}(zero.mp4): has zero bytes; download or copy it again`);
    expect((await failure(() => probe({ ...members[0]!, path: at('gone.tar') }))).code).toBe('video.missing');
  });

  it('behind the end of a cut shard is truncated, and so is a video cut inside it', async () => {
    const copy = at('cut.tar');
    const { start, end } = members[1]!.member!;
    copyFileSync(shard, copy);
    truncateSync(copy, end - 10);
    const error = await failure(() => decode({ ...members[1]!, path: copy }));
    expect(error.code).toBe('video.truncated');
    expect(error.message).toMatch(/cut\.tar\(b\.mp4\): is truncated: its shard ends at byte \d+, it at \d+/);
    // The clip's last half was lost before it went into the shard. Its index comes first, so only decoding shows it.
    const half = { path: shard, member: { name: 'half.mp4', start, end: end - Math.floor((end - start) / 3) } };
    const lost = await failure(() => decode(half, { frames: 24 }));
    expect([lost.code, lost.message]).toEqual(['video.truncated', expect.not.stringContaining('subfile')]);
    expect(lost.message).toContain(`${shard}(half.mp4): is truncated or damaged`);
  });
});

describe('a segment', () => {
  const seconds = (first: number, end: number, fps: number): Segment => ({
    start: first / fps,
    seconds: (end - first) / fps,
  });
  const numbers = async (video: VideoSource, options: Parameters<typeof decode>[1] = {}): Promise<number[]> => {
    const { data, frames } = await decode(video, { size, ...options });
    return frameNumbers(data, frames);
  };
  const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

  it.each([
    [0, 24],
    [0, 5],
    [7, 8],
    [7, 20],
    [13, 24],
  ])('gives exactly the frames %i to %i', async (first, end) => {
    const video = { path: at('b.mp4'), segment: seconds(first, end, 24) };
    expect(await numbers(video)).toEqual(range(first, end));
    expect(await probe(video)).toMatchObject({ frames: end - first, fps: 24, seconds: (end - first) / 24 });
    expect(await numbers({ ...members[1]!, segment: video.segment })).toEqual(range(first, end));
    expect(await numbers(video, { fps: 24, sourceFps: 24 })).toEqual(range(first, end));
  });

  it('counts starts and offsets from its own start', async () => {
    const video = { path: at('b.mp4'), segment: seconds(6, 22, 24) };
    expect(await numbers(video, { start: 2 / 24 })).toEqual(range(8, 22));
    expect(await numbers(video, { fps: 24, offset: 5, frames: 4 })).toEqual(range(11, 15));
    expect(await numbers(video, { fps: 12 })).toEqual([6, 8, 10, 12, 14, 16, 18, 20]);
  });

  it('is too short where the frames behind it would be needed', async () => {
    const video = { path: at('b.mp4'), segment: seconds(6, 12, 24) };
    for (const options of [
      { frames: 7 },
      { frames: 3, fps: 24, offset: 4 },
      { frames: 1, start: 0.25 },
      { start: 1 },
    ]) {
      const error = await failure(() => decode(video, options));
      expect([error.code, error.message]).toEqual([
        'video.too-short',
        expect.stringContaining('b.mp4 from 0.25 s to 0.50 s: is too short'),
      ]);
    }
    // No frame is shown from 0.26 s until 0.28 s.
    expect((await failure(() => decode({ ...video, segment: { start: 0.26, seconds: 0.02 } }))).code).toBe(
      'video.too-short',
    );
    const behind = { path: at('b.mp4'), segment: { start: 5, seconds: 1 } };
    expect(await probe(behind)).toMatchObject({ frames: 0, seconds: 0 });
    expect((await failure(() => decode(behind))).code).toBe('video.too-short');
  });

  it.each([0, 2 ** 20])('is what a reader with %i bytes of memory reads, at every offset', async cacheBytes => {
    const entries: ManifestEntry[] = [
      { ...members[1]!, id: 'b', caption: 'x', source: folder, line: 0, segment: seconds(4, 16, 24) },
    ];
    const reader = createClipReader({
      ...{ entries, frames: 3, fps: 24, ...size, workers: 1, cacheBytes, signal: new AbortController().signal },
    });
    const starts: number[] = [];
    for (let k = 0; k < 10; k++) {
      const clip = await reader.read(0, offsets => {
        expect(offsets).toBe(10);
        return k;
      });
      starts.push(...frameNumbers(clip.data, 3));
    }
    expect(starts).toEqual(range(0, 10).flatMap(k => range(4 + k, 7 + k)));
  });

  it('too short for a sample is skipped with its place', async () => {
    const entry = { ...members[1]!, id: 'b', caption: 'x', source: folder, line: 0, segment: seconds(4, 6, 24) };
    const loader = createLoader({ entries: [entry], frames: 3, fps: 24, ...size, batchSize: 1, seed: 0 });
    const error = await failure(() => loader.batch(0));
    await loader.close();
    expect(error.message).toMatch(/1 too short.*\(b\.mp4\) from 0\.17 s to 0\.25 s: .*too short/);
  });
});
