import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { StreamedT5Encoder } from '../../../src/models/text/streamed-t5.js';
import { T5EncoderModel } from '../../../src/models/text/t5.js';
import type { TokenBatch } from '../../../src/models/text/tokenizer.js';
import { type JsonObject, readModelConfig } from '../../../src/models/weights/pretrained.js';
import { openSafetensors, writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource, type WeightSource } from '../../../src/models/weights/source.js';
import { tempFolder, thrown } from '../weights/files.js';
import { TINY_T5 } from './naive-t5.js';

const LENGTH = 9;

/** Texts of different lengths over the tiny vocabulary. */
function texts(count: number, vocab = 11): TokenBatch {
  const inputIds = new Int32Array(count * LENGTH);
  const attentionMask = new Int32Array(count * LENGTH);
  for (let i = 0; i < count; i++) {
    const used = 1 + ((5 * i + 6) % LENGTH);
    for (let at = 0; at < used; at++) {
      inputIds[i * LENGTH + at] = at === used - 1 ? 1 : 2 + ((7 * i + 3 * at) % (vocab - 2));
      attentionMask[i * LENGTH + at] = 1;
    }
  }
  return { inputIds, attentionMask, shape: [count, LENGTH] };
}

/** What the resident model gives each text alone. */
function resident(model: T5EncoderModel, { inputIds, attentionMask, shape: [count, length] }: TokenBatch) {
  return Array.from({ length: count }, (_, i) =>
    tf.tidy(() => {
      const row = (values: Int32Array) => tf.tensor(values.slice(i * length, (i + 1) * length), [1, length], 'int32');
      return model.forward(row(inputIds), row(attentionMask)).dataSync() as Float32Array;
    }),
  );
}

function randomModel(json: JsonObject, seed = 3): T5EncoderModel {
  const model = new T5EncoderModel(json);
  model.initialize(seed);
  for (const [name, p] of model.parameters()) {
    if (name.endsWith('norm.weight')) p.load(Float32Array.from({ length: p.size }, (_, i) => 1 + 0.5 * Math.sin(i)));
    if (name.endsWith('bias.weight')) p.load(Float32Array.from({ length: p.size }, (_, i) => Math.sin(3 * i)));
  }
  return model;
}

/** A source that tells what is read. */
function watched(source: WeightSource): { source: WeightSource; reads: string[] } {
  const reads: string[] = [];
  const watch =
    <A extends unknown[], R>(what: string, method: (name: string, ...rest: A) => R) =>
    (name: string, ...rest: A): R => {
      reads.push(`${what} ${name}`);
      return method.call(source, name, ...rest);
    };
  return {
    reads,
    source: {
      names: () => source.names(),
      has: name => source.has(name),
      info: name => source.info(name),
      close: () => source.close(),
      read: watch('read', source.read),
      readRows: watch('rows of', source.readRows),
      readBytes: source.readBytes && watch('read', source.readBytes),
    },
  };
}

