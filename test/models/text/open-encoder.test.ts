import { renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Tensor, tf } from '../../../src/engine/index.js';
import { InputError, WorkError } from '../../../src/errors.js';
import { CLIPTextModel } from '../../../src/models/text/clip-text.js';
import { TextConditioner } from '../../../src/models/text/encode.js';
import { openTextEncoder, textFamily } from '../../../src/models/text/open-encoder.js';
import { StreamedT5Encoder } from '../../../src/models/text/streamed-t5.js';
import { T5EncoderModel } from '../../../src/models/text/t5.js';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import type { JsonObject } from '../../../src/models/weights/pretrained.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { fileBytes, tempFolder, thrown } from '../weights/files.js';
import { TINY_T5 } from './naive-t5.js';
import { clipFolder, t5Folder } from './tokenizer-folders.js';

const t5Tokenizer = t5Folder();
const clipTokenizer = clipFolder({ 'special_tokens_map.json': { pad_token: '!' } });
const PROMPTS = ['A red circle moves', 'a dog', ''];

const T5 = { ...TINY_T5, vocab_size: Tokenizer.fromPretrained(t5Tokenizer).vocabSize + 28 };
const CLIP = {
  model_type: 'clip_text_model',
  vocab_size: Tokenizer.fromPretrained(clipTokenizer).vocabSize,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  max_position_embeddings: 10,
  eos_token_id: 2,
};

async function saved(model: T5EncoderModel | CLIPTextModel, options = {}): Promise<string> {
  const dir = join(tempFolder(), 'text_encoder');
  model.initialize(4);
  await model.savePretrained(dir, options);
  model.dispose();
  return dir;
}
const t5Encoder = (json: JsonObject = T5, options = {}) => saved(new T5EncoderModel(json), options);
const clipEncoder = (json: JsonObject = CLIP) => saved(new CLIPTextModel(json));

const values = (tensor: Tensor): Float32Array => {
  const data = tensor.dataSync() as Float32Array;
  tensor.dispose();
  return data;
};

describe('textFamily', () => {
  it.each([
    [{ model_type: 't5' }, 't5'],
    [{ model_type: 't5', architectures: ['T5ForConditionalGeneration'] }, 't5'],
    [{ architectures: ['T5EncoderModel'] }, 't5'],
    [{ model_type: 'clip_text_model' }, 'clip'],
    [{ model_type: 'clip', architectures: ['CLIPModel'] }, 'clip'],
    [{ architectures: ['CLIPTextModelWithProjection'] }, 'clip'],
  ])('%o is %s', (json, family) => expect(textFamily(json)).toBe(family));

  it.each([
    [{ model_type: 'llama', architectures: ['T5EncoderModel'] }, /config\.json describes llama; .*T5 .*CLIP/],
    [{ architectures: ['CLIPVisionModel'] }, /describes CLIPVisionModel/],
    [{}, /names no model_type/],
  ])('%o is none of them', (json, message) => {
    expect(() => textFamily(json)).toThrow(InputError);
    expect(() => textFamily(json)).toThrow(message);
  });
});

