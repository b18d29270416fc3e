import { copyFile, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decode, writeShapes } from '../../src/data/index.js';
import { tf } from '../../src/engine/index.js';
import { consistency, similarity, unitRows } from '../../src/eval/clipsim.js';
import { evaluate, evaluateShard } from '../../src/eval/evaluate.js';
import { frechetDistance } from '../../src/eval/frechet.js';
import { fvdInput } from '../../src/eval/preprocess.js';
import { compareProtocols, isHarmless } from '../../src/eval/protocol.js';
import { defaultCache, type EvaluateRequest, parseShard } from '../../src/eval/request.js';
import { FeatureStatistics } from '../../src/eval/statistics.js';
import { InceptionI3d } from '../../src/models/metrics/index.js';
import { failure, makeClip, temporaryFolder } from '../data/helpers.js';
import { type TinyKind, writeTinyNetwork } from '../helpers/tiny-metrics.js';

const root = temporaryFolder();
const real = join(root, 'shapes', 'train');
const generated = join(root, 'shapes', 'heldout');
/** Folders with some of them. */
const few = { real: join(root, 'few-real'), generated: join(root, 'few-generated') };
const net = (kind: TinyKind) => join(root, 'nets', kind);
let caches = 0;
const fresh = () => join(root, `cache-${caches++}`);

/** Small sets; one cache for all that does not ask for another. */
const request = (changes: Partial<EvaluateRequest> & Pick<EvaluateRequest, 'metric'>): EvaluateRequest => {
  const kind = ({ fvd: 'i3d', 'fid-vid': 'inception-v3', is: 'c3d', clipsim: 'clip' } as const)[changes.metric];
  const two = changes.metric === 'fvd' || changes.metric === 'fid-vid';
  return {
    ...{ generated, weights: net(kind), cache: join(root, 'cache'), samples: 3, allowFew: true, workers: 2 },
    ...(two ? { real } : {}),
    ...changes,
  };
};

beforeAll(async () => {
  await writeShapes(join(root, 'shapes'), { clips: 32, frames: 16 });
  for (const [from, to, count] of [
    [real, few.real, 5],
    [generated, few.generated, 4],
  ] as const) {
    await mkdir(to);
    const names = (await readdir(from)).filter(name => name.endsWith('.mp4')).slice(0, count);
    for (const name of names) await copyFile(join(from, name), join(to, name));
  }
  for (const kind of ['i3d', 'c3d', 'inception-v3', 'clip'] as const) await writeTinyNetwork(join(root, 'nets'), kind);
});

