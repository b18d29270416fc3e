/** A text cache in place of the encoder: the same losses, and no cache that does not belong to the run. */
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/index.js';
import { tf } from '../../../src/engine/index.js';
import { TextConditioner } from '../../../src/models/text/index.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { buildCache, type CacheRequest } from '../../../src/train/cache/build.js';
import { buildText as buildCaptions } from '../../../src/train/cache/build-text.js';
import { FileHashes } from '../../../src/train/cache/file-hashes.js';
import { CacheSession } from '../../../src/train/cache/session.js';
import { readStats } from '../../../src/train/logging/index.js';
import { train } from '../../../src/train/loop.js';
import { buildText } from '../../../src/train/text.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../../helpers/tiny-run.js';

let root: string;
const quiet = { print: () => {} };
const at = (...parts: string[]) => path.join(root, ...parts);
const CAPTION = 'a red square moves up';
type Changes = Record<string, Record<string, unknown>>;

/** Op by op: a few steps are not worth a trace. */
const eager = (output: string, changes: Changes = {}, stage = {}): Config => ({
  ...tinyConfig(root, output, changes, stage),
  compile: false,
});

/** A config that trains from the cache `dir` of the test's root. */
function cached(output: string, dir: string, changes: Changes = {}, stage = {}): Config {
  const config = eager(output, changes, stage);
  return { ...config, data: { ...config.data, cached: { text: at(dir) } } };
}
const build = (config: Config, dir: string, changes: Partial<CacheRequest> = {}) =>
  buildCache(config, {
    ...{ dir: at(dir), text: true, latents: false, dtype: 'fp32', force: false },
    ...{ print: () => {}, onProgress: () => {} },
    ...changes,
  });
const open = (config: Config, captions = [CAPTION]) => buildText(config, captions, () => {});

