import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Tensor, tf } from '../../../src/engine/index.js';
import { TextConditioner, type TextEncoder } from '../../../src/models/text/encode.js';
import { textFolders } from '../../../src/models/text/folders.js';
import { createTinyTextEncoder } from '../../../src/models/text/tiny.js';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import { buildWordTokenizer } from '../../../src/models/text/word-tokenizer.js';
import { tempFolder } from '../weights/files.js';

const CAPTIONS = ['a red square moves to the left', 'a blue circle moves up', 'a red circle moves to the right'];

/** Rows of a [B, L, D] tensor, which is disposed. */
function rows(tensor: Tensor): number[][][] {
  const values = tensor.arraySync() as number[][][];
  tensor.dispose();
  return values;
}

describe('createTinyTextEncoder', () => {
  it('writes a text encoder and a tokenizer that are read like any other', async () => {
    const root = tempFolder();
    const folders = await createTinyTextEncoder(root, CAPTIONS);
    expect(folders).toEqual(textFolders(root));
    const text = await TextConditioner.fromPretrained(root);
    expect([text.maxLength, text.width]).toEqual([8, 64]);
    const [left, right, again] = rows(text.encode([CAPTIONS[0]!, CAPTIONS[2]!, CAPTIONS[0]!]));
    expect([left!.length, left![0]!.length]).toEqual([8, 64]);
    expect(again).toEqual(left);
    const difference = Math.max(...left!.flat().map((v, i) => Math.abs(v - right!.flat()[i]!)));
    expect(difference).toBeGreaterThan(0.1); // prompts are told apart
    expect(left!.flat().every(Number.isFinite)).toBe(true);
    text.dispose();
  });

  it('gives equal files for equal captions and seeds, others for another seed', async () => {
    const weights = async (captions: string[], seed: number) => {
      const root = tempFolder();
      const { encoder, tokenizer } = await createTinyTextEncoder(root, captions, { seed, dModel: 16, heads: 2 });
      const files = [
        join(encoder, 'model.safetensors'),
        join(encoder, 'config.json'),
        join(tokenizer, 'tokenizer.json'),
      ];
      return files.map(file => readFileSync(file).toString('base64'));
    };
    const first = await weights(CAPTIONS, 1);
    expect(await weights([...CAPTIONS].reverse(), 1)).toEqual(first);
    const other = await weights(CAPTIONS, 2);
    expect(other[0]).not.toBe(first[0]);
    expect(other.slice(1)).toEqual(first.slice(1));
  });

  it('refuses captions without words, and heads that do not divide the width', async () => {
    await expect(createTinyTextEncoder(tempFolder(), ['', '  '])).rejects.toThrow(/needs captions.*2 were given/);
    await expect(createTinyTextEncoder(tempFolder(), CAPTIONS, { dModel: 10, heads: 4 })).rejects.toThrow(
      /10.*4 heads/,
    );
  });
});