describe('T5 from a folder', () => {
  it('gives the same embeddings streamed as in memory', async () => {
    const folders = { encoder: await t5Encoder(T5, { dtype: 'F16', maxShardBytes: 3000 }), tokenizer: t5Tokenizer };
    const before = tf.memory();
    const resident = await TextConditioner.fromPretrained(folders, { maxLength: 12 });
    const streamed = await TextConditioner.fromPretrained(folders, { maxLength: 12, stream: true });
    expect([resident.streamed, streamed.streamed]).toEqual([false, true]);
    const error = await thrown(() => streamed.encode(PROMPTS));
    expect(error).toBeInstanceOf(WorkError);
    expect(error.message).toMatch(/"a red circle moves" is not encoded yet.*await text\.encodeAll\(prompts\)/);
    const progress: string[] = [];
    await streamed.encodeAll(PROMPTS, { onProgress: (done, total) => progress.push(`${done}/${total}`) });
    expect(progress).toEqual(['1/2', '2/2']);
    await streamed.encodeAll(PROMPTS, { onProgress: () => expect.unreachable() });
    const expected = values(resident.encode(PROMPTS));
    expect(expected.length).toBe(3 * 12 * 12);
    expect(values(streamed.encode(PROMPTS))).toEqual(expected);
    expect(values(streamed.encode(['A DOG']))).toEqual(expected.slice(144, 288));
    streamed.forget();
    await expect(async () => streamed.encode([''])).rejects.toThrow(/"" is not encoded yet/);
    await streamed.encodeAll(['']);
    expect(values(streamed.encode(['']))).toEqual(expected.slice(288));
    resident.dispose();
    streamed.dispose();
    expect(tf.memory()).toEqual(before);
    await expect(streamed.encodeAll(['again'])).rejects.toThrow(/closed/);
  });

  it('is streamed by itself from 2 GB as float32', async () => {
    const small = await openTextEncoder({ encoder: await t5Encoder(), tokenizer: t5Tokenizer });
    expect(small.encoder).toBeInstanceOf(T5EncoderModel);
    small.encoder.dispose();

    // a model with an embedding of 2.1 GB as float32, which is a hole in the file: it is never read as a whole
    const vocab_size = 45_000_000;
    const encoder = await t5Encoder();
    const file = openSafetensors(encoder);
    const names = file.names().filter(name => name !== 'shared.weight');
    const tensors = await Promise.all(names.map(async name => [name, file.info(name), await file.read(name)] as const));
    file.close();
    let at = 0;
    const header: Record<string, object> = {};
    for (const [name, { dtype, shape }, { byteLength }] of tensors) {
      header[name] = { dtype, shape, data_offsets: [at, at + byteLength] };
      at += byteLength;
    }
    const end = at + vocab_size * T5.d_model * 2;
    header['shared.weight'] = { dtype: 'F16', shape: [vocab_size, T5.d_model], data_offsets: [at, end] };
    const start = fileBytes(header, Buffer.concat(tensors.map(([, , data]) => Buffer.from(data.buffer))));
    const path = join(encoder, 'model.safetensors');
    writeFileSync(path, start);
    truncateSync(path, start.length + end - at);
    writeFileSync(join(encoder, 'config.json'), JSON.stringify({ ...T5, vocab_size }));

    const text = await TextConditioner.fromPretrained({ encoder, tokenizer: t5Tokenizer });
    expect(text.streamed).toBe(true);
    await text.encodeAll(PROMPTS);
    expect(values(text.encode(PROMPTS)).every(Number.isFinite)).toBe(true);
    text.dispose();
  });

  it('streams only when told to below that, and keeps in memory when told so', async () => {
    const folders = { encoder: await t5Encoder(), tokenizer: t5Tokenizer };
    const streamed = await openTextEncoder(folders, { stream: true });
    expect(streamed.encoder).toBeInstanceOf(StreamedT5Encoder);
    const resident = await openTextEncoder(folders, { stream: false });
    expect(resident.encoder).toBeInstanceOf(T5EncoderModel);
    for (const { encoder } of [streamed, resident]) encoder.dispose();
  });
});

describe('CLIP from a folder', () => {
  it('pads with its own token, without a mask, and gives the last hidden states', async () => {
    const encoder = await clipEncoder();
    const text = await TextConditioner.fromPretrained({ encoder, tokenizer: clipTokenizer });
    expect([text.maxLength, text.width, text.streamed]).toEqual([10, 12, false]);
    const got = values(text.encode(PROMPTS));
    const tokenizer = Tokenizer.fromPretrained(clipTokenizer);
    const model = await CLIPTextModel.fromPretrained(encoder);
    const of = (prompt: string, masked: boolean) =>
      tf.tidy(() => {
        const { inputIds, attentionMask, shape } = tokenizer.encode([prompt], { maxLength: 10 });
        const mask = masked ? tf.tensor(attentionMask, shape, 'int32') : null;
        return model.forward(tf.tensor(inputIds, shape, 'int32'), mask).lastHiddenState.dataSync();
      });
    expect(tokenizer.padId).toBe(0);
    expect(got).toEqual(Float32Array.from(PROMPTS.flatMap(prompt => [...of(prompt, false)])));
    text.dispose();

    // a mask where the config asks for one
    const config = { ...CLIP, use_attention_mask: true };
    writeFileSync(join(encoder, 'config.json'), JSON.stringify(config));
    const masking = await TextConditioner.fromPretrained({ encoder, tokenizer: clipTokenizer });
    const masked = values(masking.encode(['a dog']));
    expect(masked).toEqual(of('a dog', true));
    expect(masked).not.toEqual(of('a dog', false));
    masking.dispose();
    model.dispose();
  });

  it('leaves prompts to its tokenizer unless told otherwise, and takes a shorter length', async () => {
    const folders = { encoder: await clipEncoder(), tokenizer: clipTokenizer };
    const text = await TextConditioner.fromPretrained(folders, { maxLength: 6 });
    expect(values(text.encode([' A dog', 'a dog'])).length).toBe(2 * 6 * 12);
    expect(text.cached).toBe(2); // not made equal beforehand
    text.dispose();
    const lower = await TextConditioner.fromPretrained(folders, { clean: 'lower' });
    values(lower.encode([' A dog', 'a dog']));
    expect(lower.cached).toBe(1);
    lower.dispose();
    const before = tf.memory();
    await expect(TextConditioner.fromPretrained(folders, { maxLength: 11 })).rejects.toThrow(
      /maxLength is 11, but the CLIP text encoder .* takes at most 10 tokens/,
    );
    expect(tf.memory()).toEqual(before);
    await expect(TextConditioner.fromPretrained(folders, { stream: true })).rejects.toThrow(/only T5 can be streamed/);
  });

  it('is found in a whole CLIP', async () => {
    const { model_type: _, ...text_config } = CLIP;
    const encoder = await clipEncoder();
    writeFileSync(join(encoder, 'config.json'), JSON.stringify({ model_type: 'clip', text_config }));
    const text = await TextConditioner.fromPretrained({ encoder, tokenizer: clipTokenizer });
    expect(text.width).toBe(12);
    text.dispose();
  });
});

