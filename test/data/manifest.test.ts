import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fingerprint, type Manifest, openManifest } from '../../src/data/manifest.js';
import { failure, temporaryFolder } from './helpers.js';

const root = temporaryFolder();
let folders = 0;

/** A folder with files; a video need not be one, because the manifest does not open it. */
function folderWith(files: Record<string, string>): string {
  const folder = join(root, `f${folders++}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const captions = (manifest: Manifest): Record<string, string> =>
  Object.fromEntries(manifest.entries.map(({ id, caption }) => [id, caption]));

describe('a folder', () => {
  it('takes the caption beside a video, at any depth, in the order of the paths', async () => {
    const folder = folderWith({
      'b.mp4': 'v',
      'b.txt': ' a   dog\nruns \n',
      'a.MOV': 'v',
      'a.txt': 'a cat',
      'deep/er/c.webm': 'v',
      'deep/er/c.webm.txt': 'a cow',
      '.hidden/d.mp4': 'v',
      'readme.md': 'no video',
    });
    const manifest = await openManifest(folder);
    expect(manifest.entries.map(entry => entry.id)).toEqual(['a', 'b', 'deep/er/c']);
    expect(captions(manifest)).toEqual({ a: 'a cat', b: 'a dog runs', 'deep/er/c': 'a cow' });
    expect(manifest.counts).toEqual({});
    expect(manifest.entries[0]).toMatchObject({ path: join(folder, 'a.MOV'), source: join(folder, 'a.txt') });
  });

  it.each([
    ['captions.txt', 'a.mp4 a cat, asleep\nb.mp4: a dog\n\nc.mp4\ta cow\nd.mp4|a pig'],
    ['captions.txt', 'a, a cat, asleep\nb: a dog\nc\ta cow\nd | a pig'],
    ['captions.txt', '"a.mp4","a cat, asleep"\n"b.mp4","a dog"\nc.mp4,a cow\nd.mp4 a pig'],
    ['caption.txt', 'a cat, asleep\na dog\na cow\na pig'],
    ['captions.csv', 'file,caption\na.mp4,"a cat, asleep"\nb.mp4,a dog\nc.mp4,a cow\nd.mp4,a pig'],
    [
      'captions.json',
      '{"a.mp4": "a cat, asleep", "b": "a dog", "c.mp4": {"caption": "a cow"}, "d.mp4": {"text": "a pig"}}',
    ],
    [
      'captions.json',
      JSON.stringify(
        ['a cat, asleep', 'a dog', 'a cow', 'a pig'].map((text, i) => ({ video: `${'abcd'[i]}.mp4`, text })),
      ),
    ],
    [
      'metadata.jsonl',
      '{"file_name": "a.mp4", "text": "a cat, asleep"}\n{"path": "./b.mp4", "caption": "a dog"}\n\n{"video": "c.mp4", "prompt": "a cow"}\n{"path": "d.mp4", "caption": "a pig"}',
    ],
  ])('reads %s %#', async (name, text) => {
    const folder = folderWith({ 'a.mp4': 'v', 'b.mp4': 'v', 'c.mp4': 'v', 'd.mp4': 'v', [name]: text });
    const manifest = await openManifest(folder);
    expect(captions(manifest)).toEqual({ a: 'a cat, asleep', b: 'a dog', c: 'a cow', d: 'a pig' });
    expect(manifest.counts).toEqual({});
    expect(manifest.entries.every(entry => entry.source === join(folder, name) && entry.line > 0)).toBe(true);
    expect(manifest.notes.length).toBe(text === 'a cat, asleep\na dog\na cow\na pig' ? 1 : 0);
  });

  it('gives one line without a name to the one video', async () => {
    const manifest = await openManifest(folderWith({ 'bunny.mp4': 'v', 'captions.txt': 'a rabbit in a meadow\n' }));
    expect(captions(manifest)).toEqual({ bunny: 'a rabbit in a meadow' });
  });

  it('counts what it passes over, by reason', async () => {
    const folder = folderWith({
      'good.mp4': 'v',
      'good.txt': 'fine',
      'zero.mp4': '',
      'zero.txt': 'nothing in it',
      'silent.mp4': 'v',
      'blank.mp4': 'v',
      'blank.txt': ' \n',
      'metadata.jsonl': '{"path": "gone.mp4", "caption": "left"}\n{"path": \n[1]\n{"caption": "of nothing"}\n',
    });
    const manifest = await openManifest(folder);
    expect(captions(manifest)).toEqual({ good: 'fine' });
    expect(manifest.counts).toEqual({ 'zero-byte file': 1, 'no caption': 2, 'missing file': 1, 'malformed row': 3 });
    const gone = manifest.skipped.find(skip => skip.reason === 'missing file')!;
    expect(gone.source).toBe(`${join(folder, 'metadata.jsonl')}:1`);
    expect(gone.detail).toContain('gone.mp4');
    const broken = manifest.skipped.filter(skip => skip.reason === 'malformed row');
    expect(broken.map(skip => skip.source.split(':').at(-1))).toEqual(['2', '3', '4']);
  });

  it('prefers the caption beside the video to the one in a list', async () => {
    const folder = folderWith({ 'a.mp4': 'v', 'a.txt': 'beside', 'captions.txt': 'a.mp4 listed' });
    expect(captions(await openManifest(folder))).toEqual({ a: 'beside' });
  });

  it('takes what a list states about a video', async () => {
    const row = { path: 'a.mp4', caption: 'a cat', width: 16, height: 8, fps: 4, frames: 6 };
    const manifest = await openManifest(folderWith({ 'a.mp4': 'v', 'metadata.jsonl': JSON.stringify(row) }));
    expect(manifest.entries[0]!.info).toEqual({
      width: 16,
      height: 8,
      fps: 4,
      frames: 6,
      seconds: 1.5,
      codec: 'unknown',
    });
  });

  it('with a split.json is read by its parts', async () => {
    const folder = folderWith({
      'split.json': '{}',
      'train/a.mp4': 'v',
      'train/a.txt': 'seen',
      'heldout/b.mp4': 'v',
      'heldout/b.txt': 'unseen',
    });
    const train = await openManifest(folder);
    expect(captions(train)).toEqual({ a: 'seen' });
    expect(train.notes[0]).toMatch(/split.json found: reading .*train only/);
    expect(captions(await openManifest(folder, { split: 'heldout' }))).toEqual({ b: 'unseen' });
    expect(captions(await openManifest(join(folder, 'heldout')))).toEqual({ b: 'unseen' });
    expect((await failure(() => openManifest(folder, { split: '../x' }))).code).toBe('manifest.split');
    expect((await failure(() => openManifest(join(folder, 'train'), { split: 'test' }))).message).toMatch(
      /no split.json/,
    );
  });
});

describe('a CSV', () => {
  it('with the columns of WebVid', async () => {
    const csv = [
      'videoid,contentUrl,duration,page_dir,name',
      '101,https://example.com/101.mp4,PT00H00M10S,000001_000050,"A cat, asleep"',
      '102,https://example.com/102.mp4,PT00H00M12S,000001_000050,"She said ""no"""',
      '103,https://example.com/103.mp4,PT00H00M12S,000051_000100,not downloaded',
      '104,https://example.com/104.mp4,PT00H00M12S,000051_000100,',
    ].join('\n');
    const files = {
      '000001_000050/101.mp4': 'v',
      '000001_000050/102.mp4': 'v',
      '000051_000100/104.mp4': 'v',
    };
    const inside = folderWith({
      ...Object.fromEntries(Object.entries(files).map(([name, text]) => [`videos/${name}`, text])),
      'list.csv': csv,
    });
    const elsewhere = folderWith(files);
    for (const options of [{}, { root: elsewhere }]) {
      const manifest = await openManifest(join(inside, 'list.csv'), options);
      expect(captions(manifest)).toEqual({ 101: 'A cat, asleep', 102: 'She said "no"' });
      expect(manifest.counts).toEqual({ 'missing file': 1, 'no caption': 1 });
      expect(manifest.kind).toBe('csv');
    }
    expect((await openManifest(join(inside, 'list.csv'), { limit: 1 })).entries).toHaveLength(1);
  });

  it('with path and caption, relative to it or absolute', async () => {
    const folder = folderWith({ 'v/a.mp4': 'v', 'v/b.mp4': 'v' });
    writeFileSync(join(folder, 'list.csv'), `\uFEFFCaption,Path\na cat,v/a.mp4\na dog,${join(folder, 'v/b.mp4')}\n`);
    const manifest = await openManifest(join(folder, 'list.csv'));
    expect(manifest.entries.map(entry => [entry.caption, entry.path])).toEqual([
      ['a cat', join(folder, 'v/a.mp4')],
      ['a dog', join(folder, 'v/b.mp4')],
    ]);
    expect(manifest.entries.map(entry => entry.line)).toEqual([2, 3]);
  });

  it('counts rows that are broken', async () => {
    const folder = folderWith({ 'a.mp4': 'v', 'list.csv': 'path,caption\na.mp4,a cat\na.mp4,too,many\n,no path\n' });
    const manifest = await openManifest(join(folder, 'list.csv'));
    expect([manifest.entries.length, manifest.counts]).toEqual([1, { 'malformed row': 2 }]);
  });

  it('with other columns is refused', async () => {
    const folder = folderWith({ 'list.csv': 'url,title\nx,y\n', 'header.csv': 'url,title\n' });
    for (const name of ['list.csv', 'header.csv']) {
      const error = await failure(() => openManifest(join(folder, name)));
      expect(error.code).toBe('manifest.columns');
      expect(error.message).toMatch(/columns url, title; expected WebVid's \(videoid.*or a path/);
    }
  });
});

describe('a JSONL and a single video', () => {
  it('are sources too', async () => {
    const folder = folderWith({
      'a.mp4': 'v',
      'a.txt': 'beside',
      'list.jsonl': '{"video": "a.mp4", "text": "listed"}\n{"video": "a.mp4", "text": "again"}\n',
    });
    const listed = await openManifest(join(folder, 'list.jsonl'));
    expect(captions(listed)).toEqual({ a: 'listed', 'a#2': 'again' });
    expect(captions(await openManifest(join(folder, 'a.mp4')))).toEqual({ a: 'beside' });
  });
});

describe('a source with nothing to use', () => {
  it('is an error that says why, and what a source is', async () => {
    const folder = folderWith({ 'a.mp4': 'v', 'b.mp4': '', 'b.txt': 'caption' });
    const error = await failure(() => openManifest(folder));
    expect([error.code, error.exitCode]).toEqual(['manifest.empty', 2]);
    expect(error.message).toContain(folder);
    expect(error.message).toMatch(/1 no caption, 1 zero-byte file|1 zero-byte file, 1 no caption/);
    expect(error.message).toMatch(/A source is a folder of videos/);
    expect(error.data.counts).toEqual({ 'no caption': 1, 'zero-byte file': 1 });
    expect((await failure(() => openManifest(folderWith({ 'x.md': 'x' })))).message).toMatch(/holds no videos/);
  });

  it('or is none at all', async () => {
    const error = await failure(() => openManifest(join(root, 'nowhere')));
    expect([error.code, error.exitCode]).toEqual(['manifest.missing', 2]);
    expect(error.message).toMatch(/nowhere does not exist/);
    const folder = folderWith({ 'list.xml': 'x', 'captions.json': '{"a"', 'a.mp4': 'v' });
    expect((await failure(() => openManifest(join(folder, 'list.xml')))).code).toBe('manifest.kind');
    expect((await failure(() => openManifest(folder))).message).toMatch(/captions.json is not JSON/);
  });
});

describe('fingerprint', () => {
  it('changes with captions, ids and order', async () => {
    const { entries } = await openManifest(folderWith({ 'a.mp4': 'v', 'a.txt': 'one', 'b.mp4': 'v', 'b.txt': 'two' }));
    const [a, b] = entries as [(typeof entries)[0], (typeof entries)[0]];
    const prints = [[a, b], [b, a], [a], [a, { ...b, caption: 'three' }], [a, { ...b, id: 'c' }]].map(fingerprint);
    expect(new Set(prints).size).toBe(5);
    expect(fingerprint([{ ...a }, { ...b, path: '/elsewhere' }])).toBe(prints[0]);
  });
});
