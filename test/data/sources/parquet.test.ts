import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openManifest } from '../../../src/data/manifest.js';
import { readParquet } from '../../../src/data/sources/parquet.js';
import { failure, temporaryFolder } from '../helpers.js';

// Written by test/reference/parquet_tables.py (pyarrow 26).
const fixture = (name: string): string => fileURLToPath(new URL(`${name}.parquet`, import.meta.url));
const root = temporaryFolder();
let folders = 0;

/** A folder with a table and files that need not be videos, because the manifest does not open them. */
function folderWith(table: string, files: readonly string[]): { folder: string; path: string } {
  const folder = join(root, `f${folders++}`);
  mkdirSync(folder);
  for (const name of files) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), 'v');
  }
  const path = join(folder, 'list.parquet');
  copyFileSync(fixture(table), path);
  return { folder, path };
}

describe('a Parquet table', () => {
  it('with the columns of WebVid, in several row groups', async () => {
    const files = ['000001_000050/101.mp4', '000001_000050/9007199254740992.mp4', '000051_000100/104.mp4'];
    const { path } = folderWith(
      'webvid-snappy',
      files.map(file => `videos/${file}`),
    );
    const manifest = await openManifest(path);
    expect(manifest.kind).toBe('parquet');
    expect(manifest.entries.map(({ id, caption, line }) => [id, caption, line])).toEqual([
      ['101', 'A cat, asleep', 1],
      ['9007199254740992', 'She said "no"', 2],
    ]);
    expect(manifest.counts).toEqual({ 'missing file': 1, 'no caption': 1 });
    expect((await openManifest(path, { limit: 1 })).entries).toHaveLength(1);
  });

  it.each(['zstd', 'gzip', 'brotli', 'none'])('compressed with %s', async name => {
    const { path, folder } = folderWith(`paths-${name}`, ['v/0.mp4', 'v/1.mp4', 'v/2.mp4', 'v/3.mp4', 'v/4.mp4']);
    const manifest = await openManifest(path);
    expect(manifest.entries.map(({ caption }) => caption)).toEqual(['größer als eine Katze', 'b', 'c', 'd', 'e']);
    expect(manifest.entries[2]).toEqual({
      ...{ id: 'v/2', path: join(folder, 'v/2.mp4'), caption: 'c', source: path, line: 3 },
      info: { width: 64, height: 48, fps: 24, frames: 48, seconds: 2, codec: 'unknown' },
    });
    expect(manifest.counts).toEqual({ 'malformed row': 1 });
    expect((await readParquet(path, 2)).rows.map(row => row.line)).toEqual([1, 2]);
  });

  it('with a list of captions for each video, also as a mapping file in a folder', async () => {
    const { path, folder } = folderWith('captions-lz4', ['a.mp4', 'b.mp4']);
    const listed = await openManifest(path);
    expect(listed.entries.map(({ caption, captions }) => [caption, captions])).toEqual([
      ['one', ['one', 'two']],
      ['three', ['three']],
    ]);
    copyFileSync(path, join(folder, 'metadata.parquet'));
    const mapped = await openManifest(folder);
    expect(mapped.kind).toBe('folder');
    expect(mapped.entries.map(({ captions }) => captions)).toEqual([['one', 'two'], ['three']]);
  });

  it('that cannot be used is refused with what it has', async () => {
    const columns = await failure(() => readParquet(fixture('columns')));
    expect([columns.code, columns.message]).toEqual([
      'manifest.columns',
      expect.stringMatching(/columns url, title; expected WebVid's/),
    ]);
    const cut = join(root, 'cut.parquet');
    writeFileSync(cut, readFileSync(fixture('paths-zstd')).subarray(0, 300));
    const damaged = await failure(() => readParquet(cut));
    expect([damaged.code, damaged.exitCode]).toEqual(['manifest.parquet', 2]);
    expect(damaged.message).toContain(`${cut} cannot be read as Parquet`);
  });
});
