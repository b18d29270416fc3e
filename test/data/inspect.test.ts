import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { inspectSource } from '../../src/data/inspect.js';
import { failure, makeClip, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  await makeClip(at('a.mp4'), 8, { fps: 8 });
  await makeClip(at('b.mp4'), 24, { fps: 12, width: 192, height: 64 });
  await makeClip(at('c.mp4'), 16, { fps: 8 });
  writeFileSync(at('page.mp4'), '<html>');
  writeFileSync(at('zero.mp4'), '');
  writeFileSync(at('captions.txt'), 'a.mp4 a cat\nb.mp4 a big dog\nc.mp4 a cat\npage.mp4 a page\nzero.mp4 nothing\n');
});

describe('inspectSource', () => {
  it('counts and summarizes, with the damaged clips among the skipped', async () => {
    const seen: number[] = [];
    const { inspection, thumbnails } = await inspectSource(folder, { onProgress: done => seen.push(done) });
    expect(inspection).toMatchObject({
      kind: 'folder',
      clips: 4,
      probed: 4,
      skipped: { 'zero-byte file': 1, 'not a video': 1 },
      fps: { min: 8, median: 8, max: 12 },
      seconds: { min: 1, median: 2, max: 2 },
      frames: { min: 8, median: 16, max: 24 },
      sizes: [
        { size: '32x32', clips: 2 },
        { size: '192x64', clips: 1 },
      ],
      codecs: { h264: 3 },
      captions: { distinct: 3, words: { min: 2, max: 3 } },
    });
    expect(inspection.examples.map(({ reason }) => reason)).toEqual(['not a video', 'zero-byte file']);
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(thumbnails.map(({ caption }) => caption)).toEqual(['a cat', 'a big dog', 'a cat']);
    expect(thumbnails.map(({ video }) => [video.width, video.height])).toEqual([
      [32, 32],
      [128, 43],
      [32, 32],
    ]);
    for (const { video } of thumbnails) expect(video.frames).toBe(6);
  });

  it('opens no more clips than asked', async () => {
    const { inspection, thumbnails } = await inspectSource(folder, { probes: 2, thumbnails: 0 });
    expect([inspection.clips, inspection.probed, thumbnails]).toEqual([4, 2, []]);
  });

  it('fails where nothing is usable', async () => {
    expect((await failure(() => inspectSource(at('none')))).code).toBe('manifest.missing');
  });
});
