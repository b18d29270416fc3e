import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../../src/data/ffmpeg.js';
import type { Frames } from '../../../src/data/frames.js';
import { createLoader } from '../../../src/data/loader.js';
import { openManifest } from '../../../src/data/manifest.js';
import { type PrepareOptions, prepareDataset } from '../../../src/data/prepare/index.js';
import type { Rejection } from '../../../src/data/prepare/report.js';
import { type BrokenSet, REASONS, writeBrokenSet } from '../broken-set.js';
import { countingFrames, failure, makeClip, temporaryFolder } from '../helpers.js';
import { writeTar } from '../tar-file.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);
const MINUTES = 60_000;

function readLines<T>(path: string): T[] {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as T);
}
const rejections = (out: string): Rejection[] => readLines(join(out, 'rejected.jsonl'));
const outputs = (out: string): string[] =>
  ['manifest.jsonl', 'rejected.jsonl', 'summary.json'].map(name => readFileSync(join(out, name), 'utf8'));
const journalKeys = (out: string): string[] =>
  readLines<{ key?: string }>(join(out, 'journal.jsonl')).flatMap(({ key }) => (key === undefined ? [] : [key]));

describe('a set with broken clips', () => {
  let set: BrokenSet;
  const out = at('prepared');
  beforeAll(async () => {
    set = await writeBrokenSet(at('set'), 160);
  });

  it('is prepared with every fault listed by its reason, value and limit, none fatal', {
    timeout: 10 * MINUTES,
  }, async () => {
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void progress.push([done, total]);
    const result = await prepareDataset(set.csv, out, { onProgress });
    expect([result.listed, result.clips, result.videos, result.scanned]).toEqual([160, 152, 152, 157]);
    const listed = rejections(out);
    const byId = new Map(listed.map(({ path, reason }) => [/(\d+)\.mp4$/.exec(path)![1], reason]));
    expect(byId).toEqual(new Map([...set.faults].map(([id, fault]) => [id, REASONS[fault]])));
    expect(result.rejected).toEqual({
      ...{ 'not a video': 2, 'missing file': 1, 'no caption': 1, 'too few frames': 1 },
      ...{ truncated: 1, 'unknown codec': 1, 'zero-byte file': 1 },
    });
    const short = listed.find(({ reason }) => reason === 'too few frames')!;
    expect([short.value, short.limit, short.source]).toEqual([3, 8, expect.stringMatching(/results\.csv:\d+$/)]);
    expect(listed.every(({ detail, source }) => detail.length > 10 && source.startsWith(set.csv))).toBe(true);
    expect(listed.find(({ reason }) => reason === 'unknown codec')!.detail).toMatch(/no decoder/);
    expect(progress.at(-1)).toEqual([157, 157]);
    expect(JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))).toMatchObject({
      ...{ kind: 'csv', clips: 152, seconds: 304, fingerprint: result.fingerprint },
      histograms: { frames: { '16-32': 152 }, seconds: { '2-3': 152 }, height: { '0-128': 152 } },
    });
  });

  it('is read as a manifest whose lengths are trusted', async () => {
    for (const source of [out, join(out, 'manifest.jsonl')]) {
      const manifest = await openManifest(source);
      expect([manifest.entries.length, manifest.counts]).toEqual([152, {}]);
      expect(manifest.kind).toBe(source === out ? 'prepared' : 'jsonl');
      expect(manifest.entries[0]).toMatchObject({
        ...{ id: '1000000', caption: 'A red square moves, take 0' },
        info: { width: 32, height: 32, fps: 8, frames: 16, seconds: 2, codec: 'h264' },
      });
    }
    const { entries } = await openManifest(out);
    const loader = createLoader({ entries, frames: 8, width: 16, height: 16, batchSize: 4, seed: 0 });
    expect((await loader.batch(0)).shape).toEqual([4, 8, 16, 16, 3]);
    await loader.close();
  });

  it('with other filters opens no video again', async () => {
    const before = outputs(out);
    const again = await prepareDataset(set.csv, out, { minSeconds: 1, maxSeconds: 1.5, minFrames: 2 }).catch(
      error => error,
    );
    expect([again.code, again.exitCode]).toEqual(['prepare.empty', 2]);
    expect(again.message).toMatch(/152 too long.*1 too short.*First: .*All are listed in .*rejected\.jsonl/s);
    expect(existsSync(join(out, 'manifest.jsonl'))).toBe(false);
    expect(rejections(out)).toHaveLength(160);
    expect((await failure(() => openManifest(out))).code).toBe('manifest.unfinished');

    const back = await prepareDataset(set.csv, out);
    expect(back.scanned).toBe(0);
    expect(outputs(out)).toEqual(before);
    expect(journalKeys(out)).toHaveLength(157);
  });

  it('looks again at what has changed, and at what a kill left half written', { timeout: 2 * MINUTES }, async () => {
    const before = outputs(out);
    const journal = join(out, 'journal.jsonl');
    truncateSync(journal, readFileSync(journal).length - 20);
    expect((await prepareDataset(set.csv, out)).scanned).toBe(1);
    appendFileSync(journal, '{"key":"half a li');
    expect((await prepareDataset(set.csv, out)).scanned).toBe(0);
    expect(outputs(out)).toEqual(before);
    const [first] = (await openManifest(out)).entries;
    utimesSync(first!.path, new Date(1e12), new Date(1e12));
    expect((await prepareDataset(set.csv, out)).scanned).toBe(1);
    expect(outputs(out)).toEqual(before);
    expect(new Set(journalKeys(out)).size).toBe(157);
  });

  it('cannot be mixed with another in one folder', async () => {
    const copy = at('set', 'copy.csv');
    copyFileSync(set.csv, copy);
    const error = await failure(() => prepareDataset(copy, out));
    expect([error.code, error.message]).toEqual([
      'prepare.other-source',
      expect.stringMatching(/prepared from .*results\.csv, not from .*copy\.csv/),
    ]);
  });

  it('is continued after a kill and after an interruption, to the same files', { timeout: 10 * MINUTES }, async () => {
    const few = await writeBrokenSet(at('few'), 48, 1 / 6);
    const [whole, killed] = [at('whole'), at('killed')];
    await prepareDataset(few.csv, whole);
    const journal = join(killed, 'journal.jsonl');
    let known = 0;
    for (const more of [5, 11]) {
      const child = spawn(process.execPath, ['bin/show1.js', 'data', 'prepare', few.csv, '--out', killed, '--quiet'], {
        cwd: ROOT,
        stdio: 'ignore',
      });
      const ended = new Promise(resolve => child.once('exit', (_, signal) => resolve(signal)));
      await expect
        .poll(() => (existsSync(journal) ? journalSize(journal) : 0), { timeout: 3 * MINUTES, interval: 5 })
        .toBeGreaterThanOrEqual(known + more);
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
      known = journalSize(journal);
      expect(existsSync(join(killed, 'manifest.jsonl'))).toBe(false);
      expect((await failure(() => openManifest(killed))).code).toBe('manifest.unfinished');
    }
    const stop = new AbortController();
    let seen = 0;
    const stopSoon: PrepareOptions = { workers: 1, signal: stop.signal, onProgress: () => ++seen > 3 && stop.abort() };
    const error = await failure(() => prepareDataset(few.csv, killed, stopSoon));
    expect([error.code, error.exitCode]).toEqual(['prepare.interrupted', 130]);
    expect(error.message).toMatch(/stopped with \d+ clips looked at and \d+ to go; run the same command to continue/);
    known = journalSize(journal);
    const rest = await prepareDataset(few.csv, killed);
    expect(rest.scanned).toBe(45 + 1 - known); // one line is the head, three clips were passed over before
    expect(outputs(killed)).toEqual(outputs(whole));
    expect(new Set(journalKeys(killed)).size).toBe(journalKeys(killed).length);
  });
});

