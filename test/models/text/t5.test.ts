import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { T5EncoderModel } from '../../../src/models/text/t5.js';
import { parseT5Config } from '../../../src/models/text/t5-config.js';
import { relativePositionBuckets } from '../../../src/models/text/t5-position.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { tempFolder } from '../weights/files.js';
import { bucketOf, naiveT5, TINY_T5 } from './naive-t5.js';

const IDS = [4, 9, 2, 7, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const MASK = IDS.map((_, i) => (i < 6 ? 1 : 0));

function run(model: T5EncoderModel, ids: number[][], mask?: number[][]) {
  const out = tf.tidy(() =>
    model.forward(tf.tensor2d(ids, undefined, 'int32'), mask ? tf.tensor2d(mask, undefined, 'int32') : null),
  );
  const values = out.arraySync() as number[][][];
  out.dispose();
  return values;
}

const worst = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, r) => row.map((v, i) => Math.abs(v - b[r]![i]!))));

/** A model whose norms and biases are not at their plain initial values. */
function randomModel(json: Record<string, unknown>) {
  const model = new T5EncoderModel(json);
  model.initialize(3);
  for (const [name, p] of model.parameters()) {
    if (name.endsWith('norm.weight')) p.load(Float32Array.from({ length: p.size }, (_, i) => 1 + 0.5 * Math.sin(i)));
    if (name.endsWith('bias.weight')) p.load(Float32Array.from({ length: p.size }, (_, i) => Math.sin(3 * i)));
  }
  return model;
}

describe('T5EncoderModel', () => {
  it.each([
    ['gated-gelu', {}],
    ['relu', {}],
    ['gated-silu', {}],
    ['gated-gelu', { num_layers: 1, relative_attention_num_buckets: 16, relative_attention_max_distance: 128 }],
  ])('equals the encoder written out in loops: %s %o', (proj, more) => {
    const json = { ...TINY_T5, feed_forward_proj: proj, ...more };
    const model = randomModel(json);
    const state = model.stateDict();
    const [masked] = run(model, [IDS], [MASK]);
    expect(worst(masked!, naiveT5(json, state, IDS, MASK))).toBeLessThan(2e-5);
    const [all] = run(model, [IDS]);
    expect(
      worst(
        all!,
        naiveT5(
          json,
          state,
          IDS,
          IDS.map(() => 1),
        ),
      ),
    ).toBeLessThan(2e-5);
    expect(worst(all!, masked!)).toBeGreaterThan(1e-2); // the mask matters
    model.dispose();
  });

  it('treats the texts of a batch separately and frees what it makes', () => {
    const model = randomModel(TINY_T5);
    const other = [3, 1, ...IDS.slice(2)];
    const before = tf.memory().numTensors;
    const both = run(model, [IDS, other], [MASK, MASK.map((_, i) => (i < 2 ? 1 : 0))]);
    expect(tf.memory().numTensors).toBe(before);
    expect(worst(both[0]!, run(model, [IDS], [MASK])[0]!)).toBeLessThan(1e-6);
    expect(worst(both[0]!, both[1]!)).toBeGreaterThan(1e-2);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before - model.parameters().size);
  });

  it("has transformers' names and shapes, all frozen", () => {
    const model = new T5EncoderModel(TINY_T5);
    const shapes = Object.fromEntries([...model.parameters()].map(([name, p]) => [name, p.torchShape]));
    const block = (i: number) => ({
      [`encoder.block.${i}.layer.0.SelfAttention.q.weight`]: [15, 12],
      [`encoder.block.${i}.layer.0.SelfAttention.k.weight`]: [15, 12],
      [`encoder.block.${i}.layer.0.SelfAttention.v.weight`]: [15, 12],
      [`encoder.block.${i}.layer.0.SelfAttention.o.weight`]: [12, 15],
      [`encoder.block.${i}.layer.0.layer_norm.weight`]: [12],
      [`encoder.block.${i}.layer.1.DenseReluDense.wi_0.weight`]: [14, 12],
      [`encoder.block.${i}.layer.1.DenseReluDense.wi_1.weight`]: [14, 12],
      [`encoder.block.${i}.layer.1.DenseReluDense.wo.weight`]: [12, 14],
      [`encoder.block.${i}.layer.1.layer_norm.weight`]: [12],
    });
    expect(shapes).toEqual({
      'shared.weight': [11, 12],
      ...block(0),
      'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': [8, 3],
      ...block(1),
      'encoder.final_layer_norm.weight': [12],
    });
    expect(model.trainable).toBe(false);
    const relu = new T5EncoderModel({ ...TINY_T5, feed_forward_proj: 'relu' });
    expect(relu.parameters().get('encoder.block.1.layer.1.DenseReluDense.wi.weight')?.torchShape).toEqual([14, 12]);
  });

  it('saves and loads a folder', async () => {
    const dir = join(tempFolder(), 'text_encoder');
    const model = randomModel(TINY_T5);
    await model.savePretrained(dir);
    const expected = run(model, [IDS], [MASK]);
    model.dispose();
    const loaded = await T5EncoderModel.fromPretrained(dir);
    expect(run(loaded, [IDS], [MASK])).toEqual(expected);
    expect(loaded.config).toEqual(parseT5Config(TINY_T5));
    const file = openSafetensors(join(dir, 'model.safetensors'));
    expect(file.has('encoder.embed_tokens.weight')).toBe(false); // tied to shared.weight
    file.close();
    loaded.dispose();
  });

  it('takes the embedding under either name and leaves a decoder aside', async () => {
    const model = randomModel(TINY_T5);
    const state = model.stateDict();
    const expected = run(model, [IDS], [MASK]);
    model.dispose();
    const { 'shared.weight': shared, ...rest } = state;
    const extra = { 'decoder.block.0.x': shared!, 'lm_head.weight': shared! };
    const wrong = { shape: shared!.shape, data: new Float32Array(shared!.data.length) };
    for (const tensors of [
      { ...rest, ...extra, 'encoder.embed_tokens.weight': shared! },
      { ...state, 'encoder.embed_tokens.weight': wrong },
    ]) {
      const loaded = new T5EncoderModel(TINY_T5);
      const report = await loaded.loadStateDict(memorySource(tensors));
      expect(report).toEqual({ missing: [], unexpected: [] });
      expect(run(loaded, [IDS], [MASK])).toEqual(expected);
      loaded.dispose();
    }
  });

  it('refuses weights that lack a layer or have another width', async () => {
    const model = new T5EncoderModel({ ...TINY_T5, num_layers: 1 });
    model.initialize(0);
    const source = memorySource(model.stateDict(), 'one-layer.safetensors');
    await expect(new T5EncoderModel(TINY_T5).loadStateDict(source)).rejects.toThrow(/missing.*encoder\.block\.1/s);
    const wide = new T5EncoderModel({ ...TINY_T5, num_layers: 1, d_ff: 20 });
    await expect(wide.loadStateDict(source)).rejects.toThrow(/\[20,12\].*one-layer\.safetensors has \[14,12\]/);
    model.dispose();
  });
});