describe('what does not belong together is refused', () => {
  const open = (encoder: string, tokenizer: string, stream: boolean | 'auto' = 'auto') =>
    thrown(() => openTextEncoder({ encoder, tokenizer }, { stream }));

  it("another model's tokenizer, before weights are looked at", async () => {
    const [t5, clip] = [await t5Encoder({ ...T5, vocab_size: 2000 }), await clipEncoder({ ...CLIP, vocab_size: 2000 })];
    for (const dir of [t5, clip]) rmSync(join(dir, 'model.safetensors'));
    const withClip = await open(t5, clipTokenizer);
    expect(withClip.code).toBe('text.tokenizer');
    expect(withClip.message).toMatch(
      /different models: of an empty text the tokenizer makes the tokens \[\d+, \d+\], the encoder expects the end token alone \(1\)/,
    );
    expect((await open(clip, t5Tokenizer)).message).toMatch(
      /makes the tokens \[1\], the encoder expects a start and an end/,
    );
    const small = await clipEncoder({ ...CLIP, vocab_size: 50 });
    expect((await open(small, clipTokenizer)).message).toMatch(/has \d+ tokens, the encoder only 50/);
    const otherEnd = await clipEncoder({ ...CLIP, eos_token_id: 5 });
    expect((await open(otherEnd, clipTokenizer)).message).toMatch(/expects a start and an end token \(5\)/);
    const otherPad = await t5Encoder({ ...T5, pad_token_id: 3 });
    expect((await open(otherPad, t5Tokenizer)).message).toMatch(/pads with token 0, the encoder expects 3/);
  });

  it.each([true, false])('weights that are missing, of another shape, or pickled (streamed: %s)', async stream => {
    const gone = join(tempFolder(), 'nothing');
    expect((await open(gone, t5Tokenizer, stream)).message).toMatch(/no model folder/);
    expect((await open(await t5Encoder(), gone, stream)).message).toMatch(/No tokenizer in/);

    const sharded = await t5Encoder(T5, { maxShardBytes: 3000 });
    const { file } = openSafetensors(sharded).info('encoder.final_layer_norm.weight');
    rmSync(file);
    const missing = await open(sharded, t5Tokenizer, stream);
    expect(missing.code).toBe('weights.missing-shard');
    expect(missing.message).toContain(file);

    const wide = await t5Encoder();
    writeFileSync(join(wide, 'config.json'), JSON.stringify({ ...T5, d_ff: 20, num_layers: 3 }));
    const misfit = await open(wide, t5Tokenizer, stream);
    expect(misfit.code).toBe('weights.misfit');
    expect(misfit.message).toMatch(/missing:.*block\.2.*of another shape:.*\[20,12\].*\[14,12\]/s);

    const pickled = await t5Encoder();
    renameSync(join(pickled, 'model.safetensors'), join(pickled, 'pytorch_model.bin'));
    expect((await open(pickled, t5Tokenizer, stream)).message).toMatch(/is a PyTorch pickle.*save_file/s);
  });
});