beforeAll(async () => {
  root = await tinyData();
  await build(tinyConfig(root, 'text'), 'cache');
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(['base', 'interp', 'sr1'] as const)('stage %s', name => {
  it('has the same losses, samples and weights', async () => {
    const stage = name === 'base' ? {} : STAGE_CHANGES[name];
    const samples =
      name === 'base' ? { prompts: [CAPTION], everySteps: 2, sampler: { steps: 1, guidanceScale: 2 } } : {};
    const validate = { ...samples, heldOutEverySteps: 2, heldOutTimesteps: [500] };
    const train2 = { steps: 2, batchSize: 2, learningRate: 1e-3, captionDropout: 0.5 };
    const changes = { validate, train: train2, checkpoint: { everySteps: 0 } };
    const plain = eager(`${name}-plain`, changes, stage);
    await build(plain, `${name}-cache`);
    const lines: string[] = [];
    await train(cached(`${name}-cached`, `${name}-cache`, changes, stage), { print: line => lines.push(line) });
    expect(lines.join('\n')).toContain('the text encoder is not loaded');
    const tensors = tf.memory().numTensors;
    await train(plain, quiet);
    expect(tf.memory().numTensors).toBe(tensors);

    const losses = async (run: string) =>
      (await readStats(at(run, 'stats.jsonl'))).map(line => [line.step, line.loss, line['heldOut/loss']]);
    expect(await losses(`${name}-cached`)).toEqual(await losses(`${name}-plain`));
    const [left, right] = await Promise.all([`${name}-plain`, `${name}-cached`].map(run => filesOf(at(run))));
    const same = [...left!.keys()].filter(file => /checkpoints\/step-2\/(unet|ema|optim)|samples.*gif$/.test(file));
    expect(same.length).toBeGreaterThan(3);
    for (const file of same) expect(right!.get(file)!.equals(left!.get(file)!), file).toBe(true);
  });
});

describe('a text cache', () => {
  it('gives the bits of the encoder, in fp32, and half the bytes in bf16 and fp16', async () => {
    const config = tinyConfig(root, 'text');
    const encoder = await TextConditioner.fromPretrained(at('text'), { maxLength: 8 });
    const prompts = [CAPTION, '', 'A blue CIRCLE moves down '];
    const expected = encoder.encode(prompts);
    const exact = await open(cached('text', 'cache'), prompts);
    expect([exact.maxLength, exact.width]).toEqual([8, 32]);
    expect(exact.encode(prompts).dataSync()).toEqual(expected.dataSync());
    const sizes: Record<string, number> = {};
    for (const dtype of ['fp32', 'bf16', 'fp16'] as const) {
      sizes[dtype] = (await build(config, `text-${dtype}`, { dtype })).text!.bytes;
      const source = await open(cached('text', `text-${dtype}`), prompts);
      const error = source.encode(prompts).sub(expected).abs().max().dataSync()[0]!;
      expect(error).toBeLessThan({ fp32: 1e-30, fp16: 4e-3, bf16: 3e-2 }[dtype]);
      source.dispose();
    }
    const names = openSafetensors(at('text-fp32', 'text-00000.safetensors')).names();
    const values = names.length * 8 * 32;
    expect(sizes.fp32! - sizes.bf16!).toBeGreaterThan(1.9 * values);
    expect(Math.abs(sizes.bf16! - sizes.fp16!)).toBeLessThan(2 * names.length + 8); // the headers: "BF16" is a letter longer
    encoder.dispose();
    exact.dispose();
  });

  it('of an encoder that is read layer by layer holds the same bits', async () => {
    const folders = { encoder: at('text', 'text_encoder'), tokenizer: at('text', 'tokenizer') };
    const shown: number[] = [];
    const session = await CacheSession.open({
      ...{ dir: at('streamed'), dtype: 'fp32', force: false, print: () => {} },
      onProgress: (_, done) => shown.push(done),
    });
    const hashes = await FileHashes.open(at('streamed', 'hashes.json'), () => {});
    const { computed } = await buildCaptions(session, hashes, {
      folders,
      maxLength: 8,
      prompts: [CAPTION],
      stream: true,
    });
    expect([computed, shown.at(-1)]).toEqual([2, 2]);
    const [streamed, exact] = [await open(cached('text', 'streamed'), []), await open(cached('text', 'cache'))];
    expect(streamed.encode([CAPTION, '']).dataSync()).toEqual(exact.encode([CAPTION, '']).dataSync());
    for (const source of [streamed, exact]) source.dispose();
  });

  it('keeps little in memory and still knows every caption', async () => {
    const source = await open(cached('text', 'cache'));
    const before = source.encode([CAPTION]).dataSync();
    source.forget();
    expect(source.encode([CAPTION]).dataSync()).toEqual(before);
    expect(() => source.encode(['a purple triangle'])).toThrow(/"a purple triangle" is not in the text cache/);
    source.dispose();
  });

  it('is done at once when nothing is new, and takes up new captions alone', async () => {
    const config = tinyConfig(root, 'text');
    expect((await build(config, 'cache')).text).toMatchObject({ computed: 0 });
    const wish = { ...config, validate: { ...config.validate, prompts: ['a wish'] } };
    await expect(open({ ...cached('text', 'cache'), validate: wish.validate })).rejects.toThrow(
      /lacks 1 of 3 captions \("a wish"\). Add them: npx show1 data cache .*config.yaml --out .* --text/,
    );
    expect((await build(wish, 'cache')).text).toMatchObject({ computed: 1 });
    (await open({ ...cached('text', 'cache'), validate: wish.validate })).dispose();
  });

  it('lives in shards of the size asked for', async () => {
    const limits = { maxShardBytes: 6000, partBytes: 2000 };
    const { text } = await build(tinyConfig(root, 'text'), 'shards', { limits });
    const files = (await readdir(at('shards'))).filter(file => file.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(3);
    expect(files.every(file => /^text-0000\d\.safetensors$/.test(file))).toBe(true);
    for (const file of files) expect((await stat(at('shards', file))).size).toBeLessThan(6600);
    const index = JSON.parse(await readFile(at('shards', 'text-index.json'), 'utf8'));
    expect(Object.keys(index.tokens)).toHaveLength(text!.captions);
    expect(new Set(Object.values(index.tokens))).toContain(1); // the empty caption: its end token
    (await open(cached('text', 'shards'))).dispose();
  });
});

describe('refused is', () => {
  const stale = (changes: Changes, output = 'text') => open(cached(output, 'cache', changes));

  it('a cache of another length, encoder or tokenizer, saying what changed and what to do', async () => {
    await expect(stale({ model: { ...tinyConfig(root, 'x').model, maxTextLength: 6 } })).rejects.toThrow(
      /stale: maxLength was 8, is now 6\. Make it again: npx show1 data cache .* --text --force/,
    );
    await cp(at('text'), at('other'), { recursive: true });
    const weights = at('other', 'text_encoder', 'model.safetensors');
    const bytes = await readFile(weights);
    const times = await stat(weights);
    bytes[bytes.length - 1]! ^= 1; // one bit of one weight
    await writeFile(weights, bytes);
    const { utimes } = await import('node:fs/promises');
    await utimes(weights, times.atime, times.mtime);
    await expect(stale({}, 'other')).rejects.toThrow(/encoderWeights was [0-9a-f]{12}…, is now [0-9a-f]{12}…/);
    await cp(at('text', 'text_encoder'), at('other', 'text_encoder'), { recursive: true });
    const tokenizer = at('other', 'tokenizer', 'tokenizer_config.json');
    await writeFile(tokenizer, `${await readFile(tokenizer, 'utf8')}\n`);
    await expect(stale({}, 'other')).rejects.toMatchObject({ code: 'cache.stale' });
    await expect(stale({}, 'other')).rejects.toThrow(/stale: tokenizer was/);
  });

  it('to be made from something else without --force', async () => {
    await build(tinyConfig(root, 'text'), 'forced');
    const short = tinyConfig(root, 'text', { model: { ...tinyConfig(root, 'x').model, maxTextLength: 6 } });
    await expect(build(short, 'forced')).rejects.toThrow(/maxLength was 8, is now 6\. Add --force/);
    await expect(build(tinyConfig(root, 'text'), 'forced', { dtype: 'bf16' })).rejects.toThrow(
      /dtype was fp32, is now/,
    );
    // Without a wish an earlier cache keeps its own type: what a message says to run adds to it.
    await build(tinyConfig(root, 'text'), 'narrow', { dtype: 'bf16' });
    expect((await build(tinyConfig(root, 'text'), 'narrow', { dtype: undefined })).text!.computed).toBe(0);
    expect((await build(short, 'forced', { force: true })).text!.computed).toBeGreaterThan(10);
    await expect(open(cached('text', 'forced'))).rejects.toThrow(/maxLength was 6, is now 8/);
  });

  it('a folder that is none, or of another program', async () => {
    await expect(open(cached('text', 'nowhere'))).rejects.toThrow(/no text cache in .*nowhere .*Make it: npx show1/);
    await expect(open(cached('text', 'shapes'))).rejects.toThrow(/is no cache: it holds .*heldout/);
    await expect(build(tinyConfig(root, 'text'), 'shapes')).rejects.toMatchObject({ code: 'cache.foreign' });
    await cp(at('cache'), at('later'), { recursive: true });
    await writeFile(at('later', 'cache.json'), '{"format":"show1-cache","version":2}');
    await expect(open(cached('text', 'later'))).rejects.toThrow(/version 2; needed: "show1-cache", 1/);
    await expect(build(tinyConfig(root, 'x'), 'new', { latents: true })).rejects.toThrow(/stage base trains on pixels/);
  });

  it('a second writer; what a killed one left is taken over', async () => {
    const config = tinyConfig(root, 'text');
    await writeFile(at('cache', '.lock'), String(process.ppid));
    await expect(build(config, 'cache')).rejects.toThrow(new RegExp(`process ${process.ppid} is writing to`));
    await writeFile(at('cache', '.lock'), '999999999'); // no such process
    expect((await build(config, 'cache')).text!.computed).toBe(0);
    expect(await readdir(at('cache'))).not.toContain('.lock');
  });

  it('a damaged one; the same command then computes what is lost', async () => {
    const limits = { maxShardBytes: 6000, partBytes: 2000 };
    const config = tinyConfig(root, 'text');
    const { text } = await build(config, 'damaged', { limits });
    const shard = at('damaged', 'text-00001.safetensors');
    await truncate(shard, 3000);
    await expect(open(cached('text', 'damaged'))).rejects.toThrow(/text-00001.safetensors has 3000 bytes, \d+ were/);
    const repaired = (await build(config, 'damaged', { limits })).text!;
    expect(repaired.computed).toBeGreaterThan(0);
    expect(repaired.computed).toBeLessThan(text!.captions);
    await rm(at('damaged', 'text-00000.safetensors'));
    await expect(open(cached('text', 'damaged'))).rejects.toThrow(/text-00000.safetensors is missing/);
    await build(config, 'damaged', { limits });
    await rm(at('damaged', 'text-index.json'));
    await expect(open(cached('text', 'damaged'))).rejects.toThrow(/text-index.json cannot be read/);
    expect((await build(config, 'damaged')).text!.computed).toBe(0);
    (await open(cached('text', 'damaged'))).dispose();
  });
});