describe('parseT5Config', () => {
  it('derives gating and activation as transformers does', () => {
    const of = (feed_forward_proj?: string, more = {}) => {
      const { activation, gated } = parseT5Config({ ...TINY_T5, feed_forward_proj, ...more });
      return [activation, gated];
    };
    expect(of('gated-gelu')).toEqual(['gelu_new', true]);
    expect(of('relu')).toEqual(['relu', false]);
    expect(of(undefined)).toEqual(['relu', false]);
    expect(of('gated-silu')).toEqual(['silu', true]);
    expect(of('gated-gelu', { dense_act_fn: 'gelu' })).toEqual(['gelu', true]);
  });

  it.each([
    [{ d_model: undefined }, /"d_model" is undefined; a whole number/],
    [{ num_heads: 2.5 }, /"num_heads" is 2.5/],
    [{ feed_forward_proj: 'gated-tanh' }, /"feed_forward_proj".*known are relu/],
    [{ model_type: 'clip_text_model' }, /"model_type" is "clip_text_model"/],
    [{ layer_norm_epsilon: 0 }, /"layer_norm_epsilon" is 0/],
    [{ relative_attention_num_buckets: 6 }, /multiple of 4/],
  ])('refuses %o', (change, message) => {
    expect(() => parseT5Config({ ...TINY_T5, ...change })).toThrow(InputError);
    expect(() => parseT5Config({ ...TINY_T5, ...change })).toThrow(message);
  });
});

describe('relativePositionBuckets', () => {
  it.each([
    [32, 128],
    [8, 12],
    [16, 64],
  ])('equals the definition for %i buckets up to %i', (buckets, maxDistance) => {
    const length = 50;
    const got = relativePositionBuckets(length, buckets, maxDistance);
    for (let q = 0; q < length; q++) {
      for (let k = 0; k < length; k++) expect(got[q * length + k]).toBe(bucketOf(k - q, buckets, maxDistance));
    }
  });
});
