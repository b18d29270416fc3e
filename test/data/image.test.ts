import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeImage, probeImage } from '../../src/data/image.js';
import { createLoader } from '../../src/data/loader.js';
import { openManifest } from '../../src/data/manifest.js';
import { failure, makeClip, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

/** Left half red, right half blue. */
function twoColours(width: number, height: number): ReturnType<typeof sharp> {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) data[3 * i + (i % width < width / 2 ? 0 : 2)] = 255;
  return sharp(data, { raw: { width, height, channels: 3 } });
}
const pixel = (data: Uint8Array, i: number): number[] => [...data.subarray(3 * i, 3 * i + 3)];

beforeAll(async () => {
  mkdirSync(at('deep'));
  await twoColours(32, 16).png().toFile(at('a.png'));
  await twoColours(32, 16).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toFile(at('b.jpg'));
  await twoColours(40, 16).webp({ lossless: true }).toFile(at('deep/c.webp'));
  await twoColours(32, 16).withMetadata({ orientation: 6 }).png().toFile(at('turned.png'));
  writeFileSync(at('a.txt'), 'red and blue');
  writeFileSync(
    at('metadata.jsonl'),
    ['{"file_name": "b.jpg", "text": "blue and red"}', '{"file_name": "deep/c.webp", "text": "c"}'].join('\n'),
  );
  writeFileSync(at('captions.txt'), 'turned.png a turned one\nbroken.jpg a broken one');
  writeFileSync(at('broken.jpg'), 'no picture');
});

describe('a folder of pictures', () => {
  it('has captions as a folder of videos has', async () => {
    const { entries, kind, counts } = await openManifest(folder, { pictures: true });
    expect(kind).toBe('pictures');
    expect(entries.map(({ id, caption, kind }) => [id, caption, kind])).toEqual([
      ['a', 'red and blue', 'image'],
      ['b', 'blue and red', 'image'],
      ['broken', 'a broken one', 'image'],
      ['deep/c', 'c', 'image'],
      ['turned', 'a turned one', 'image'],
    ]);
    expect(counts).toEqual({});
  });

  it('is no source of videos, and a folder of videos is a source of pictures', async () => {
    expect((await failure(() => openManifest(at('deep')))).code).toBe('manifest.empty');
    mkdirSync(at('clips'));
    await makeClip(at('clips/v.mp4'), 4);
    writeFileSync(at('clips/v.txt'), 'a clip');
    const { entries, kind } = await openManifest(at('clips'), { pictures: true });
    expect([kind, entries[0]!.kind]).toEqual(['folder', undefined]);
  });
});

describe('a picture', () => {
  it('has the size that it is shown in', async () => {
    expect(await probeImage({ path: at('a.png') })).toMatchObject({ width: 32, height: 16, frames: 1, codec: 'png' });
    expect(await probeImage({ path: at('turned.png') })).toMatchObject({ width: 16, height: 32 });
  });

  it.each([
    ['crop', [255, 0, 0], [0, 0, 255]],
    ['stretch', [255, 0, 0], [0, 0, 255]],
    ['pad', [0, 0, 0], [0, 0, 0]],
  ] as const)('becomes one frame: %s', async (fit, first, last) => {
    for (const name of ['a.png', 'b.jpg']) {
      const { data, frames, width, height } = await decodeImage(
        { path: at(name) },
        { size: { width: 16, height: 16 }, fit },
      );
      expect([frames, width, height, data.length]).toEqual([1, 16, 16, 768]);
      pixel(data, 0).forEach((value, c) => {
        expect(Math.abs(value - first[c]!)).toBeLessThan(6);
      });
      pixel(data, 255).forEach((value, c) => {
        expect(Math.abs(value - last[c]!)).toBeLessThan(6);
      });
    }
  });

  it('that cannot be read says so', async () => {
    const error = await failure(() => probeImage({ path: at('broken.jpg') }));
    expect([error.code, error.message]).toEqual([
      'image.unreadable',
      expect.stringMatching(/broken\.jpg: is not a picture that can be read: /),
    ]);
    expect((await failure(() => probeImage({ path: at('gone.png') }))).code).toBe('video.missing');
  });
});

describe('a loader of pictures', () => {
  it('mixes them in, skips and counts a broken one, and keeps them in memory', async () => {
    const pictures = (await openManifest(folder, { pictures: true })).entries;
    await makeClip(at('video.mp4'), 4);
    const video = { id: 'v', path: at('video.mp4'), caption: 'v', source: folder, line: 0 };
    const loader = createLoader({
      ...{ entries: [video], frames: 4, fps: 8, width: 16, height: 16, batchSize: 1, seed: 1 },
      images: { entries: pictures, share: 0.5, batchSize: 5 },
    });
    const captions = new Set<string>();
    for (let step = 0; step < 20; step++) {
      const batch = await loader.batch(step);
      if (batch.kind === 'video') continue;
      expect(batch.shape).toEqual([5, 1, 16, 16, 3]);
      for (const caption of batch.captions) captions.add(caption);
    }
    expect([...captions].sort()).toEqual(['a turned one', 'blue and red', 'c', 'red and blue']);
    expect(loader.skipped.map(({ id, reason }) => [id, reason])).toEqual([['broken', 'not a picture']]);
    expect(loader.stats().decoded).toBe(4 + 1);
    await loader.close();
  });

  it('as clips of several frames are too short', async () => {
    const entries = (await openManifest(folder, { pictures: true })).entries.slice(0, 1);
    const loader = createLoader({ entries, frames: 4, width: 16, height: 16, batchSize: 1, seed: 1 });
    const error = await failure(() => loader.batch(0));
    expect(error.message).toMatch(/1 too short.*a\.png: is a picture, 4 frames are needed/);
    await loader.close();
  });
});
