import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, type Tensor, tf, valueAndGrads } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { parseClipTextConfig } from '../../../src/models/text/clip-config.js';
import { CLIPTextModel } from '../../../src/models/text/clip-text.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { verify } from '../../../src/verify/index.js';
import { tempFolder } from '../weights/files.js';
import type { State } from './naive-t5.js';
import { hasTransformers, runTransformers } from './transformers.js';

/** Made by test/reference/clip.py with transformers 4.29.1, `eos*` with 5.24.0. */
const CASES = resolve(import.meta.dirname, 'clip-cases');
const WHOLE = resolve(import.meta.dirname, '../clip/cases');
const FIXTURES = resolve(import.meta.dirname, '../../../../shared/fixtures');

const SMALL = {
  model_type: 'clip_text_model',
  vocab_size: 40,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  max_position_embeddings: 9,
  eos_token_id: 2,
};
const IDS = [
  [38, 4, 9, 39, 1, 1],
  [38, 30, 2, 7, 12, 39],
];
const MASK = [
  [1, 1, 1, 1, 0, 0],
  [1, 1, 0, 1, 1, 1],
];
const int32 = (rows: number[][]) => tf.tensor2d(rows, undefined, 'int32');

/** A model whose every path matters: larger weights, and norms and biases not at their plain first values. */
function randomModel(json: Record<string, unknown> = SMALL) {
  const model = new CLIPTextModel(json);
  model.initialize(3);
  let seed = 0;
  for (const p of model.parameters().values()) {
    const phase = ++seed;
    p.load(p.toTorch().map((v, i) => 3 * v + 0.2 * Math.sin(phase + 1.7 * i)));
  }
  return model;
}

/** Arrays of both outputs; all tensors are freed. */
function run(model: CLIPTextModel, ids: number[][], mask?: number[][]) {
  return tf.tidy(() => {
    const { lastHiddenState, pooled } = model.forward(int32(ids), mask ? int32(mask) : null);
    return { states: lastHiddenState.arraySync(), pooled: pooled.arraySync() } as never;
  }) as { states: number[][][]; pooled: number[][] };
}

const worst = (a: unknown, b: unknown) => {
  const [x, y] = [a, b].map(v => [v].flat(9) as number[]);
  return Math.max(...x!.map((v, i) => Math.abs(v - y![i]!)));
};

