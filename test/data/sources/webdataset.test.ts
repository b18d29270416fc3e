import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../../src/data/ffmpeg.js';
import { createLoader } from '../../../src/data/loader.js';
import { openManifest } from '../../../src/data/manifest.js';
import { readTarIndex } from '../../../src/data/sources/tar.js';
import { failure, makeClip, temporaryFolder } from '../helpers.js';
import { paxName, type TarFile, writeTar } from '../tar-file.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let clip: Buffer;
const json = (value: object): string => JSON.stringify(value);
const sample = (key: string, caption: string): TarFile[] => [
  { name: `${key}.json`, data: json({ caption: `json of ${key}`, key, status: 'success' }) },
  { name: `${key}.mp4`, data: clip },
  { name: `${key}.txt`, data: `${caption}\n` },
];

beforeAll(async () => {
  clip = readFileSync(await makeClip(at('clip.mp4'), 12));
});

describe("video2dataset's shards", () => {
  it('are read in place, in the order of their names', async () => {
    const shards = at('shards');
    mkdirSync(shards);
    writeTar(join(shards, '00001.tar'), sample('000010000', 'a   third\nclip'));
    writeTar(join(shards, '00000.tar'), [...sample('000000000', 'first'), ...sample('000000001', 'second')]);
    writeFileSync(join(shards, '00000.parquet'), 'not read');
    writeFileSync(join(shards, '00000_stats.json'), '{}');
    const manifest = await openManifest(shards);
    expect([manifest.kind, manifest.counts]).toEqual(['webdataset', {}]);
    expect(manifest.entries.map(({ id, caption }) => [id, caption])).toEqual([
      ['000000000', 'first'],
      ['000000001', 'second'],
      ['000010000', 'a third clip'],
    ]);
    const { path, member } = manifest.entries[1]!;
    expect([path, member!.name]).toEqual([join(shards, '00000.tar'), '000000001.mp4']);
    expect(readFileSync(path).subarray(member!.start, member!.end).equals(clip)).toBe(true);
    expect(await decode(manifest.entries[2]!)).toEqual(await decode(at('clip.mp4')));
    expect((await openManifest(join(shards, '00001.tar'))).entries).toHaveLength(1);

    const size = { frames: 4, width: 16, height: 16 };
    const loader = createLoader({ entries: manifest.entries, ...size, batchSize: 3, seed: 0 });
    expect(new Set((await loader.batch(0)).captions)).toEqual(new Set(['first', 'second', 'a third clip']));
    await loader.close();
  });

  it('take the caption from the JSON where there is no text, all of them where it has several', async () => {
    const long = `folder/${'k'.repeat(180)}`;
    const path = at('captions.tar');
    writeTar(path, [
      { name: 'folder/', data: '', type: '5' },
      { name: 'folder/a.mp4', data: clip },
      { name: 'folder/a.json', data: json({ text: ' by text ' }) },
      { name: 'b.x.webm', data: clip },
      { name: 'b.json', data: json({ captions: ['one', 'two'], width: 32, height: 32, fps: 8, frames: 12 }) },
      { name: '._b.mp4', data: 'macOS' },
      paxName(`${long}.mp4`),
      { name: 'cut off', data: clip },
      { name: '././@LongLink', data: `${long}.txt\0`, type: 'L' },
      { name: 'cut off', data: 'a long name' },
      { name: 'empty.txt', data: 'no video' },
      { name: 'broken.json', data: '{"caption' },
      { name: 'broken.mp4', data: clip },
      { name: 'none.mp4', data: clip },
    ]);
    const manifest = await openManifest(path);
    expect(manifest.entries.map(({ id, caption, captions }) => [id, caption, captions])).toEqual([
      ['folder/a', 'by text', undefined],
      ['b', 'one', ['one', 'two']],
      [long, 'a long name', undefined],
    ]);
    expect(manifest.entries[1]!.info).toMatchObject({ frames: 12, fps: 8 });
    expect(manifest.counts).toEqual({ 'missing file': 1, 'no caption': 2 });
    const details = manifest.skipped.map(({ detail }) => detail).join('\n');
    expect(details).toMatch(/captions\.tar\(empty\): no video of this key/);
    expect(details).toMatch(/captions\.tar\(broken\): its caption cannot be read: broken\.json is not JSON/);
    expect(details).toMatch(/captions\.tar\(none\.mp4\): no caption/);
  });

  it('cut in the middle lose their last member alone, wherever the cut is', async () => {
    const path = at('whole.tar');
    const places = writeTar(path, [...sample('a', 'first'), ...sample('b', 'second'), ...sample('c', 'third')]);
    const copy = at('cut.tar');
    const open = async (size: number) => {
      copyFileSync(path, copy);
      truncateSync(copy, size);
      const { entries, counts, skipped } = await openManifest(copy);
      return { ids: entries.map(({ id }) => id).join(''), counts, detail: skipped[0]?.detail };
    };
    const [json, video, text] = places.slice(6).map(({ start, end }) => ({ start, end }));
    expect(await open(video!.start + 100)).toEqual({
      ids: 'ab',
      counts: { truncated: 1 },
      detail: expect.stringMatching(/cut\.tar\(c\.mp4\): is truncated: its shard ends at byte \d+/),
    });
    // In the header of the video, or exactly before it: the key is known from its JSON.
    expect(await open(video!.start - 100)).toMatchObject({ ids: 'ab', counts: { truncated: 1 } });
    // In the JSON.
    expect(await open(json!.start + 5)).toMatchObject({ ids: 'ab', counts: { truncated: 1 } });
    // In the header of the JSON, where nothing of the sample is known yet.
    const nameless = await open(json!.start - 100);
    expect(nameless).toMatchObject({ ids: 'ab', counts: { truncated: 1 } });
    expect(nameless.detail).toMatch(/cut\.tar: the shard is cut or damaged: byte \d+ is a cut header/);
    // In the text: the caption of the JSON is left.
    expect(await open(text!.start + 1)).toMatchObject({ ids: 'abc' });
    // Without the zeros at the end, as some writers leave it, nothing is lost.
    expect(await open(text!.end)).toEqual({ ids: 'abc', counts: {}, detail: undefined });
  });

  it('damaged or no tar: the other shards are read', async () => {
    const shards = at('damaged');
    mkdirSync(shards);
    writeTar(join(shards, '0.tar'), sample('a', 'first'));
    writeFileSync(join(shards, '1.tar'), '<html>404</html>'.repeat(100));
    const bytes = readFileSync(join(shards, '0.tar'));
    const broken = Buffer.concat([bytes.subarray(0, -1024), Buffer.alloc(2048, 7)]);
    writeFileSync(join(shards, '2.tar'), broken);
    const manifest = await openManifest(shards);
    expect(manifest.entries.map(({ id }) => id)).toEqual(['a', 'a#2']);
    expect(manifest.counts).toEqual({ unreadable: 1, truncated: 1 });
    const error = await failure(() => openManifest(join(shards, '1.tar')));
    expect([error.code, error.message]).toEqual(['manifest.tar', expect.stringContaining('1.tar is no tar')]);
  });

  it.each(['gnu', 'pax', 'ustar'])('written by tar itself (%s)', async format => {
    const source = at(`by-${format}`);
    const deep = 'd'.repeat(90);
    mkdirSync(join(source, deep), { recursive: true });
    const name = `${deep}/${'n'.repeat(format === 'ustar' ? 60 : 140)}`;
    writeFileSync(join(source, `${name}.mp4`), clip);
    writeFileSync(join(source, `${name}.txt`), 'größer');
    const path = at(`${format}.tar`);
    const { status, error } = spawnSync('tar', [`--format=${format}`, '-C', source, '-cf', path, deep]);
    if (error) return; // no tar on this machine
    expect(status).toBe(0);
    const { entries } = await openManifest(path);
    expect(entries.map(({ id, caption }) => [id, caption])).toEqual([[name, 'größer']]);
    const { start, end } = entries[0]!.member!;
    expect(readFileSync(path).subarray(start, end).equals(clip)).toBe(true);
    expect((await readTarIndex(path)).damage).toBeUndefined();
  });
});
