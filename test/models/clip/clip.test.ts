import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, type Tensor, tf, valueAndGrads } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { CLIPModel, parseClipConfig } from '../../../src/models/clip/index.js';
import { CLIPTextModel } from '../../../src/models/text/clip-text.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { verify } from '../../../src/verify/index.js';
import { sample } from '../../engine/finite-difference.js';
import { hasTransformers, runTransformers } from '../text/transformers.js';
import { tempFolder } from '../weights/files.js';

/** Made by test/reference/clip.py: `odd-sizes` with transformers 4.29.1, `eos` with 5.24.0. */
const CASES = resolve(import.meta.dirname, 'cases');
const FIXTURES = resolve(import.meta.dirname, '../../../../shared/fixtures');

const TINY = {
  model_type: 'clip',
  text_config: {
    model_type: 'clip_text_model',
    vocab_size: 20,
    hidden_size: 12,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    max_position_embeddings: 6,
    eos_token_id: 2,
  },
  vision_config: {
    model_type: 'clip_vision_model',
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    image_size: 7,
    patch_size: 3,
  },
  projection_dim: 5,
  logit_scale_init_value: 1.25,
};
const IDS = [
  [18, 4, 9, 19, 1],
  [18, 3, 2, 7, 19],
  [18, 19, 1, 1, 1],
];
const MASK = [
  [1, 1, 1, 1, 0],
  [1, 0, 1, 1, 1],
  [1, 1, 0, 0, 0],
];
const int32 = (rows: number[][]) => tf.tensor2d(rows, undefined, 'int32');
const pixels = sample([2, 7, 7, 3], 5);

/** Larger weights, and norms and biases not at their plain first values. */
function randomModel(json: Record<string, unknown> = TINY) {
  const model = new CLIPModel(json);
  model.initialize(3);
  let seed = 0;
  for (const [name, p] of model.parameters()) {
    const phase = ++seed;
    if (name !== 'logit_scale') p.load(p.toTorch().map((v, i) => 2 * v + 0.2 * Math.sin(phase + 1.7 * i)));
  }
  return model;
}

const worst = (a: unknown, b: unknown) => {
  const [x, y] = [a, b].map(v => [v].flat(9) as number[]);
  expect(x!.length).toBe(y!.length);
  return Math.max(...x!.map((v, i) => Math.abs(v - y![i]!)));
};