describe('TextConditioner', () => {
  const { definition, config } = buildWordTokenizer(CAPTIONS, { maxLength: 8 });
  const tokenizer = new Tokenizer(definition, config);

  /** An encoder that records what it was asked: embedding = id in every channel, 0 where masked. */
  function recorder() {
    const calls: number[][] = [];
    const encoder: TextEncoder & { disposed: number } = {
      width: 3,
      disposed: 0,
      forward(ids, mask) {
        calls.push(...(ids.arraySync() as number[][]));
        const shown = ids.mul(mask).cast('float32').expandDims(2); // [B, L, 1]
        return tf.tile(shown, [1, 1, 3]);
      },
      dispose() {
        this.disposed++;
      },
    };
    return { calls, encoder };
  }

  it('encodes each distinct prompt once, by itself', () => {
    const { calls, encoder } = recorder();
    const text = new TextConditioner(encoder, tokenizer);
    const first = text.encode(['a red circle', 'up', 'a red circle']);
    expect(first.shape).toEqual([3, 8, 3]);
    expect(calls.length).toBe(2);
    expect(rows(first)[2]!.map(row => row[0])).toEqual([...tokenizer.encode(['a red circle']).inputIds]);
    rows(text.encode(['up', '']));
    expect(calls.length).toBe(3);
    expect(calls[2]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]); // unconditional: the end token alone
    expect(text.cached).toBe(3);
    text.dispose();
    expect(encoder.disposed).toBe(1);
  });

  it('lowers and strips prompts first, or does what it is told', () => {
    const { calls, encoder } = recorder();
    const text = new TextConditioner(encoder, tokenizer);
    rows(text.encode(['  A RED\n', 'a red']));
    expect(calls.length).toBe(1);
    const own = new TextConditioner(encoder, tokenizer, { clean: () => 'up' });
    rows(own.encode(['x', 'y']));
    expect(calls[1]).toEqual([...tokenizer.encode(['up']).inputIds]);
    const caption = new TextConditioner(encoder, tokenizer, { clean: 'caption' });
    rows(caption.encode(['A <b>red</b> circle @someone http://example.com']));
    expect(calls[2]).toEqual([...tokenizer.encode(['a red circle']).inputIds]);
    const untouched = new TextConditioner(encoder, tokenizer, { clean: 'none' });
    rows(untouched.encode(['up', ' up']));
    expect(untouched.cached).toBe(2);
  });

  it('keeps the most recently used prompts within its bytes and leaks nothing', () => {
    const { calls, encoder } = recorder();
    const before = tf.memory().numTensors;
    const text = new TextConditioner(encoder, tokenizer, { cacheBytes: 2 * 8 * 3 * 4 });
    const encode = (...prompts: string[]) => rows(text.encode(prompts));
    encode('a');
    encode('red');
    encode('a'); // refreshed
    encode('up'); // drops "red"
    expect(text.cached).toBe(2);
    expect(tf.memory().numTensors).toBe(before); // kept outside TensorFlow
    encode('a');
    expect(calls.length).toBe(3);
    encode('red');
    expect(calls.length).toBe(4);
    const many = encode('a', 'red', 'up', 'blue'); // a batch larger than the cache
    expect(many.map(text => text[0]![0])).toEqual(['a', 'red', 'up', 'blue'].map(word => tokenizer.ids(word)[0]));
    expect(text.cached).toBe(2);
    text.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('prepares prompts that stay, whatever the cache holds', async () => {
    const { calls, encoder } = recorder();
    const before = tf.memory().numTensors;
    const text = new TextConditioner(encoder, tokenizer, { cacheBytes: 1 });
    expect(text.streamed).toBe(false);
    rows(text.encode(['up'])); // known already when it is prepared
    const progress: string[] = [];
    const onProgress = (done: number, total: number) => progress.push(`${done}/${total}`);
    await text.encodeAll(['a', 'UP', 'red', 'a ', ''], { onProgress });
    expect(progress).toEqual(['1/3', '2/3', '3/3']);
    expect([calls.length, text.cached]).toEqual([4, 4]);
    await text.encodeAll(['red', 'up'], { onProgress });
    rows(text.encode(['', 'a', 'red', 'up']));
    expect([calls.length, progress.length]).toEqual([4, 3]);
    rows(text.encode(['blue']));
    rows(text.encode(['circle'])); // the cache of one prompt forgets "blue", never the prepared ones
    expect([calls.length, text.cached]).toEqual([6, 5]);
    text.forget();
    expect(text.cached).toBe(0);
    rows(text.encode(['a']));
    expect(calls.length).toBe(7);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('does not begin what cannot fit in memory', async () => {
    const { calls, encoder } = recorder();
    const text = new TextConditioner(encoder, tokenizer, { maxLength: 1e13 });
    await expect(text.encodeAll(['a', 'b'])).rejects.toThrow(/embeddings of 2 prompts take .* TiB, but only .* free/);
    expect(calls.length).toBe(0);
  });

  it('gives out copies: what is done to a batch does not reach the cache', () => {
    const { encoder } = recorder();
    const text = new TextConditioner(encoder, tokenizer);
    const first = text.encode(['a']);
    (first.dataSync() as Float32Array).fill(7);
    first.dispose();
    expect(rows(text.encode(['a']))[0]![0]![0]).toBe(tokenizer.ids('a')[0]);
  });

  it('survives a surrounding tidy', () => {
    const { calls, encoder } = recorder();
    const text = new TextConditioner(encoder, tokenizer);
    tf.tidy(() => void text.encode(['a']));
    expect(rows(text.encode(['a']))[0]![0]![0]).toBe(tokenizer.ids('a')[0]);
    expect(calls.length).toBe(1);
    text.dispose();
  });

  it('takes another length than the tokenizer, and refuses a tokenizer of another model', async () => {
    const root = tempFolder();
    const { encoder, tokenizer: dir } = await createTinyTextEncoder(root, CAPTIONS, { dModel: 8, heads: 2, layers: 1 });
    const text = await TextConditioner.fromPretrained({ encoder, tokenizer: dir }, { maxLength: 20 });
    expect(rows(text.encode(['a']))[0]!.length).toBe(20);
    text.dispose();
    const bigger = await createTinyTextEncoder(tempFolder(), [...CAPTIONS, 'many more words in here']);
    await expect(TextConditioner.fromPretrained({ encoder, tokenizer: bigger.tokenizer })).rejects.toThrow(
      /different models.*has \d+ tokens/,
    );
    rmSync(join(dir, 'tokenizer.json'));
    await expect(TextConditioner.fromPretrained(root)).rejects.toThrow(/looked for tokenizer\.json/);
  });

  afterAll(() => expect(tf.memory().numTensors).toBeLessThan(10));
});

describe('textFolders', () => {
  it('prefers what the config names, then the first root with an encoder', async () => {
    const root = tempFolder();
    const own = await createTinyTextEncoder(root, CAPTIONS, { dModel: 8, heads: 2, layers: 1 });
    expect(textFolders([tempFolder(), root])).toEqual(own);
    expect(textFolders(root, { tokenizer: 'tok' })).toEqual({ ...own, tokenizer: 'tok' });
    expect(textFolders(root, { path: join('some', 't5') })).toEqual({
      encoder: join('some', 't5'),
      tokenizer: join('some', 'tokenizer'),
    });
    const flat = tempFolder();
    writeFileSync(join(flat, 'tokenizer.json'), '{}');
    expect(textFolders(root, { path: flat })).toEqual({ encoder: flat, tokenizer: flat });
    expect(() => textFolders(tempFolder())).toThrow(/no text encoder: looked for config\.json in .*text_encoder/);
  });
});
