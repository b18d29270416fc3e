import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { probe } from '../../src/data/index.js';
import { type BenchmarkRequest, runBenchmark } from '../../src/eval/benchmark/index.js';
import { planBenchmark } from '../../src/eval/benchmark/plan.js';
import { capture } from '../cli/capture.js';
import { failure, makeClip, temporaryFolder } from '../data/helpers.js';
import { writeTinyCascade } from '../helpers/tiny-cascade.js';
import { type TinyKind, writeTinyNetwork } from '../helpers/tiny-metrics.js';

const root = temporaryFolder();
const at = (...parts: string[]) => join(root, ...parts);
const net = (kind: TinyKind) => at('nets', kind);

/** Three test videos with two captions each, one training video. */
async function writeMsrVtt(folder: string): Promise<void> {
  const videos = [0, 1, 2, 3].map(i => ({ video_id: `video${i}`, split: i === 0 ? 'train' : 'test' }));
  const sentences = videos.flatMap(({ video_id }) =>
    ['a red square moves up', 'a blue circle moves down'].map(text => ({
      video_id,
      caption: `${text} in ${video_id}`,
    })),
  );
  for (const [i, { video_id }] of videos.entries()) {
    await makeClip(join(folder, 'videos', `${video_id}.mp4`), 16 + i, { width: 24, height: 16 });
  }
  await writeFile(join(folder, 'MSRVTT_data.json'), JSON.stringify({ videos, sentences }));
}

async function writeUcf101(folder: string, classes: readonly string[]): Promise<void> {
  for (const [i, name] of classes.entries()) {
    for (const group of [1, 2]) {
      await makeClip(join(folder, name, `v_${name}_g0${group}_c01.avi.mp4`), 16 + i, { width: 24, height: 16 });
      const file = join(folder, name, `v_${name}_g0${group}_c01`);
      await rename(`${file}.avi.mp4`, `${file}.mp4`);
    }
  }
}

const request = (changes: Partial<BenchmarkRequest> = {}): BenchmarkRequest => ({
  ...{ set: 'msrvtt', data: at('msrvtt'), models: [at('models')], stages: ['base'], out: at('out'), seed: 3 },
  ...{ steps: 2, frames: 16, width: 16, height: 16 },
  metrics: ['fid-vid', 'clipsim'],
  networks: { clip: net('clip'), 'inception-v3': net('inception-v3') },
  evaluation: { cache: at('cache'), workers: 2, allowFew: true, frames: 2, clip: 'uniform' },
  ...changes,
});

beforeAll(async () => {
  await writeMsrVtt(at('msrvtt'));
  await writeUcf101(at('ucf'), ['ApplyEyeMakeup', 'YoYo']);
  await writeTinyCascade(at('models'));
  for (const kind of ['clip', 'inception-v3'] as const) await writeTinyNetwork(at('nets'), kind);
});

describe('what cannot be scored is refused before anything is generated', () => {
  const refused = async (changes: Partial<BenchmarkRequest>) => {
    const out = at('refused');
    const { message } = await failure(() => runBenchmark(request({ out, limit: 2, ...changes })));
    const made = await readdir(join(out, 'videos')).catch(() => []);
    expect(made).toEqual([]);
    return message;
  };
  it('weights that are missing, of another network, or without a tokenizer', async () => {
    const networks = request().networks;
    expect(await refused({ networks: { ...networks, clip: at('nowhere') } })).toMatch(/no weights of clip at/);
    expect(await refused({ networks: { ...networks, clip: net('inception-v3') } })).toMatch(
      /holds inception-v3, where clip/,
    );
  });
  it('videos that are too short for the clips of a metric', async () => {
    const evaluation = { ...request().evaluation, frames: 32 };
    expect(await refused({ evaluation })).toMatch(
      /FID-vid takes 32 frames, but the stages \(base\) make videos of 16; run more stages/,
    );
  });
});