describe('CLIPModel against transformers', () => {
  it('gives the committed outputs: sizes, masks, ends of text', async () => {
    const before = tf.memory().numTensors;
    const results = await verify(CASES);
    expect(results.map(r => [r.name, r.outputs])).toEqual([
      ['eos', 6],
      ['odd-sizes', 18],
    ]);
    for (const { name, status, message, maxAbsError } of results) {
      expect(status, `${name}: ${message}`).toBe('passed');
      expect(maxAbsError, name).toBeLessThan(2e-5);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it.runIf(existsSync(FIXTURES))('passes the reference fixture', async () => {
    const results = await verify(FIXTURES, { only: 'clip_full' });
    expect(results.map(r => [r.name, r.status, r.outputs])).toEqual([['clip_full', 'passed', 6]]);
  });

  it.each(['odd-sizes', 'eos'])("has transformers' names and shapes, all frozen: %s", name => {
    const file = openSafetensors(join(CASES, name, 'weights.safetensors'));
    const model = new CLIPModel(JSON.parse(readFileSync(join(CASES, name, 'config.json'), 'utf8')));
    const own = file.names().filter(tensor => !tensor.endsWith('.position_ids'));
    expect(Object.fromEntries([...model.parameters()].map(([key, p]) => [key, p.torchShape]))).toEqual(
      Object.fromEntries(own.map(tensor => [tensor, file.info(tensor).shape])),
    );
    expect(own.length < file.names().length).toBe(name === 'odd-sizes'); // old files hold position numbers too
    file.close();
    expect(model.trainable).toBe(false);
  });

  // counted by transformers 4.29.1 and 5.24.0
  it.each([
    ['ViT-B/32', 151_277_313, {}],
    ['ViT-B/16', 149_620_737, { vision_config: { patch_size: 16 } }],
    [
      'ViT-L/14',
      427_616_513,
      {
        text_config: { hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12 },
        vision_config: {
          hidden_size: 1024,
          intermediate_size: 4096,
          num_hidden_layers: 24,
          num_attention_heads: 16,
          patch_size: 14,
        },
        projection_dim: 768,
      },
    ],
  ])('%s has %i parameters', (_, parameters, config) => {
    const model = new CLIPModel({ model_type: 'clip', ...config });
    expect(model.countParams()).toBe(parameters);
    expect([model.imageSize, model.maxLength]).toEqual([224, 77]);
  });

  it.runIf(hasTransformers())('saves what Python loads unchanged', async () => {
    const dir = join(tempFolder(), 'clip');
    const model = randomModel();
    const out = tf.tidy(() => {
      const { textEmbeds, imageEmbeds, logitsPerText } = model.forward(int32(IDS), pixels, int32(MASK));
      return [textEmbeds, imageEmbeds, logitsPerText].map(x => x.arraySync()) as never;
    }) as unknown[];
    await model.savePretrained(dir);
    model.dispose();
    const inputs = {
      input_ids: IDS,
      attention_mask: MASK,
      pixel_values: tf.tidy(() => pixels.transpose([0, 3, 1, 2]).arraySync()),
    };
    const names = ['text_embeds', 'image_embeds', 'logits_per_text'];
    const python = runTransformers(dir, 'CLIPModel', inputs, names);
    expect(python.problems).toEqual({ missing_keys: [], unexpected_keys: [], mismatched_keys: [] });
    expect(python.config).toMatchObject(TINY);
    for (const [i, name] of names.entries()) expect(worst(python.outputs[name], out[i])).toBeLessThan(1e-5);
  });
});

describe('CLIPModel', () => {
  it('relates its outputs as documented and frees what it makes', () => {
    const model = randomModel();
    const before = tf.memory().numTensors;
    const inputs = [int32(IDS), int32(MASK)] as const;
    const out = model.forward(inputs[0], pixels, inputs[1]);
    const features = [model.encodeText(...inputs), model.encodeImage(pixels)] as const;
    expect(tf.memory().numTensors).toBe(before + 2 + 4 + 2);
    const embeds = [out.textEmbeds, out.imageEmbeds] as const;
    expect(embeds.map(x => x.shape)).toEqual([
      [3, 5],
      [2, 5],
    ]);
    tf.tidy(() => {
      for (const [i, x] of embeds.entries()) {
        expect(worst(x.norm('euclidean', 1).arraySync(), Array(x.shape[0]).fill(1))).toBeLessThan(3e-5);
        expect(
          worst(features[i]!.div(features[i]!.norm('euclidean', 1, true)).arraySync(), x.arraySync()),
        ).toBeLessThan(3e-5);
        expect(Math.abs(features[i]!.norm().dataSync()[0]! - 1)).toBeGreaterThan(0.1); // these are not normalised
      }
      const [texts, images] = embeds.map(x => x.arraySync() as number[][]);
      const logits = texts!.map(t =>
        images!.map(v => Math.exp(1.25) * t.reduce((sum, value, i) => sum + value * v[i]!, 0)),
      );
      expect(worst(out.logitsPerText.arraySync(), logits)).toBeLessThan(1e-5);
      expect(out.logitsPerImage.arraySync()).toEqual(out.logitsPerText.transpose().arraySync());
      // images do not see each other
      expect(
        worst(model.encodeImage(pixels.slice(1, 1)).arraySync(), features[1].slice(1, 1).arraySync()),
      ).toBeLessThan(3e-5);
      expect(worst(features[1].slice(1, 1).arraySync(), features[1].slice(0, 1).arraySync())).toBeGreaterThan(1e-2);
      const called = model.call([inputs[0], pixels, inputs[1]]);
      const expected = [out.logitsPerImage, out.logitsPerText, ...embeds];
      expect(called.map(x => x.arraySync())).toEqual(expected.map(x => x.arraySync()));
    });
    tf.dispose([...inputs, ...features, ...Object.values(out)]);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before - model.parameters().size);
  });

  it('gives the same compiled, outputs and gradients', () => {
    const model = randomModel();
    const entries = [...model.parameters()].filter(([name]) => !name.endsWith('k_proj.bias')); // no gradient: softmax
    const weights = entries.map(([, p]) => p.value());
    const step = (ids: Tensor, images: Tensor, mask: Tensor) => {
      const logits = () => model.forward(ids, images, mask).logitsPerText;
      const target = tf.tensor2d([1, 0, 0, 1, 1, 0], [3, 2]);
      const { value, grads } = valueAndGrads(() => logits().sub(target).square().sum(), [images, ...weights]);
      return [...Object.values(model.forward(ids, images, mask)), value, ...grads];
    };
    const compiled = compile(step as (...inputs: Tensor[]) => Tensor[], { name: 'clip_test' });
    tf.tidy(() => {
      const inputs = [int32(IDS), pixels, int32(MASK)] as const;
      const [eager, traced] = [step(...inputs), compiled(...inputs)];
      expect(eager).toHaveLength(4 + 1 + 1 + weights.length);
      for (const [i, expected] of eager.entries()) {
        const scale = expected.abs().max().dataSync()[0]!;
        const what = i < 6 ? `output ${i}` : entries[i - 6]![0];
        expect(scale, what).toBeGreaterThan(1e-6); // every weight reaches the logits
        expect(expected.sub(traced[i]!).abs().max().dataSync()[0]! / scale, what).toBeLessThan(1e-4);
      }
    });
    compiled.dispose();
    model.dispose();
  });

  it('saves and loads a folder, whose text part CLIPTextModel takes too', async () => {
    const dir = join(tempFolder(), 'clip');
    const model = randomModel();
    await model.savePretrained(dir);
    const expected = tf.tidy(() => model.forward(int32(IDS), pixels).logitsPerText.arraySync());
    const loaded = await CLIPModel.fromPretrained(dir);
    expect(tf.tidy(() => loaded.forward(int32(IDS), pixels).logitsPerText.arraySync())).toEqual(expected);
    expect(loaded.config).toEqual(parseClipConfig(TINY));
    expect(loaded.configJson()).toEqual({ ...TINY, architectures: ['CLIPModel'] });
    const text = await CLIPTextModel.fromPretrained(dir);
    tf.tidy(() => {
      const projection = model.parameters().get('text_projection.weight')!.value();
      const projected = text.forward(int32(IDS)).pooled.matMul(projection, false, true);
      expect(worst(projected.arraySync(), model.encodeText(int32(IDS)).arraySync())).toBeLessThan(3e-5);
    });
    for (const m of [model, loaded, text]) m.dispose();
  });

  it('leaves position numbers aside and refuses what else does not fit', async () => {
    const model = randomModel();
    const state = model.stateDict();
    const ids = { shape: [1, 5], data: Int32Array.from([0, 1, 2, 3, 4]) };
    const old = { ...state, 'vision_model.embeddings.position_ids': ids, 'text_model.embeddings.position_ids': ids };
    expect(await model.loadStateDict(memorySource(old))).toEqual({ missing: [], unexpected: [] });
    const { logit_scale, ...rest } = state;
    await expect(model.loadStateDict(memorySource({ ...rest, ids }))).rejects.toThrow(
      /missing.*logit_scale.*unexpected.*ids/s,
    );
    model.dispose();
  });

  it('sees the same patches whether or not they leave a rest of the image', async () => {
    const odd = randomModel(); // 2x2 patches of 3 in 7x7: the last row and column are not seen
    const even = new CLIPModel({ ...TINY, vision_config: { ...TINY.vision_config, image_size: 6 } });
    await even.loadStateDict(memorySource(odd.stateDict()));
    tf.tidy(() => {
      const cut = pixels.slice([0, 0, 0, 0], [2, 6, 6, 3]);
      expect(worst(even.encodeImage(cut).arraySync(), odd.encodeImage(pixels).arraySync())).toBeLessThan(1e-5);
    });
    odd.dispose();
    even.dispose();
  });

  it.each([[[2, 6, 7, 3]], [[2, 3, 7, 7]], [[7, 7, 3]]])('refuses images of shape %o', shape => {
    const model = randomModel();
    const before = tf.memory().numTensors;
    const encode = () => tf.tidy(() => model.encodeImage(tf.zeros(shape)));
    expect(encode).toThrow(InputError);
    expect(encode).toThrow(`CLIP: pixels is [${shape}]; it must be [N, 7, 7, 3], channels last`);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  it.each([
    [
      { model_type: 'clip_text_model' },
      /^clip\/config\.json: model_type is "clip_text_model"; allowed: "clip"\. CLIPTextModel/,
    ],
    [{ projection_dim: 0 }, /^clip\/config\.json: projection_dim is 0; allowed: a whole number from 1/],
    [{ logit_scale_init_value: 'x' }, /logit_scale_init_value is "x"; allowed: a number/],
    [
      { vision_config: { patch_size: 300 } },
      /config\.json, vision_config: patch_size is 300; at most image_size \(224\)/,
    ],
    [
      { vision_config: { num_attention_heads: 5 } },
      /vision_config: num_attention_heads is 5; a divisor of hidden_size \(768\)/,
    ],
    [{ text_config: { hidden_act: 'sine' } }, /text_config: hidden_act is "sine"; allowed/],
    [{ text_config: { model_type: 'bert' } }, /text_config: model_type is "bert"; allowed: "clip_text_model"/],
  ])('refuses the config %o', (change, message) => {
    const make = () => new CLIPModel({ ...TINY, ...change }, { source: 'clip/config.json' });
    expect(make).toThrow(InputError);
    expect(make).toThrow(message);
  });
});