describe('FVD', () => {
  it('is the Fréchet distance of the network’s logits of the central frames', async () => {
    const result = await evaluate(request({ metric: 'fvd', frames: 10, ...few, samples: undefined }));
    const model = await InceptionI3d.fromPretrained(net('i3d'));
    const own = async (folder: string) => {
      const sum = new FeatureStatistics(6);
      for (const name of (await readdir(folder)).filter(file => file.endsWith('.mp4'))) {
        const clip = await decode(join(folder, name), { pick: [3, 4, 5, 6, 7, 8, 9, 10, 11, 12] });
        const logits = tf.tidy(() => model.forward(fvdInput(clip, 'stylegan-v')).dataSync());
        sum.add(Float32Array.from(logits), 1);
      }
      return sum;
    };
    const expected = frechetDistance(await own(few.real), await own(few.generated));
    model.dispose();
    expect(result.value).toBeGreaterThan(0);
    expect(Math.abs(result.value - expected) / expected).toBeLessThan(1e-4); // float32 logits, compiled here
    expect(result.samples).toEqual({ real: 5, generated: 4 });
  });
  it('is the same bit for bit: again, from shards, with the files under other names', async () => {
    const shared = request({ metric: 'fvd', ...few, samples: undefined, cache: fresh() });
    const whole = { ...shared, cache: fresh() };
    const all = await evaluate(whole);
    const { numTensors } = tf.memory();
    expect(await evaluate(whole)).toEqual(all);
    expect(tf.memory().numTensors).toBe(numTensors);
    for (const index of [1, 0]) {
      const part = await evaluateShard(shared, { index, count: 2 });
      expect(part).toMatchObject({ shard: `${index + 1}/2` });
      expect(part.computed).toBeGreaterThan(0);
    }
    expect(await evaluate({ ...shared, merge: true })).toEqual(all);
    const renamed = join(root, 'renamed');
    await mkdir(renamed, { recursive: true });
    const names = (await readdir(few.generated)).filter(name => name.endsWith('.mp4'));
    for (const [i, name] of names.entries()) {
      await writeFile(join(renamed, `${names.length - i}.mp4`), await readFile(join(few.generated, name)));
    }
    const other = await evaluate({ ...shared, cache: fresh(), generated: renamed });
    expect(other.value).toBe(all.value);
    expect(other.protocol.sides.generated!.filesSha256).toBe(all.protocol.sides.generated!.filesSha256);
    const differences = compareProtocols(all.protocol, other.protocol);
    expect(differences.map(({ field }) => field)).toEqual(['sides.generated.source']);
    expect(differences.every(isHarmless)).toBe(true);
  });
  it('changes with every setting that the protocol names', async () => {
    const base = await evaluate(request({ metric: 'fvd' }));
    const changes: [Partial<EvaluateRequest>, RegExp][] = [
      [{ preprocess: 'videogpt', resolution: 'size:40x20' }, /^preprocess$|resolution/],
      [{ resolution: 'centre-crop:12' }, /resolution/],
      [{ frames: 12 }, /frames/],
      [{ clip: 'start', frames: 12 }, /frames|clip/],
      [{ samples: { real: 2, generated: 3 } }, /samples|videos|filesSha256/],
    ];
    for (const [change, fields] of changes) {
      const other = await evaluate(request({ metric: 'fvd', ...change }));
      expect(other.value, JSON.stringify(change)).not.toBe(base.value);
      const differences = compareProtocols(base.protocol, other.protocol).filter(one => !isHarmless(one));
      expect(differences.length).toBeGreaterThan(0);
      for (const { field } of differences) expect(field).toMatch(fields);
    }
    const random = (seed: number) => evaluate(request({ metric: 'fvd', clip: 'random', frames: 10, seed }));
    const [a, b] = [await random(1), await random(2)];
    expect(a.value).not.toBe(b.value);
    expect(a.protocol.sides.real).toMatchObject({ clip: 'random', clipSeed: 1 });
  });
  it('counts what it cannot measure', async () => {
    const mixed = join(root, 'mixed');
    for (const name of ['a.mp4', 'b.mp4', 'c.mp4']) await makeClip(join(mixed, name), 16, { width: 24 });
    await makeClip(join(mixed, 'short.mp4'), 9);
    await writeFile(join(mixed, 'page.mp4'), '<html></html>');
    await writeFile(join(mixed, 'empty.mp4'), '');
    const { samples, protocol, rejected } = await evaluate(
      request({ metric: 'fvd', generated: mixed, samples: undefined }),
    );
    expect(samples.generated).toBe(3);
    expect(protocol.sides.generated!.rejected).toEqual({ 'zero-byte file': 1, 'too short': 1, 'not a video': 1 });
    expect(rejected.generated!.find(({ id }) => id === 'short')?.message).toContain('has 9 frames, 16 are needed');
    const none = await failure(() =>
      evaluate(request({ metric: 'fvd', generated: mixed, resolution: 'centre-crop:99' })),
    );
    expect(none).toMatchObject({ code: 'eval.nothing-left' });
    expect(none.message).toContain('centre-crop:99 does not fit');
  });
});

describe('too few videos', () => {
  it('are refused before anything is computed, with what is there and what is wanted', async () => {
    const cache = join(root, 'untouched');
    const error = await failure(() => evaluate(request({ metric: 'fvd', allowFew: false, cache })));
    expect(error).toMatchObject({ code: 'eval.too-few', exitCode: 2 });
    expect(error.message).toMatch(
      /FVD is measured on 2,048 videos in papers; there are \d+ real and \d+ generated\..*--allow-few/,
    );
    await expect(readdir(cache)).rejects.toThrow('ENOENT');
    const is = await failure(() => evaluate(request({ metric: 'is', allowFew: false })));
    expect(is.message).toContain('10,000');
  });
  it('are told in the result where they are allowed; a covariance needs more rows than features', async () => {
    const { few, protocol, details } = await evaluate(request({ metric: 'fid-vid', frames: 2, samples: 8 }));
    expect(few).toContain('there are 8 real and 8 generated');
    expect(few).toContain('a covariance of 32 features needs more rows than that; real has 16 (8 videos of 2 frames)');
    expect(protocol.allowFew).toBe(true);
    const cache = fresh();
    const ample = { metric: 'fid-vid', allowFew: false, frames: 1, samples: undefined, cache } as const;
    expect((await failure(() => evaluate(request(ample)))).message).toContain('there are 24 real and 8 generated');
    await expect(readdir(cache)).rejects.toThrow('ENOENT');
    expect(details.rows).toEqual({ real: 16, generated: 16 });
  });
});

