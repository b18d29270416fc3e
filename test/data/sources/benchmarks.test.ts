import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLoader } from '../../../src/data/loader.js';
import { fingerprint, type ManifestEntry, openManifest } from '../../../src/data/manifest.js';
import { classCaption } from '../../../src/data/sources/ucf101.js';
import { failure, makeClip, temporaryFolder } from '../helpers.js';

const root = temporaryFolder();
let folders = 0;

function folderWith(files: Record<string, string>): string {
  const folder = join(root, `f${folders++}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const ids = (entries: readonly ManifestEntry[]): string[] => entries.map(({ id }) => id);

describe('UCF-101', () => {
  const clips = {
    'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi': 'v',
    'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi': 'v',
    'HandstandPushups/v_HandStandPushups_g08_c02.avi': 'v',
    'HandstandPushups/Thumbs.db': 'x',
    'YoYo/v_YoYo_g25_c05.avi': '',
  };
  const lists = {
    'trainlist01.txt': 'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nYoYo/v_YoYo_g25_c05.avi 101\n',
    'testlist01.txt':
      'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g08_c02.avi\r\nYoYo/v_YoYo_g01_c01.avi\r\n',
    'testlist03.txt': 'HandstandPushups/v_HandStandPushups_g08_c02.avi\n',
    'classInd.txt': '1 ApplyEyeMakeup\n',
  };

  it('has captions from the names of its classes', async () => {
    const manifest = await openManifest(folderWith(clips));
    expect(manifest.kind).toBe('ucf101');
    expect(manifest.entries.map(({ id, caption }) => [id, caption])).toEqual([
      ['ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01', 'apply eye makeup'],
      ['ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01', 'apply eye makeup'],
      ['HandstandPushups/v_HandStandPushups_g08_c02', 'handstand pushups'],
    ]);
    expect(manifest.counts).toEqual({ 'zero-byte file': 1 });
    expect(manifest.notes).toEqual([expect.stringMatching(/UCF-101, no split lists: every clip/)]);
    expect(['CleanAndJerk', 'TaiChi', 'YoYo', 'Biking'].map(classCaption)).toEqual([
      ...['clean and jerk', 'tai chi', 'yo yo', 'biking'],
    ]);
  });

  it.each(['ucfTrainTestlist/', ''])('reads the part that the lists in "%s" give', async sub => {
    const named = Object.fromEntries(Object.entries(lists).map(([name, text]) => [sub + name, text]));
    const folder = folderWith({ ...clips, ...named });
    const open = async (split?: string) => ids((await openManifest(folder, { split })).entries);
    expect(await open()).toEqual(['ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01']);
    const test = await openManifest(folder, { split: 'test' });
    expect(ids(test.entries)).toEqual([
      'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01',
      'HandstandPushups/v_HandStandPushups_g08_c02',
    ]);
    expect(test.counts).toEqual({ 'missing file': 1 });
    expect(test.skipped[0]!.detail).toContain('YoYo/v_YoYo_g01_c01.avi: no such file');
    expect(await open('test03')).toEqual(['HandstandPushups/v_HandStandPushups_g08_c02']);
    expect(await open('all')).toHaveLength(3);
  });

  it('is found one folder below, with its lists beside', async () => {
    const inside = Object.fromEntries(Object.entries(clips).map(([name, text]) => [`UCF-101/${name}`, text]));
    const folder = folderWith({ ...inside, 'ucfTrainTestlist/testlist01.txt': lists['testlist01.txt'] });
    expect((await openManifest(folder, { split: 'test' })).entries).toHaveLength(2);
  });

  it('says where it looked for a split that is not there', async () => {
    const folder = folderWith(clips);
    for (const split of ['test', 'val']) {
      const error = await failure(() => openManifest(folder, { split }));
      expect(error.code).toBe('manifest.split');
      expect(error.message).toMatch(/no UCF-101 split ".*"\. Allowed: all, train, test.*looked for .*ucfTrainTestlist/);
    }
  });

  it('with captions of its own is a plain folder', async () => {
    const folder = folderWith({ ...clips, 'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.txt': 'a woman at a mirror' });
    const manifest = await openManifest(folder);
    expect([manifest.kind, manifest.entries[0]!.caption]).toEqual(['folder', 'a woman at a mirror']);
  });
});

describe('MSR-VTT', () => {
  const annotations = JSON.stringify({
    info: { year: 2016 },
    videos: [
      { video_id: 'video0', category: 9, split: 'train', 'start time': 137.7, 'end time': 149.4, id: 0 },
      { video_id: 'video1', category: 9, split: 'train', id: 1 },
      { video_id: 'video2', category: 9, split: 'validate', id: 2 },
      { video_id: 'video3', category: 9, split: 'train', id: 3 },
    ],
    sentences: [
      { caption: 'a car is shown', video_id: 'video0', sen_id: 1 },
      { caption: 'in a kitchen', video_id: 'video2', sen_id: 2 },
      { caption: '  a  man drives', video_id: 'video0', sen_id: 3 },
      { caption: 'one only', video_id: 'video1', sen_id: 4 },
      { caption: 'lost', video_id: 'video3', sen_id: 5 },
    ],
  });

  it.each(['TrainValVideo/', 'videos/all/', 'all/', ''])('keeps every caption of the videos in "%s"', async sub => {
    const videos = Object.fromEntries([0, 1, 2].map(i => [`${sub}video${i}.mp4`, 'v']));
    const folder = folderWith({ 'train_val_videodatainfo.json': annotations, ...videos });
    const manifest = await openManifest(folder);
    expect(manifest.kind).toBe('msrvtt');
    expect(manifest.entries.map(({ id, caption, captions }) => [id, caption, captions])).toEqual([
      ['video0', 'a car is shown', ['a car is shown', 'a man drives']],
      ['video1', 'one only', undefined],
    ]);
    expect(manifest.counts).toEqual({ 'missing file': 1 });
    expect(manifest.notes[0]).toMatch(/split "train": 3 of 4 videos with 4 captions/);
    expect(ids((await openManifest(folder, { split: 'val' })).entries)).toEqual(['video2']);
    expect(ids((await openManifest(folder, { split: 'all' })).entries)).toEqual(['video0', 'video1', 'video2']);
    expect(fingerprint(manifest.entries)).not.toBe(
      fingerprint(manifest.entries.map(({ captions, ...entry }) => entry)),
    );
  });

  it('as data/MSRVTT_data.json or a file alone, with the videos elsewhere', async () => {
    const videos = folderWith({ 'video0.mp4': 'v' });
    const folder = folderWith({ 'data/MSRVTT_data.json': annotations, 'videos/all/video1.mp4': 'v' });
    expect(ids((await openManifest(folder)).entries)).toEqual(['video1']);
    const file = join(folder, 'data/MSRVTT_data.json');
    expect(ids((await openManifest(file, { root: videos })).entries)).toEqual(['video0']);
  });

  it('says where it looked for the videos and which splits there are', async () => {
    const none = await failure(() => openManifest(folderWith({ 'MSRVTT_data.json': annotations })));
    expect([none.code, none.message]).toEqual([
      'manifest.layout',
      expect.stringMatching(/no video0\.mp4 .*looked in .*TrainValVideo.*videos\/all.*with root/),
    ]);
    const folder = folderWith({ 'MSRVTT_data.json': annotations, 'video0.mp4': 'v' });
    const split = await failure(() => openManifest(folder, { split: 'dev' }));
    expect(split.message).toMatch(/has no split "dev"; it has train, validate; or "all"/);
    expect((await openManifest(folderWith({ 'msrvtt.json': '{}', 'a.mp4': 'v', 'a.txt': 'x' }))).kind).toBe('folder');
  });
});

describe('several captions of a video', () => {
  it('are drawn by the seed, without any change to frames and order', async () => {
    const paths = await Promise.all([0, 1].map(i => makeClip(join(root, `clip${i}.mp4`), 24)));
    const captions = ['one', 'two', 'three'];
    const entry = (i: number): ManifestEntry => ({
      id: `${i}`,
      path: paths[i]!,
      caption: 'one',
      source: root,
      line: 0,
    });
    const plain = [entry(0), entry(1)];
    const several = plain.map(one => ({ ...one, captions }));
    const read = async (entries: ManifestEntry[], seed: number, steps: readonly number[]) => {
      const loader = createLoader({ entries, frames: 4, fps: 8, width: 16, height: 16, batchSize: 4, seed });
      const batches = [];
      for (const step of steps) batches.push(await loader.batch(step));
      await loader.close();
      return batches;
    };
    const steps = [0, 1, 2, 3, 4, 5, 6, 7];
    const drawn = await read(several, 1, steps);
    const fixed = await read(plain, 1, steps);
    expect(drawn.map(({ videos, ids }) => [videos, ids])).toEqual(fixed.map(({ videos, ids }) => [videos, ids]));
    const words = drawn.flatMap(batch => batch.captions);
    expect(words).toHaveLength(32);
    for (const one of captions) expect(words.filter(word => word === one).length).toBeGreaterThan(3);
    // After a resume the same; with another seed others.
    expect((await read(several, 1, [6])).map(batch => batch.captions)).toEqual([drawn[6]!.captions]);
    expect((await read(several, 2, steps)).flatMap(batch => batch.captions)).not.toEqual(words);
  });
});
