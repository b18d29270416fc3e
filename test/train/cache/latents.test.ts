/** A cache of latents in place of decoding and encoding: the same losses, and no cache that does not belong to the run. */
import { cp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Config, parseConfig } from '../../../src/config/index.js';
import { encode } from '../../../src/data/ffmpeg.js';
import { createLoader } from '../../../src/data/index.js';
import { randomNormal, rngKey, tf } from '../../../src/engine/index.js';
import { AutoencoderKL, VideoCodec } from '../../../src/models/vae/index.js';
import { buildCache, type CacheRequest } from '../../../src/train/cache/build.js';
import { openLatents } from '../../../src/train/cached-latents.js';
import { findVae } from '../../../src/train/codec.js';
import { openData } from '../../../src/train/data.js';
import { readStats } from '../../../src/train/logging/index.js';
import { train } from '../../../src/train/loop.js';
import { cut, makeClip } from '../../data/helpers.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../../helpers/tiny-run.js';

let root: string;
const quiet = { print: () => {} };
const at = (...parts: string[]) => path.join(root, ...parts);
type Changes = Record<string, Record<string, unknown>>;
const DATA = { frames: 4, fps: 8, width: 16, height: 16 };

const config = (output: string, changes: Changes = {}): Config => ({
  ...tinyConfig(
    root,
    output,
    { data: { source: at('clips'), heldOut: { fraction: 0.3 }, ...DATA }, ...changes },
    STAGE_CHANGES.sr2,
  ),
  compile: false,
});
const withCache = (base: Config, dir: string, kinds = ['text', 'latents']): Config => ({
  ...base,
  data: { ...base.data, cached: Object.fromEntries(kinds.map(kind => [kind, at(dir)])) },
});
const build = (of: Config, dir: string, changes: Partial<CacheRequest> = {}) =>
  buildCache(of, {
    ...{ dir: at(dir), text: false, latents: true, dtype: 'fp32', force: false },
    ...{ print: () => {}, onProgress: () => {} },
    ...changes,
  });
const open = async (of: Config, dir = 'cache') => {
  const cached = withCache(of, dir, ['latents']);
  const data = await openData(cached, () => {});
  return (await openLatents(cached, await findVae(cached, data, () => {}), data, () => {}))!;
};
const CHANGED = { train: { steps: 3, batchSize: 2, learningRate: 1e-3, captionDropout: 0.3, accumulate: 2 } };

/** Clips of several lengths; one is cut, one is text, one is too short. */
async function makeClips(dir: string): Promise<void> {
  for (const [i, frames] of [12, 30, 8, 9, 40, 5, 14, 21].entries()) {
    await makeClip(path.join(dir, `clip${i}.mp4`), frames, { fps: 8, width: 16 + 2 * i, height: 16 });
    await writeFile(path.join(dir, `clip${i}.txt`), `a grey clip, number ${i}`);
  }
  await cut(path.join(dir, 'clip1.mp4'), path.join(dir, 'cut.mp4'), 0.6);
  await writeFile(path.join(dir, 'text.mp4'), 'this is no video');
  await makeClip(path.join(dir, 'short.mp4'), 2, { fps: 8, width: 16, height: 16 });
  for (const name of ['cut', 'text', 'short']) await writeFile(path.join(dir, `${name}.txt`), name);
}

beforeAll(async () => {
  root = await tinyData();
  await encode(
    at('clips', 'first.mp4'),
    { data: new Uint8Array(8 * 16 * 16 * 3), frames: 8, width: 16, height: 16 },
    { fps: 8 },
  );
  await writeFile(at('clips', 'first.txt'), 'a black clip');
  await makeClips(at('clips'));
  await build(config('plain', CHANGED), 'cache', { text: true });
});
afterAll(() => rm(root, { recursive: true, force: true }));

const losses = async (run: string) =>
  (await readStats(at(run, 'stats.jsonl'))).map(line => [line.step, line.loss, line['heldOut/loss']]);