describe('what is generated', () => {
  const plan = (changes: object) => planBenchmark({ set: 'msrvtt', data: at('msrvtt'), seed: 3, ...changes });
  it('MSR-VTT: one caption of each test video first, then all the others', async () => {
    const { videos, resolution, prompts } = await plan({});
    expect(resolution).toBe('square:256');
    expect(prompts).toMatchObject({ captions: 'all', videos: 3, captionsOfTestVideos: 6 });
    expect(new Set(videos.slice(0, 3).map(({ id }) => id.split('-')[0])).size).toBe(3);
    expect(videos.map(({ metrics }) => metrics.length)).toEqual([3, 3, 3, 1, 1, 1]);
    expect(new Set(videos.map(({ seed }) => seed)).size).toBe(6);
    for (const { id, prompt, seed } of videos) {
      const [video, caption] = [Number(id[5]), Number(id.slice(-2))];
      expect(seed).toBe(3 + 2 * (video - 1) + caption); // whatever the order and the limit
      expect(prompt).toBe(`a ${caption === 0 ? 'red square moves up' : 'blue circle moves down'} in video${video}`);
    }
    expect((await plan({ captions: 'one' })).videos).toEqual(videos.slice(0, 3));
    expect((await plan({ metrics: ['fvd'] })).videos.map(({ id }) => id)).toEqual(
      videos.slice(0, 3).map(({ id }) => id),
    );
    expect((await plan({ limit: 2 })).videos).toEqual(videos.slice(0, 2));
    expect((await plan({ seed: 4 })).videos.map(({ id }) => id)).not.toEqual(videos.map(({ id }) => id));
  });
  it('UCF-101: 10,000 videos, classes in turn, by sentences or names', async () => {
    const ucf = (changes: object) => plan({ set: 'ucf101', data: at('ucf'), ...changes });
    const { videos, prompts, resolution, split } = await ucf({});
    expect([videos.length, resolution, split]).toEqual([10_000, 'none', 'all']); // no lists
    expect(videos.filter(({ metrics }) => metrics.includes('fvd'))).toHaveLength(2048);
    expect(videos[0]).toEqual({
      id: '00000-ApplyEyeMakeup',
      prompt: 'a woman applies eye makeup in front of a mirror',
      seed: 3,
      metrics: ['fvd', 'is'],
    });
    expect(videos[1]!.prompt).toBe('a person plays with a yo-yo');
    expect(videos[2]!.prompt).toBe(videos[0]!.prompt);
    expect(prompts).toMatchObject({ list: 'show1-ucf101', version: 1, classes: 2 });
    expect((await ucf({ prompts: 'class-names', metrics: ['fvd'] })).videos[1]!.prompt).toBe('yo yo');
    await writeFile(at('own.json'), '{"YoYo": "a toy"}');
    expect((await failure(() => ucf({ prompts: at('own.json') }))).message).toContain('no prompt for 1 classes');
    expect((await failure(() => ucf({ metrics: ['clipsim'] }))).message).toContain('ucf101 is measured by fvd, is');
    expect((await failure(() => plan({ data: at('ucf') }))).code).toMatch(/eval\.benchmark|manifest/);
  });
  it('has a sentence for each of the 101 classes', async () => {
    const file = new URL('../../configs/eval/ucf101_prompts.json', import.meta.url);
    const { prompts } = JSON.parse(await readFile(file, 'utf8')) as { prompts: Record<string, string> };
    expect(Object.keys(prompts)).toHaveLength(101);
    expect(new Set(Object.values(prompts)).size).toBe(101);
  });
});