describe('IS and FID-vid', () => {
  it('score logits in parts', async () => {
    const one = await evaluate(request({ metric: 'is', splits: 1, samples: 4 }));
    const two = await evaluate(request({ metric: 'is', splits: 2, samples: 4 }));
    expect(one.value).toBeGreaterThan(1);
    expect(one.value).toBeLessThan(6);
    expect(two.value).not.toBe(one.value);
    expect(two.protocol.options).toEqual({ splits: 2, repeats: 1, mean: 'channels' });
    expect((await failure(() => evaluate(request({ metric: 'is' })))).message).toContain('--splits is 10');
    expect(await failure(() => evaluate(request({ metric: 'is', real })))).toMatchObject({ code: 'eval.option' });
  });
  it('name a video that cannot be measured as it is called now, whatever it was called when that was found', async () => {
    const [folder, moved] = [join(root, 'before'), join(root, 'afterwards')];
    await cp(few.generated, folder, { recursive: true });
    await makeClip(join(folder, 'short.mp4'), 4, { width: 16, height: 16 });
    const measure = (generated: string) =>
      evaluate(request({ metric: 'is', splits: 1, generated, samples: undefined }));
    const first = await measure(folder);
    await rename(folder, moved);
    const second = await measure(moved);
    expect(second.value).toBe(first.value);
    for (const [{ rejected }, where] of [
      [first, folder],
      [second, moved],
    ] as const) {
      expect(rejected.generated).toHaveLength(1);
      expect(rejected.generated![0]!.message).toBe(`${join(where, 'short.mp4')}: has 4 frames, 16 are needed`);
    }
  });
  it('take all frames, or some spread over the video', async () => {
    const all = await evaluate(request({ metric: 'fid-vid', frames: 'all', samples: 2 }));
    expect(all.details.rows).toEqual({ real: 32, generated: 32 });
    expect(all.value).toBeGreaterThan(0);
    const same = await evaluate(request({ metric: 'fid-vid', frames: 'all', samples: 2, generated: real }));
    expect(same.value).toBeLessThan(1e-6 * all.value);
    const legacy = request({ metric: 'fid-vid', frames: 'all', samples: 2, preprocess: 'legacy-pytorch' });
    expect((await evaluate(legacy)).value).not.toBe(all.value);
    const some = await evaluate(request({ metric: 'fid-vid', frames: { real: 3, generated: 'all' }, samples: 2 }));
    expect(some.details.rows).toEqual({ real: 6, generated: 32 });
  });
});