describe('training from a cache of latents', () => {
  it.each([
    ['whole frames', {}],
    ['squares of them, drawn at two speeds', { conditioning: { scale: 2, crop: 8 }, data: { strides: [1, 2] } }],
    ['windows of clips that are not kept in memory', { data: { cacheBytes: 0, frames: 3 } }],
  ] as [string, Changes][])(
    'has the same losses, weights and skipped clips: %s',
    async (name, { data, ...changes }) => {
      const validate = {
        heldOutEverySteps: 3,
        heldOutTimesteps: [300],
        everySteps: 3,
        clips: 1,
        sampler: { steps: 2, guidanceScale: 1 },
      };
      const all = {
        ...CHANGED,
        validate,
        checkpoint: { everySteps: 0 },
        data: { ...config('x').data, ...data },
        ...changes,
      };
      const plain = config(`plain ${name}`, all);
      await cp(at('plain', 'vae'), at(`plain ${name}`, 'vae'), { recursive: true });
      await cp(at('plain', 'vae'), at(`cached ${name}`, 'vae'), { recursive: true });
      const skips: [string[], string[]] = [[], []];
      const noting = (lines: string[]) => ({
        print: (line: string) => void (line.startsWith('skipped') && lines.push(line)),
      });
      const expected = await train(plain, noting(skips[0]));
      const tensors = tf.memory().numTensors;
      const summary = await train(withCache(config(`cached ${name}`, all), 'cache'), quiet);
      expect(tf.memory().numTensors).toBe(tensors);
      expect(await losses(`cached ${name}`)).toEqual(await losses(`plain ${name}`)); // to the last bit
      expect(summary.heldOutLoss).toBe(expected.heldOutLoss);
      expect(summary.skippedClips).toBe(expected.skippedClips);
      const [left, right] = await Promise.all(['plain', 'cached'].map(run => filesOf(at(`${run} ${name}`))));
      const same = [...left!.keys()].filter(file => /checkpoints\/step-3\/(unet|ema|optim)|samples.*gif$/.test(file));
      expect(same.length).toBeGreaterThan(3);
      for (const file of same) expect(right!.get(file)!.equals(left!.get(file)!), file).toBe(true);
    },
  );

  it('goes on bit for bit after an interruption', async () => {
    const run = (output: string) => withCache(config(output, CHANGED), 'cache');
    for (const output of ['straight', 'stopped']) await cp(at('plain', 'vae'), at(output, 'vae'), { recursive: true });
    await train(run('straight'), quiet);
    const controller = new AbortController();
    const print = (line: string) => {
      if (line.startsWith('step 2/')) controller.abort();
    };
    await expect(train(run('stopped'), { signal: controller.signal, print })).rejects.toMatchObject({ exitCode: 130 });
    await train(run('stopped'), { ...quiet, resume: true });
    const [left, right] = await Promise.all(['straight', 'stopped'].map(r => filesOf(at(r, 'checkpoints', 'step-3'))));
    for (const [name, bytes] of left!) expect(bytes.equals(right!.get(name)!), name).toBe(true);
  });
});

describe('what is stored', () => {
  it('are the means and deviations of every frame that a clip can give, and the clips that cannot be read', async () => {
    const vae = await AutoencoderKL.fromPretrained(at('plain', 'vae'));
    const codec = new VideoCodec({ vae, compile: false });
    const entry = (await openData(config('plain'), () => {})).train.find(e => e.path.endsWith('clip4.mp4'))!;
    const loader = createLoader({ ...DATA, entries: [entry], frames: 40, batchSize: 1, seed: 0 });
    const { videos, shape } = await loader.batch(0);
    await loader.close();
    const video = tf.tensor(videos, shape); // the whole clip
    const store = await open(config('plain'));
    const request = { count: 40, each: 1, frames: 40, chooseOffset: () => 0, isWhole: () => true };
    const { data } = await store.read(entry, { ...request, signal: new AbortController().signal });
    const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    expect(values).toEqual((await codec.posterior(video)).dataSync());
    const noise = randomNormal([1, 40, 8, 8, 4], rngKey(1, 2, 'noise'));
    const drawn = codec.draw(tf.tensor(values, [1, 40, 8, 8, 8]), noise);
    expect(drawn.dataSync()).toEqual((await codec.encode(video, noise)).dataSync());
    store.close();
    codec.dispose();
    vae.dispose();
    const { latents } = JSON.parse(await readFile(at('cache', 'cache.json'), 'utf8'));
    const reasons = Object.fromEntries(latents.rejected.map((c: { id: string; reason: string }) => [c.id, c.reason]));
    expect(reasons).toMatchObject({ text: 'not a video', cut: 'truncated' });
    expect(latents.entries).toBe(10); // the short one is stored: it is too short for this run alone
  });

  it('takes half the bytes in bf16 and fp16', async () => {
    const sizes: Record<string, number> = {};
    for (const dtype of ['fp32', 'bf16', 'fp16'] as const) {
      sizes[dtype] = (await build(config('plain'), `latents-${dtype}`, { dtype })).latents!.bytes;
      (await open(config('plain'), `latents-${dtype}`)).close();
    }
    expect(sizes.fp32! / sizes.bf16!).toBeGreaterThan(1.9);
    expect(Math.abs(sizes.bf16! - sizes.fp16!)).toBeLessThan(100);
  });

  it('is found again by content: a touched or a moved clip costs nothing, a new one only itself', async () => {
    await build(config('plain'), 'moving');
    const now = new Date();
    await utimes(at('clips', 'clip0.mp4'), now, now);
    (await open(config('plain'), 'moving')).close(); // the same bytes
    await cp(at('clips'), at('elsewhere'), { recursive: true });
    const elsewhere = config('plain', { data: { ...config('x').data, source: at('elsewhere') } });
    await expect(open(elsewhere, 'moving')).rejects.toThrow(/stale: it lacks 12 of 12 clips/);
    expect((await build(elsewhere, 'moving')).latents).toMatchObject({ computed: 0, clips: 10 });
    (await open(elsewhere, 'moving')).close();
    await makeClip(at('elsewhere', 'new.mp4'), 7, { fps: 8, width: 24, height: 24 });
    await writeFile(at('elsewhere', 'new.txt'), 'a new clip');
    await expect(open(elsewhere, 'moving')).rejects.toThrow(
      /lacks 1 of 13 clips .*new.mp4.*Add them: npx show1 data cache/,
    );
    expect((await build(elsewhere, 'moving')).latents).toMatchObject({ computed: 1, clips: 11 });
    await rename(at('elsewhere', 'new.mp4'), at('elsewhere', 'clip0.mp4')); // another clip under a known name
    await rm(at('elsewhere', 'new.txt'));
    await expect(open(elsewhere, 'moving')).rejects.toThrow(/lacks 1 of 12 clips .*clip0.mp4/);
    expect((await build(elsewhere, 'moving')).latents).toMatchObject({ computed: 0 });
  });
});