describe('CLIPTextModel against transformers', () => {
  it('gives the committed outputs: heads, activations, masks, ends of text', async () => {
    const before = tf.memory().numTensors;
    const results = await verify(CASES);
    expect(results.map(r => [r.name, r.outputs])).toEqual([
      ['eos', 6],
      ['eos-is-2', 3],
      ['gelu', 3],
      ['gelu-new', 3],
      ['masks', 15],
      ['relu', 3],
      ['silu', 3],
    ]);
    for (const { name, status, message, maxAbsError } of results) {
      expect(status, `${name}: ${message}`).toBe('passed');
      expect(maxAbsError, name).toBeLessThan(1e-5);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it.runIf(existsSync(FIXTURES))('passes the reference fixtures', async () => {
    const results = await verify(FIXTURES, { only: 'clip_text*' });
    expect(results.map(r => [r.name, r.status, r.outputs])).toEqual([
      ['clip_text_gelu', 'passed', 3],
      ['clip_text_quick_gelu', 'passed', 3],
    ]);
  });

  it("has transformers' names and shapes, all frozen", () => {
    const file = openSafetensors(join(CASES, 'masks', 'weights.safetensors'));
    const buffer = 'text_model.embeddings.position_ids';
    expect(file.has(buffer)).toBe(true); // it is ignored
    const model = new CLIPTextModel(JSON.parse(readFileSync(join(CASES, 'masks', 'config.json'), 'utf8')));
    const shapes = [...model.parameters()].map(([name, p]) => [name, p.torchShape]);
    const expected = file.names().flatMap(name => (name === buffer ? [] : [[name, file.info(name).shape]]));
    file.close();
    expect(Object.fromEntries(shapes)).toEqual(Object.fromEntries(expected));
    expect(model.trainable).toBe(false);
    expect([model.width, model.maxLength]).toEqual([15, 12]);
  });

  it('has the size of the text encoder of latent video models', () => {
    const model = new CLIPTextModel({
      hidden_size: 1024,
      intermediate_size: 4096,
      num_attention_heads: 16,
      num_hidden_layers: 23,
      hidden_act: 'gelu',
    });
    expect(model.countParams()).toBe(340_387_840); // counted by transformers 4.29.1 and 5.24.0
  });

  it("draws first values with transformers' deviations", () => {
    const model = new CLIPTextModel({ ...SMALL, hidden_size: 96, intermediate_size: 200, initializer_factor: 2 });
    model.initialize(0);
    const deviation = (name: string) => {
      const values = model.parameters().get(`text_model.${name}`)!.toTorch();
      return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    };
    const layer = 'encoder.layers.1.';
    const expected: [string, number][] = [
      ['embeddings.token_embedding.weight', 0.02 * 2],
      [`${layer}self_attn.q_proj.weight`, 2 * 96 ** -0.5 * 4 ** -0.5],
      [`${layer}self_attn.out_proj.weight`, 2 * 96 ** -0.5],
      [`${layer}mlp.fc1.weight`, 2 * 192 ** -0.5],
      [`${layer}mlp.fc2.weight`, 2 * 96 ** -0.5 * 4 ** -0.5],
    ];
    for (const [name, value] of expected) expect(deviation(name) / value, name).toBeCloseTo(1, 1);
    expect(deviation(`${layer}mlp.fc1.bias`)).toBe(0);
    expect(deviation('final_layer_norm.weight')).toBe(1);
    model.dispose();
  });

  it.runIf(hasTransformers())('saves what Python loads unchanged', async () => {
    const dir = join(tempFolder(), 'text_encoder');
    const model = randomModel();
    const { states, pooled } = run(model, IDS, MASK);
    await model.savePretrained(dir);
    model.dispose();
    const inputs = { input_ids: IDS, attention_mask: MASK };
    const python = runTransformers(dir, 'CLIPTextModel', inputs, ['last_hidden_state', 'pooler_output']);
    expect(python.problems).toEqual({ missing_keys: [], unexpected_keys: [], mismatched_keys: [] });
    expect(python.config).toMatchObject(SMALL);
    expect(worst(python.outputs.last_hidden_state, states)).toBeLessThan(1e-5);
    expect(worst(python.outputs.pooler_output, pooled)).toBeLessThan(1e-5);
  });
});

describe('CLIPTextModel', () => {
  it('sees no later token, treats texts separately and frees what it makes', () => {
    const model = randomModel();
    const before = tf.memory().numTensors;
    const both = run(model, IDS, MASK);
    const ids = int32(IDS);
    const { lastHiddenState, pooled } = model.forward(ids);
    expect(tf.memory().numTensors).toBe(before + 3);
    tf.dispose([ids, lastHiddenState, pooled]);
    const twice = int32(IDS);
    const states = model.hiddenStates(twice);
    expect(tf.memory().numTensors).toBe(before + 1 + 3); // embeddings and two layers
    tf.dispose([twice, ...states]);

    const alone = run(model, [IDS[0]!], [MASK[0]!]);
    expect(worst(both.states[0], alone.states[0])).toBeLessThan(3e-5);
    const changed = run(model, [[...IDS[0]!.slice(0, 4), 22, 23]], [MASK[0]!]);
    expect(worst(changed.states[0]!.slice(0, 4), alone.states[0]!.slice(0, 4))).toBeLessThan(3e-5);
    expect(worst(changed.states[0]!.slice(4), alone.states[0]!.slice(4))).toBeGreaterThan(1e-2);
    const unmasked = run(model, [IDS[1]!]).states[0]!;
    expect(worst(both.states[1]!.slice(0, 2), unmasked.slice(0, 2))).toBeLessThan(3e-5);
    expect(worst(both.states[1]!.slice(2), unmasked.slice(2))).toBeGreaterThan(1e-2); // the mask matters
    model.dispose();
    expect(tf.memory().numTensors).toBe(before - model.parameters().size);
  });

  it('refuses ids outside of the vocabulary', () => {
    const model = randomModel();
    for (const id of [40, -1]) {
      expect(() => run(model, [[38, id, 39]])).toThrow(
        new RegExp(`a token is ${id}; ids from 0 to 39 are known \\(vocab_size\\): use the tokenizer`),
      );
    }
    model.dispose();
  });

  it.each([null, MASK])('gives the same compiled, outputs and gradients; mask %o', mask => {
    const model = randomModel({ ...SMALL, eos_token_id: 39 });
    const weights = ['embeddings.token_embedding.weight', 'encoder.layers.0.self_attn.v_proj.weight'].map(name =>
      model.parameters().get(`text_model.${name}`)!.value(),
    );
    const step = (ids: Tensor, attention?: Tensor) => {
      const both = () => model.forward(ids, attention);
      const loss = () => both().lastHiddenState.square().mean().add(both().pooled.sum());
      const { value, grads } = valueAndGrads(loss, weights);
      const { lastHiddenState, pooled } = both();
      return [lastHiddenState, pooled, value, ...grads, ...model.hiddenStates(ids, attention)];
    };
    const compiled = compile(step as (...inputs: Tensor[]) => Tensor[], { name: 'clip_text_test' });
    tf.tidy(() => {
      const inputs = [int32(IDS), ...(mask ? [int32(mask)] : [])] as [Tensor];
      const [eager, traced] = [step(...inputs), compiled(...inputs)];
      expect(traced.map(t => t.shape)).toEqual(eager.map(t => t.shape));
      for (const [i, expected] of eager.entries()) {
        const scale = expected.abs().max().dataSync()[0]!;
        expect(scale).toBeGreaterThan(1e-3);
        expect(expected.sub(traced[i]!).abs().max().dataSync()[0]! / scale).toBeLessThan(1e-5);
      }
    });
    compiled.dispose();
    model.dispose();
  });

  it('can be a layer of TF.js and can train', () => {
    const model = randomModel();
    tf.tidy(() => {
      const [states, pooled] = model.call([int32(IDS), int32(MASK)]);
      expect([states!.shape, pooled!.shape]).toEqual([
        [2, 6, 12],
        [2, 12],
      ]);
      expect(worst(pooled!.arraySync(), run(model, IDS, MASK).pooled)).toBe(0);
    });
    expect(model.trainableWeights).toHaveLength(0);
    model.trainable = true;
    expect(model.trainableWeights).toHaveLength(model.parameters().size);
    model.dispose();
  });

  it('saves and loads a folder', async () => {
    const dir = join(tempFolder(), 'text_encoder');
    const model = randomModel();
    await model.savePretrained(dir);
    const expected = run(model, IDS, MASK);
    model.dispose();
    const loaded = await CLIPTextModel.fromPretrained(dir);
    expect(run(loaded, IDS, MASK)).toEqual(expected);
    expect(loaded.config).toEqual(parseClipTextConfig(SMALL));
    expect(loaded.configJson()).toEqual({ ...SMALL, architectures: ['CLIPTextModel'] });
    loaded.dispose();
  });

  it('takes the text part of a whole CLIP, old or new', async () => {
    for (const name of ['odd-sizes', 'eos']) {
      const json = JSON.parse(readFileSync(join(WHOLE, name, 'config.json'), 'utf8'));
      const loaded = new CLIPTextModel(json);
      expect(loaded.configJson()).toEqual({ ...json.text_config, architectures: ['CLIPTextModel'] });
      const file = openSafetensors(join(WHOLE, name, 'weights.safetensors'));
      expect(await loaded.loadStateDict(file)).toEqual({ missing: [], unexpected: [] });
      const weight = await file.read('text_model.encoder.layers.1.mlp.fc2.weight');
      file.close();
      expect(loaded.parameters().get('text_model.encoder.layers.1.mlp.fc2.weight')!.toTorch()).toEqual(weight);
      loaded.dispose();
    }
  });

  it('takes names without their prefix, leaves position numbers aside, and applies a renaming first', async () => {
    const model = randomModel();
    const state = model.stateDict();
    const expected = run(model, IDS);
    model.dispose();
    const bare = Object.fromEntries(Object.entries(state).map(([name, t]) => [name.replace('text_model.', ''), t]));
    const ids = { shape: [1, 9], data: Int32Array.from({ length: 9 }, (_, i) => i) };
    const foreign = Object.fromEntries(Object.entries(bare).map(([name, t]) => [`cond.${name}`, t]));
    const loaded = new CLIPTextModel(SMALL);
    const sources: [State, ((name: string) => string | null)?][] = [
      [{ ...bare, 'embeddings.position_ids': ids }],
      [{ ...state, 'text_model.embeddings.position_ids': ids, logit_scale: { shape: [], data: Float32Array.of(1) } }],
      [{ ...foreign, junk: ids }, name => (name === 'junk' ? null : name.replace('cond.', ''))],
    ];
    for (const [tensors, rename] of sources) {
      const report = await loaded.loadStateDict(memorySource(tensors), { rename });
      expect(report).toEqual({ missing: [], unexpected: [] });
      expect(run(loaded, IDS)).toEqual(expected);
      loaded.dispose();
    }
  });

  it('refuses weights that lack a layer or are of a vision encoder', async () => {
    const model = randomModel({ ...SMALL, num_hidden_layers: 1 });
    const source = memorySource(model.stateDict(), 'one-layer.safetensors');
    await expect(new CLIPTextModel(SMALL).loadStateDict(source)).rejects.toThrow(/missing.*encoder\.layers\.1/s);
    const vision = { 'embeddings.class_embedding': { shape: [12], data: new Float32Array(12) } };
    const more = memorySource({ ...model.stateDict(), ...vision });
    await expect(model.loadStateDict(more)).rejects.toThrow(/unexpected.*embeddings\.class_embedding/s);
    model.dispose();
  });

  it.each<[string, () => [Tensor, (Tensor | null)?], string]>([
    [
      'too many tokens',
      () => [tf.zeros([2, 10], 'int32')],
      'inputIds is int32 [2,10]; at most 9 tokens have a position (max_position_embeddings): cut the texts',
    ],
    ['numbers that are no ids', () => [tf.zeros([2, 4])], 'inputIds is float32 [2,4]; it must be int32 [B, L]'],
    ['one text', () => [tf.zeros([4], 'int32')], 'inputIds is int32 [4]; it must be int32 [B, L]'],
    [
      'a mask of another length',
      () => [tf.zeros([2, 4], 'int32'), tf.ones([2, 5], 'int32')],
      'attentionMask is int32 [2,5]; it must have the shape of inputIds, [2,4]',
    ],
  ])('refuses %s', (_, inputs, message) => {
    const model = randomModel();
    const before = tf.memory().numTensors;
    const eager = () => tf.tidy(() => model.forward(...inputs()) as never);
    expect(eager).toThrow(InputError);
    expect(eager).toThrow(`CLIP: ${message}.`);
    expect(() => compile(() => [model.forward(...inputs()).pooled])()).toThrow(message); // the same while traced
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

describe('parseClipTextConfig', () => {
  it("has transformers' defaults", () => {
    expect(parseClipTextConfig({})).toEqual({
      vocabSize: 49408,
      hiddenSize: 512,
      intermediateSize: 2048,
      numLayers: 12,
      numHeads: 8,
      maxPositionEmbeddings: 77,
      layerNormEps: 1e-5,
      activation: 'quick_gelu',
      initializerFactor: 1,
      eosTokenId: 49407,
    });
  });

  it('ends texts at eos_token_id, at the largest id where that is 2 or left out of a small vocabulary', () => {
    const eos = (json: Record<string, unknown>) => parseClipTextConfig({ vocab_size: 40, ...json }).eosTokenId;
    expect([eos({ eos_token_id: 5 }), eos({ eos_token_id: 2 }), eos({}), eos({ eos_token_id: null })]).toEqual([
      5,
      null,
      null,
      null,
    ]);
  });

  it('reads the text part of a whole CLIP, and text_config_dict instead where there is one', () => {
    const whole = { model_type: 'clip', text_config: { hidden_size: 24, num_attention_heads: 3, vocab_size: 7 } };
    expect(parseClipTextConfig(whole)).toMatchObject({ hiddenSize: 24, numHeads: 3, vocabSize: 7 });
    const both = { ...whole, text_config_dict: { hidden_size: 64 } };
    // transformers 4.29.1 and 5.24.0: CLIPConfig(**both).text_config has these
    expect(parseClipTextConfig(both)).toMatchObject({ hiddenSize: 64, numHeads: 8, vocabSize: 49408 });
    expect(parseClipTextConfig({ ...whole, text_config_dict: null })).toMatchObject({ hiddenSize: 24 });
  });

  it.each([
    [{ hidden_size: 2.5 }, /^text\/config\.json: hidden_size is 2\.5; allowed: a whole number from 1/],
    [{ num_attention_heads: 5 }, /num_attention_heads is 5; a divisor of hidden_size \(12\) is needed/],
    [{ hidden_act: 'gelu_10' }, /hidden_act is "gelu_10"; allowed: "quick_gelu", "gelu"/],
    [{ layer_norm_eps: 0 }, /layer_norm_eps is 0; a positive number/],
    [{ eos_token_id: [2, 3] }, /eos_token_id is \[2,3\]; one whole number/],
    [{ model_type: 't5' }, /model_type is "t5"; allowed: "clip_text_model", or "clip"/],
    [{ model_type: 'clip', text_config: 3 }, /text_config is 3; an object/],
  ])('refuses %o', (change, message) => {
    const parse = () => parseClipTextConfig({ ...SMALL, ...change }, 'text/config.json');
    expect(parse).toThrow(InputError);
    expect(parse).toThrow(message);
  });
});