describe('StreamedT5Encoder', () => {
  const CONFIGS: JsonObject[] = [
    TINY_T5,
    { ...TINY_T5, feed_forward_proj: 'relu', num_layers: 1, d_model: 20, d_kv: 4 },
    { ...TINY_T5, num_layers: 5, num_heads: 1, d_ff: 33, d_model: 48 },
    { ...TINY_T5, feed_forward_proj: 'gated-silu', num_layers: 3, relative_attention_num_buckets: 32 },
  ];

  it.each(
    CONFIGS.flatMap((json, i) =>
      (['F32', 'F16', 'BF16'] as const).map(dtype => ({ json, dtype, maxShardBytes: i % 2 ? 1500 : undefined })),
    ),
  )(
    'equals the resident encoder bit for bit: $dtype, $json.num_layers × $json.feed_forward_proj',
    async ({ json, dtype, maxShardBytes }) => {
      const dir = join(tempFolder(), 'text_encoder');
      const written = randomModel({ ...json, relative_attention_max_distance: 128 });
      await written.savePretrained(dir, { dtype, maxShardBytes });
      written.dispose();
      const model = await T5EncoderModel.fromPretrained(dir);
      const batch = texts(4);
      const expected = resident(model, batch);
      model.dispose();

      const before = tf.memory();
      const encoder = await StreamedT5Encoder.fromPretrained(dir);
      expect(encoder.width).toBe(json.d_model);
      expect(await encoder.encode(batch)).toEqual(expected);
      expect(await encoder.encode(batch)).toEqual(expected); // and again
      expect(tf.memory()).toEqual(before);
      encoder.dispose();
      expect(Math.max(...expected[0]!.map((v, i) => Math.abs(v - expected[1]![i]!)))).toBeGreaterThan(0.01);
    },
  );

  it('takes the embedding under either name, leaves a decoder aside', async () => {
    const model = randomModel(TINY_T5);
    const { 'shared.weight': shared, ...rest } = model.stateDict();
    const batch = texts(3);
    const expected = resident(model, batch);
    model.dispose();
    const file = join(tempFolder(), 'model.safetensors');
    const tensors = {
      ...rest,
      'encoder.embed_tokens.weight': shared!,
      'decoder.x': shared!,
      'lm_head.weight': shared!,
    };
    await writeSafetensors(
      file,
      Object.entries(tensors).map(([name, { shape, data }]) => ({ name, shape, data })),
    );
    const wrong = { shape: shared!.shape, data: new Float32Array(shared!.data.length) };
    for (const source of [
      openSafetensors(file),
      memorySource({ ...rest, 'shared.weight': shared!, 'encoder.embed_tokens.weight': wrong }),
    ]) {
      const encoder = new StreamedT5Encoder(TINY_T5, source);
      expect(await encoder.encode(batch)).toEqual(expected);
      encoder.dispose();
    }
  });

  it('holds one block at a time, and reads each tensor once, of the embedding the rows in use', async () => {
    const json = { ...TINY_T5, num_layers: 4, d_model: 64, d_ff: 200 };
    const model = randomModel(json);
    const dir = tempFolder();
    await model.savePretrained(dir);
    model.dispose();
    const file = openSafetensors(dir);
    const { source, reads } = watched(file);
    const encoder = new StreamedT5Encoder(json, source);
    expect(reads).toEqual([]);
    const before = tf.memory().numBytes;
    const { model: skeleton } = encoder as unknown as { model: T5EncoderModel };
    const atWork: string[] = [];
    let bytes = 0;
    const undo = skeleton.layers.map((layer, index) => {
      const { forward } = layer;
      layer.forward = (...inputs) => {
        const ready = [...skeleton.parameters()].filter(([, p]) => p.isReady).map(([name]) => name);
        expect(ready).toEqual([...layer.parameters().values()].map(p => p.path));
        atWork.push(/block\.(\d)/.exec(ready[0]!)![1]!);
        const asked = (i: number) => reads.some(read => read.includes(`block.${i}.`));
        expect([asked(index + 1), asked(index + 2)]).toEqual([index < 3, false]); // the next block is on its way
        bytes = Math.max(bytes, tf.memory().numBytes - before);
        return forward.apply(layer, inputs);
      };
      return () => Object.assign(layer, { forward });
    });
    await encoder.encode(texts(3));
    for (const f of undo) f();
    expect(atWork.join('')).toBe('000111222333');
    const block = 4 * [...skeleton.layers[0]!.parameters().values()].reduce((sum, p) => sum + p.size, 0);
    expect(bytes).toBeGreaterThan(block);
    expect(bytes).toBeLessThan(1.25 * block); // the rest: the states of three texts and their position biases
    const names = file.names().filter(name => name !== 'shared.weight');
    expect([...reads].sort()).toEqual([...names.map(name => `read ${name}`), 'rows of shared.weight'].sort());
    encoder.dispose();
  });

  it('gives every text the same states whatever its company, in one pass or several', async () => {
    const model = randomModel(TINY_T5);
    const source = memorySource(model.stateDict());
    const batch = texts(5);
    const progress: string[] = [];
    const onLayer = (done: number, total: number) => progress.push(`${done}/${total}`);
    const whole = await new StreamedT5Encoder(TINY_T5, source).encode(batch, { onLayer });
    expect(progress).toEqual(['1/2', '2/2']);
    progress.length = 0;
    const parts = await new StreamedT5Encoder(TINY_T5, source, { stateBytes: 2 * 4 * LENGTH * 12 }).encode(batch, {
      onLayer,
    });
    expect(progress).toEqual(['1/6', '2/6', '3/6', '4/6', '5/6', '6/6']); // passes of 2, 2 and 1 texts
    expect(parts).toEqual(whole);
    const third = {
      inputIds: batch.inputIds.slice(2 * LENGTH, 3 * LENGTH),
      attentionMask: batch.attentionMask.slice(2 * LENGTH, 3 * LENGTH),
    };
    const [alone] = await new StreamedT5Encoder(TINY_T5, source).encode({ ...third, shape: [1, LENGTH] });
    expect(alone).toEqual(whole[2]);
    expect(
      await new StreamedT5Encoder(TINY_T5, source).encode({
        ...third,
        shape: [0, LENGTH],
        inputIds: new Int32Array(0),
        attentionMask: new Int32Array(0),
      }),
    ).toEqual([]);
    model.dispose();
  });

  it('takes calls one after the other', async () => {
    const model = randomModel(TINY_T5);
    const encoder = new StreamedT5Encoder(TINY_T5, memorySource(model.stateDict()));
    const order: string[] = [];
    const run = (name: string, count: number) =>
      encoder.encode(texts(count), { onLayer: done => order.push(`${name}${done}`) });
    const [a, b] = await Promise.all([run('a', 2), run('b', 3)]);
    expect(order).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(b!.slice(0, 2)).toEqual(a);
    model.dispose();
  });

  it('lists everything that does not fit at once, before anything is read', async () => {
    const model = randomModel({ ...TINY_T5, num_layers: 3 });
    const state = model.stateDict();
    model.dispose();
    const of = (i: number, rest: string) => `encoder.block.${i}.layer.${rest}.weight`;
    delete state[of(0, '0.SelfAttention.q')];
    delete state[of(2, '1.DenseReluDense.wo')];
    state[of(2, '0.SelfAttention.o')] = { shape: [12, 16], data: new Float32Array(192) };
    state['encoder.block.3.x'] = { shape: [1], data: new Float32Array(1) };
    const { source, reads } = watched(memorySource(state, 't5.safetensors'));
    const error = await thrown(() => new StreamedT5Encoder({ ...TINY_T5, num_layers: 3 }, source));
    expect(error.code).toBe('weights.misfit');
    expect(error.message).toMatch(
      /2 missing:.*block\.0.*q\.weight.*block\.2.*wo\.weight.*1 unexpected:.*block\.3\.x.*1 of another shape:.*block\.2.*\[12,15\].*\[12,16\]/s,
    );
    expect(reads).toEqual([]);
  });

  it('frees everything and works again after a failure', async () => {
    const model = randomModel(TINY_T5);
    const memory = memorySource(model.stateDict());
    const batch = texts(2);
    const expected = resident(model, batch);
    model.dispose();
    let broken = true;
    const source: WeightSource = {
      ...memory,
      read: async name => {
        if (broken && name.includes('block.1') && name.includes('wo')) throw new Error('the disk is gone');
        return memory.read(name);
      },
    };
    const encoder = new StreamedT5Encoder(TINY_T5, source);
    const before = tf.memory();
    expect((await thrown(() => encoder.encode(batch))).message).toBe('the disk is gone');
    expect(tf.memory()).toEqual(before);
    broken = false;
    const stop = () => {
      throw new Error('stopped');
    };
    expect((await thrown(() => encoder.encode(batch, { onLayer: stop }))).message).toBe('stopped');
    expect(tf.memory()).toEqual(before);
    const outside = { ...batch, inputIds: batch.inputIds.map(id => id + 10) };
    expect((await thrown(() => encoder.encode(outside))).message).toMatch(/no row 1\d: its shape is \[11,12\]/);
    expect(await encoder.encode(batch)).toEqual(expected);
    expect(tf.memory()).toEqual(before);
  });

  const fixture = resolve(import.meta.dirname, '../../../../shared/fixtures/t5_encoder');
  it.runIf(existsSync(fixture))("equals transformers' output and, bit for bit, the resident encoder", async () => {
    const weights = openSafetensors(join(fixture, 'weights.safetensors'));
    const io = openSafetensors(join(fixture, 'io.safetensors'));
    const config = readModelConfig(fixture);
    const [count, length] = io.info('in.input_ids').shape as [number, number];
    const batch: TokenBatch = {
      inputIds: Int32Array.from(await io.read('in.input_ids')),
      attentionMask: Int32Array.from(await io.read('in.attention_mask')),
      shape: [count, length],
    };
    const model = new T5EncoderModel(config);
    await model.loadStateDict(weights);
    const states = await new StreamedT5Encoder(config, weights).encode(batch);
    expect(states).toEqual(resident(model, batch));
    const reference = (await io.read('out.last_hidden_state')) as Float32Array;
    const flat = states.flatMap(state => [...state]);
    expect(flat.length).toBe(reference.length);
    expect(Math.max(...flat.map((v, i) => Math.abs(v - reference[i]!)))).toBeLessThan(2e-5);
    for (const file of [weights, io]) file.close();
    model.dispose();
  });
});