describe('refused is', () => {
  const changed = (data: Record<string, unknown>, more: Partial<Config> = {}) => ({
    ...config('plain', { data: { ...config('x').data, ...data } }),
    ...more,
  });
  it.each([
    ['width', { width: 32 }, /width was 16, is now 32/],
    ['height', { height: 24 }, /height was 16, is now 24/],
    ['rate', { fps: 4 }, /fps was 8, is now 4/],
    ['fit', { fit: 'pad' }, /fit was crop, is now pad/],
  ])('a cache of another %s', async (_, data, message) => {
    await expect(open(changed(data))).rejects.toThrow(message);
    await expect(open(changed(data))).rejects.toThrow(/npx show1 data cache .*--latents --force/);
  });

  it('a cache of another precision or autoencoder', async () => {
    await expect(open(changed({}, { precision: 'bf16' }))).rejects.toThrow(/precision was fp32, is now bf16/);
    await cp(at('plain', 'vae'), at('other', 'vae'), { recursive: true });
    const file = at('other', 'vae', 'diffusion_pytorch_model.safetensors');
    const [bytes, times] = [await readFile(file), await stat(file)];
    bytes[bytes.length - 2]! ^= 1;
    await writeFile(file, bytes);
    await utimes(file, times.atime, times.mtime);
    await expect(open(config('other'))).rejects.toThrow(/stale: vaeWeights was/);
    await cp(at('plain', 'vae'), at('other', 'vae'), { recursive: true });
    const json = at('other', 'vae', 'config.json');
    await writeFile(json, (await readFile(json, 'utf8')).replace(/"scaling_factor": [\d.]+/, '"scaling_factor": 0.5'));
    await expect(open(config('other'))).rejects.toThrow(/stale: vaeConfig was/);
  });

  it('a damaged or an incomplete one', async () => {
    await cp(at('cache'), at('damaged'), { recursive: true });
    const shard = (await readdir(at('damaged'))).find(name => name.startsWith('latents-0'))!;
    await rm(at('damaged', shard));
    await expect(open(config('plain'), 'damaged')).rejects.toThrow(
      /latents-00000.safetensors is missing.*computes only/,
    );
    const record = JSON.parse(await readFile(at('damaged', 'cache.json'), 'utf8'));
    record.latents.complete = false;
    await writeFile(at('damaged', 'cache.json'), JSON.stringify(record));
    await expect(open(config('plain'), 'damaged')).rejects.toThrow(/is not complete\. Finish it: npx show1 data cache/);
    expect((await build(config('plain'), 'damaged')).latents!.computed).toBe(10);
    await writeFile(at('damaged', 'latents-index.json'), '{');
    await expect(open(config('plain'), 'damaged')).rejects.toThrow(/latents-index.json cannot be read/);
    expect((await build(config('plain'), 'damaged')).latents!.computed).toBe(0);
    (await open(config('plain'), 'damaged')).close();
  });

  it('in the config of another stage', () => {
    const base = tinyConfig(root, 'base');
    const wrong = { ...base, data: { ...base.data, cached: { latents: at('cache') } } };
    expect(() => parseConfig(wrong as never)).toThrow(/data\.cached\.latents is given, but stage base works on pixels/);
  });
});