describe('a benchmark', () => {
  it('goes on where it stopped: no finished video is generated again', async () => {
    const controller = new AbortController();
    const stopped = request({
      ...{ limit: 4, chunk: 2, signal: controller.signal },
      onProgress: (_, done) => {
        if (done === 2) controller.abort();
      },
    });
    expect(await failure(() => runBenchmark(stopped))).toMatchObject({ code: 'eval.interrupted', exitCode: 130 });
    const before = await readdir(at('out', 'videos'));
    expect(before).toHaveLength(2);
    const times = await Promise.all(before.map(name => stat(at('out', 'videos', name))));

    const result = await runBenchmark(request({ limit: 4 }));
    expect(result).toMatchObject({ videos: 4, made: 2 });
    const after = await Promise.all(before.map(name => stat(at('out', 'videos', name))));
    expect(after.map(({ ino, mtimeMs }) => [ino, mtimeMs])).toEqual(times.map(({ ino, mtimeMs }) => [ino, mtimeMs]));
    expect(await probe(at('out', 'videos', before[0]!))).toMatchObject({ width: 16, height: 16, frames: 16 });

    const { clipsim, 'fid-vid': fid } = result.metrics!;
    expect([clipsim!.samples, fid!.samples]).toEqual([{ generated: 4 }, { real: 3, generated: 3 }]);
    expect(clipsim!.protocol.context).toMatchObject({ benchmark: 'msrvtt', limit: 4 });
    expect(fid!.protocol.sides.real).toMatchObject({ split: 'test', resolution: 'square:256', kind: 'msrvtt' });
    expect(fid!.few).toContain('there are 3 real and 3 generated');
    const written = JSON.parse(await readFile(at('out', 'result.json'), 'utf8'));
    expect(written.metrics.clipsim.value).toBe(clipsim!.value);
    expect(JSON.stringify(written.generation.model)).toMatch(/"unet":\["[0-9a-f]{64}"\]/);

    // More of it: what is there stays, with the same figure for the same videos.
    const more = await runBenchmark(request({ metrics: ['clipsim'], limit: 5 }));
    expect(more.made).toBe(1);
    expect(more.metrics!.clipsim!.samples).toEqual({ generated: 5 });
    const again = await runBenchmark(request({ metrics: ['clipsim'], limit: 4 }));
    expect(again.metrics!.clipsim!.value).toBe(clipsim!.value);
    expect(again.made).toBe(0);
  });
  it('is shared by processes, and gives the videos of one', async () => {
    const shared = (changes: object) => request({ out: at('shared'), limit: 3, metrics: ['clipsim'], ...changes });
    const part = await runBenchmark(shared({ shard: { index: 1, count: 2 }, networks: {} }));
    expect(part).toMatchObject({ made: 1 });
    expect(part.metrics).toBeUndefined();
    const rest = await runBenchmark(shared({}));
    expect(rest.made).toBe(2);
    const names = (await readdir(at('shared', 'videos'))).sort();
    for (const name of names) {
      expect((await readFile(at('shared', 'videos', name))).equals(await readFile(at('out', 'videos', name)))).toBe(
        true,
      );
    }
  });
  it('runs several stages, and keeps no intermediate videos', async () => {
    const cascade = {
      out: at('cascade'),
      stages: ['base', 'interp'] as const,
      limit: 1,
      metrics: ['clipsim'] as const,
    };
    const { made } = await runBenchmark(
      request({ ...cascade, stages: ['base', 'interp'], metrics: ['clipsim'], frames: 3 }),
    );
    expect(made).toBe(1);
    const [name] = await readdir(at('cascade', 'videos'));
    expect((await probe(at('cascade', 'videos', name!))).frames).toBe(9);
    await expect(readdir(at('cascade', 'stages', 'all'))).rejects.toThrow('ENOENT');
  });
  it('scores UCF-101 with prompts of its classes', async () => {
    const networks = { c3d: await writeTinyNetwork(at('nets'), 'c3d') };
    const ucf = { set: 'ucf101', data: at('ucf'), out: at('bench-ucf'), metrics: ['is'], limit: 2, networks } as const;
    const { metrics } = await runBenchmark(request({ ...ucf, metrics: ['is'], evaluation: { cache: at('cache') } }));
    expect(metrics!.is).toMatchObject({ samples: { generated: 2 }, protocol: { options: { splits: 1 } } });
    expect(metrics!.is!.few).toContain('10,000');
    expect((await readdir(at('bench-ucf', 'videos'))).sort()).toEqual(['00000-ApplyEyeMakeup.mp4', '00001-YoYo.mp4']);
  });
  it('refuses a folder of other videos, and networks that are missing', async () => {
    const other = await failure(() => runBenchmark(request({ steps: 3, limit: 4 })));
    expect(other).toMatchObject({ code: 'eval.benchmark' });
    expect(other.message).toContain('model.stages.base.settings.steps was 2, is 3');
    const lacking = await failure(() => runBenchmark(request({ networks: {}, out: at('none') })));
    expect(lacking.message).toContain('FID-vid needs --weights inception-v3=DIR');
    await expect(readdir(at('none'))).rejects.toThrow('ENOENT');
  });
  it('runs from the command line', async () => {
    const args = [
      ...['eval', 'benchmark', 'msrvtt', '--model', at('models'), '--data', at('msrvtt'), '--out', at('cli')],
      ...['--limit', '1', '--steps', '2', '--seed', '3', '--metrics', 'clipsim', '--weights', `clip=${net('clip')}`],
      ...['--cache', at('cache'), '--json'],
    ];
    const { code, stdout } = await capture(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).metrics.clipsim.samples).toEqual({ generated: 1 });
    const wrong = await capture([...args, '--weights', 'vgg=x']);
    expect(wrong.stderr).toContain('--weights vgg=x: allowed: i3d=DIR');
    expect((await capture(args.map(one => (one === 'msrvtt' ? 'webvid' : one)))).code).toBe(2);
  });
});