describe('CLIPSIM', () => {
  it('is the mean cosine of frames and prompts', async () => {
    const result = await evaluate(request({ metric: 'clipsim', allowFew: false }));
    const { details, protocol } = result;
    expect(result.value).toBeGreaterThanOrEqual(-1);
    expect(details.x100).toBeCloseTo(100 * result.value, 10);
    expect(details.pairs).toBe(result.samples.generated);
    expect(protocol.options.backbone).toContain('patches of 16 at 32');
    const { consistency: own } = details as { consistency: { neighbours: number; toFirst: number } };
    expect(own.neighbours).toBeGreaterThan(own.toFirst); // frames drift away from the first
    expect(own.neighbours).toBeLessThan(1);
  });
  it('has a closed form for known embeddings', () => {
    const frames = unitRows({ rows: 3, values: Float32Array.from([3, 0, 0, 2, 1, 1]) });
    const [text] = unitRows({ rows: 1, values: Float32Array.from([5, 0]) });
    expect(similarity(frames, text!)).toBeCloseTo((1 + 0 + Math.SQRT1_2) / 3, 12);
    expect(consistency(frames)).toEqual({
      neighbours: expect.closeTo((0 + Math.SQRT1_2) / 2, 12),
      toFirst: expect.closeTo((0 + Math.SQRT1_2) / 2, 12),
    });
    expect(consistency(frames.slice(0, 1))).toBeUndefined();
  });
  it('takes prompts of a file, which must fit the videos', async () => {
    const videos = join(root, 'prompted');
    await makeClip(join(videos, 'a.mp4'), 4);
    await makeClip(join(videos, 'b.mp4'), 6, { width: 48 });
    const file = async (name: string, text: string) => {
      await writeFile(join(root, name), text);
      return join(root, name);
    };
    const measure = (prompts?: string) => evaluate(request({ metric: 'clipsim', generated: videos, prompts }));
    expect((await failure(() => measure())).message).toContain('2 no caption');
    const lines = await measure(await file('p.txt', '# two\na red square\n\na blue circle\n'));
    expect(lines.protocol.options.prompts).toMatchObject({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const named = await measure(await file('p.json', '{"b.mp4": "a blue circle", "a": "a red square"}'));
    expect(named.value).toBe(lines.value);
    expect((await measure(await file('q.txt', 'a blue circle\na red square'))).value).not.toBe(lines.value);
    const three = await failure(async () => measure(await file('r.txt', '1\n2\n3')));
    expect(three.message).toContain('3 prompts for 2 videos');
    const lacking = await failure(async () => measure(await file('s.json', '{"a.mp4": "x"}')));
    expect(lacking.message).toContain('1 of 2 videos have no prompt in it, the first is b');
    expect(await failure(() => measure(join(root, 'nowhere.txt')))).toMatchObject({ code: 'eval.prompts' });
  });
  it('needs a tokenizer', async () => {
    const bare = await writeTinyNetwork(join(root, 'bare'), 'clip');
    await rm(join(bare, 'vocab.json'));
    const cache = fresh();
    expect(await failure(() => evaluate(request({ metric: 'clipsim', weights: bare, cache })))).toMatchObject({
      code: 'eval.no-tokenizer',
    });
    await expect(readdir(cache)).rejects.toThrow('ENOENT'); // said before the work
  });
});

describe('options', () => {
  it('are checked with what is allowed', async () => {
    const wrong: [Partial<EvaluateRequest>, string][] = [
      [{ metric: 'fvd', frames: 9 }, '--frames is 9; allowed: a whole number from 10 for FVD'],
      [{ metric: 'fvd', frames: 'all' }, '--frames is all'],
      [{ metric: 'fvd', clip: 'uniform' }, '--clip is uniform'],
      [{ metric: 'is', frames: 8 }, '--frames is 8; allowed: 16'],
      [{ metric: 'fvd', stride: 0 }, '--stride is 0'],
      [{ metric: 'fvd', fps: -1 }, '--fps is -1'],
      [{ metric: 'fvd', preprocess: 'clean' }, '--preprocess is clean; allowed: stylegan-v, videogpt'],
      [{ metric: 'fvd', real: undefined }, 'give --real'],
      [{ metric: 'fvd', samples: 1.5 }, '--samples is 1.5'],
      [{ metric: 'clipsim', batch: 0 }, '--batch is 0'],
      [{ metric: 'clipsim', seed: -1 }, '--seed is -1'],
    ];
    for (const [change, message] of wrong) {
      expect((await failure(() => evaluate(request(change as never)))).message).toContain(message);
    }
    for (const text of ['0/2', '3/2', '2', 'a/b']) expect(() => parseShard(text)).toThrow('K/N');
    expect(parseShard('2/8')).toEqual({ index: 1, count: 8 });
    expect(defaultCache({ SHOW1_CACHE: '/c' })).toBe('/c/show1/eval');
    expect(defaultCache({ HOME: '/h' })).toBe('/h/.cache/show1/eval');
  });
  it('refuse weights of another network', async () => {
    expect((await failure(() => evaluate(request({ metric: 'fvd', weights: net('c3d') })))).message).toContain(
      'holds c3d, where i3d is needed',
    );
    expect(await failure(() => evaluate(request({ metric: 'fvd', weights: join(root, 'no') })))).toMatchObject({
      code: 'metrics.no-weights',
    });
  });
});