/** Complete lines. */
function journalSize(path: string): number {
  return readFileSync(path, 'utf8').split('\n').length - 1;
}

describe('filters', () => {
  const source = at('filtered.jsonl');
  const still: Frames = { ...countingFrames(16), data: new Uint8Array(16 * 32 * 32 * 3).fill(99) };
  const prepare = (name: string, options: PrepareOptions = {}) => prepareDataset(source, at(name), options);

  beforeAll(async () => {
    await makeClip(at('small.mp4'), 16);
    await makeClip(at('wide.mp4'), 24, { width: 96, height: 32 });
    await encode(at('still.mp4'), still, { fps: 8 });
    copyFileSync(at('small.mp4'), at('copy.mp4'));
    // A scene of 12 frames that brightens, then one of 20 frames that darkens in another colour.
    const scenes = countingFrames(32, 48, 32);
    for (let i = 0; i < scenes.data.length; i++) {
      const f = Math.floor(i / (48 * 32 * 3));
      scenes.data[i] = f < 12 ? [40 + 6 * f, 30, 30][i % 3]! : [30, 60, 250 - 6 * f][i % 3]!;
    }
    await encode(at('scenes.mp4'), scenes, { fps: 8, crf: 4 });
    writeTar(at('clips.tar'), [{ name: 'in.mp4', data: readFileSync(at('small.mp4')) }]);
    const rows = [
      { path: 'small.mp4', caption: 'a small clip' },
      { path: 'wide.mp4', captions: ['wide', 'a clip that is wide'], caption: 'wide' },
      { path: 'still.mp4', caption: 'a still clip' },
      { path: 'copy.mp4', caption: 'a copy' },
      { path: 'small.mp4', caption: 'another caption' },
      { path: 'small.mp4', caption: 'a small clip' },
      { path: 'scenes.mp4', caption: 'two scenes here' },
      { path: 'small.mp4', caption: 'its second half', segment: { start: 1, seconds: 1 } },
    ];
    writeFileSync(source, rows.map(row => `${JSON.stringify(row)}\n`).join(''));
  });

  it('drop still clips and copies, and split at cuts, unless told otherwise', { timeout: 2 * MINUTES }, async () => {
    const result = await prepare('default');
    const rejected = rejections(at('default'));
    expect(rejected.map(({ path, reason }) => [path, reason])).toEqual([
      [at('still.mp4'), 'static'],
      [at('copy.mp4'), 'duplicate'],
      [at('small.mp4'), 'duplicate'],
    ]);
    expect(rejected[0]).toMatchObject({ value: 0, limit: 0.5 });
    expect(rejected[1]!.limit).toBe(`same as ${at('small.mp4')}`);
    const { entries } = await openManifest(at('default'));
    expect(entries.map(({ id, caption, captions, segment }) => [id, caption, captions, segment])).toEqual([
      ['small', 'a small clip', undefined, undefined],
      ['wide', 'wide', ['wide', 'a clip that is wide'], undefined],
      ['small#2', 'another caption', undefined, undefined],
      ['scenes@1', 'two scenes here', undefined, { start: 0, seconds: 1.46875 }],
      ['scenes@2', 'two scenes here', undefined, { start: 1.5, seconds: 2.5 }],
      ['small#4', 'its second half', undefined, { start: 1, seconds: 1 }],
    ]);
    expect(entries.map(({ info }) => info!.frames)).toEqual([16, 24, 16, 12, 20, 8]);
    expect([result.clips, result.videos]).toEqual([6, 3]);

    // What training reads of the second scene is blue, from its first frame to its last.
    const reading = { entries: entries.slice(4, 5), frames: 20, width: 4, height: 4, batchSize: 1, seed: 0 };
    const loader = createLoader(reading);
    const { videos } = await loader.batch(0);
    await loader.close();
    for (let f = 0; f < 20; f++) expect(videos[f * 48 + 2]!).toBeGreaterThan(videos[f * 48]! + 0.1);
  });

  it.each<[string, PrepareOptions, string[], Record<string, number>]>([
    [
      'all',
      { minMotion: 0, duplicates: 'keep', cuts: 'ignore' },
      ['small', 'wide', 'still', 'copy', 'small#2', 'small#3', 'scenes', 'small#4'],
      {},
    ],
    ['longest', { cuts: 'longest', minSeconds: 2.2 }, ['wide', 'scenes'], { 'too short': 4, duplicate: 2 }],
    [
      'size',
      { minWidth: 48, minHeight: 32, maxAspect: 2 },
      ['scenes@1', 'scenes@2'],
      { 'too narrow': 4, duplicate: 2, aspect: 1 },
    ],
    [
      'words',
      { minWords: 3, maxCharacters: 15 },
      ['small', 'scenes@1', 'scenes@2', 'small#4'],
      { 'caption too short': 3, static: 1, duplicate: 1 },
    ],
    ['frames', { minFrames: 17 }, ['wide', 'scenes@2'], {}],
    ['seconds', { maxSeconds: 1.4, cutThreshold: 30 }, ['small#4'], { 'too long': 5, duplicate: 2 }],
  ])('of %s', { timeout: 2 * MINUTES }, async (name, options, ids, counts) => {
    // The same journal for all: only the first of these tests opens videos.
    const copy = at(`by-${name}`);
    await prepare(`by-${name}`, options);
    expect((await openManifest(copy)).entries.map(({ id }) => id)).toEqual(ids);
    const { rejected } = JSON.parse(readFileSync(join(copy, 'summary.json'), 'utf8'));
    expect(rejected).toMatchObject(counts);
  });

  it('keep the captions that pass', async () => {
    await prepare('default', { minWords: 3 });
    const wide = (await openManifest(at('default'))).entries.find(({ id }) => id === 'wide')!;
    expect([wide.caption, wide.captions]).toEqual(['a clip that is wide', undefined]);
  });

  it('are refused where they make no sense', async () => {
    expect((await failure(() => prepare('x', { minSeconds: -1 }))).message).toMatch(
      /minSeconds must be a number from 0, got -1/,
    );
    expect((await failure(() => prepare('x', { minWords: 9, maxWords: 3 }))).message).toMatch(
      /maxWords 3 is below its least, 9/,
    );
    expect((await failure(() => prepare('x', { cutThreshold: 0.1 }))).code).toBe('prepare.option');
    expect(existsSync(at('x'))).toBe(false);
  });

  it('leave paths that can be moved, and members of shards', async () => {
    const result = await prepareDataset(at('clips.tar'), at('of-shard'), { paths: 'relative' }).catch(error => error);
    expect(result.code).toBe('prepare.empty'); // in.mp4 has no caption
    writeTar(at('clips.tar'), [
      { name: 'in.mp4', data: readFileSync(at('small.mp4')) },
      { name: 'in.txt', data: 'from a shard' },
    ]);
    await prepareDataset(at('clips.tar'), at('of-shard'), { paths: 'relative' });
    const [row] = readLines<{ path: string; member: object }>(at('of-shard', 'manifest.jsonl'));
    expect(row).toMatchObject({ path: '../clips.tar', member: { name: 'in.mp4', start: 512 }, frames: 16 });
    const [entry] = (await openManifest(at('of-shard'))).entries;
    expect(entry).toMatchObject({ id: 'in', path: at('clips.tar'), member: row!.member });
  });
});
