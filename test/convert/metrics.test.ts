import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { convertMetrics } from '../../src/convert/metrics.js';
import { tf } from '../../src/engine/index.js';
import { CLIPModel } from '../../src/models/clip/index.js';
import { C3D, openMetricNetwork } from '../../src/models/metrics/index.js';
import { clipConfig, clipEntries, matchClip } from '../../src/models/metrics/layouts/clip.js';
import { openSafetensors, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { memorySource } from '../../src/models/weights/source.js';
import { type ConvNetKind, renamed, type Tensors, torchCheckpoint } from '../models/metrics/checkpoints.js';
import { tempFolder, thrown } from '../models/weights/files.js';

let root: string;
const at = (...name: string[]) => join(root, ...name);
beforeEach(() => {
  root = tempFolder();
});

const TINY = {
  i3d: { width: 1 / 16, num_classes: 7 },
  c3d: { width: 1 / 16, num_classes: 5 },
  'inception-v3': { width: 1 / 16, features: 64 },
};

async function write(name: string, tensors: Tensors): Promise<string> {
  const entries = Object.entries(tensors).map(([key, tensor]) => ({ name: key, ...tensor }));
  await writeSafetensors(at(name), entries);
  return at(name);
}

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Hash of each tensor's bytes: comparing millions of numbers one by one takes seconds. */
const digests = (tensors: Tensors) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [name, `${shape} ${createHash('sha256').update(bytes).digest('hex')}`];
    }),
  );

/** Converts, opens, and gives the weights under our names. */
async function converted(file: string, kind: ConvNetKind) {
  const out = `${file}.out`;
  const result = await convertMetrics(file, out);
  const network = await openMetricNetwork(out, kind);
  const weights = network.model.stateDict();
  network.dispose();
  return { result, network, weights };
}

/** hassony2's spelling. */
const hassony = (name: string) =>
  name
    .replace(/^logits\./, 'conv3d_0c_1x1.')
    .replace('.bn.', '.batch3d.')
    .replace(/^Conv3d/, 'conv3d')
    .replace(/^Mixed_(..)\.b(\d)([ab]?)/, (_, block, branch, unit) => {
      const place = branch === '0' ? '' : unit === 'a' ? '.0' : '.1';
      return `mixed_${block}.branch_${branch}${place}`;
    });

/** TensorFlow's: kernels [t, h, w, in, out], norms [1, 1, 1, 1, C] without gamma, one unit misspelt. */
function tensorflow(tensors: Tensors): Tensors {
  const units: Record<string, string> = {
    b0: 'Branch_0/Conv3d_0a_1x1',
    b1a: 'Branch_1/Conv3d_0a_1x1',
    b1b: 'Branch_1/Conv3d_0b_3x3',
    b2a: 'Branch_2/Conv3d_0a_1x1',
    b2b: 'Branch_2/Conv3d_0b_3x3',
    b3b: 'Branch_3/Conv3d_0b_1x1',
  };
  const roles: Record<string, string> = {
    'conv3d.weight': 'conv_3d/w',
    'conv3d.bias': 'conv_3d/b',
    'bn.bias': 'batch_norm/beta',
    'bn.running_mean': 'batch_norm/moving_mean',
    'bn.running_var': 'batch_norm/moving_variance',
  };
  const result: Tensors = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const [, unit, role] = /^(.*)\.((?:conv3d|bn)\..*)$/.exec(name)!;
    if (role === 'bn.weight') continue;
    const [block, branch] = unit!.split('.');
    let scope = branch ? `${block}/${units[branch]}` : unit!.replace('logits', 'Logits/Conv3d_0c_1x1');
    scope = scope.replace('Mixed_5b/Branch_2/Conv3d_0b_3x3', 'Mixed_5b/Branch_2/Conv3d_0a_3x3');
    const moved = shape.length === 5 ? tf.tidy(() => tf.tensor(data, shape).transpose([2, 3, 4, 1, 0])) : null;
    const kernel = moved && { shape: [...moved.shape] as number[], data: moved.dataSync() as Float32Array };
    moved?.dispose();
    const vector = { shape: role === 'conv3d.bias' ? shape : [1, 1, 1, 1, shape[0]!], data };
    result[`RGB/inception_i3d/${scope}/${roles[role!]}`] = kernel ?? vector;
  }
  return result;
}

/** The names of the TensorFlow graph, which the TorchScript file has. */
const GRAPH_UNITS: [RegExp, string][] = [
  [/^Mixed_5[bcd]\.branch1x1$|^Mixed_6[bcde]\.branch1x1$|^Mixed_7[bc]\.branch1x1$|^Mixed_6a\.branch3x3$/, 'conv'],
  [/branch_pool$/, 'tower_2.conv'],
];
function graphName(unit: string): string {
  const stem = ['1a_3x3', '2a_3x3', '2b_3x3', '3b_1x1', '4a_3x3'].findIndex(part => unit === `Conv2d_${part}`);
  const numbered = (word: string, i: number) => (i === 0 ? word : `${word}_${i}`);
  if (stem >= 0) return `layers.${numbered('conv', stem)}`;
  const [block, branch] = unit.split('.') as [string, string];
  const blocks = ['5b', '5c', '5d', '6a', '6b', '6c', '6d', '6e', '7a', '7b', '7c'];
  const mixed = `layers.${numbered('mixed', blocks.indexOf(block.slice(6)))}`;
  const plain = GRAPH_UNITS.find(([pattern]) => pattern.test(unit));
  if (plain && !/Mixed_7[bc]\.branch_pool/.test(unit)) return `${mixed}.${plain[1]}`;
  if (plain) return `${mixed}.tower_2_conv`;
  const [, word, place, half] = /^branch(.*)_(\d)([ab]?)$/.exec(branch)!;
  const second = word!.endsWith('dbl') || word === '7x7x3';
  if (/^Mixed_7[bc]/.test(block)) {
    const tower = word === '3x3' ? 'tower' : 'tower_1';
    if (half) return `${mixed}.${tower}_mixed_${half === 'a' ? 'conv' : 'conv_1'}`;
    return `${mixed}.${tower}_${numbered('conv', Number(place) - 1)}`;
  }
  const tower = second && block !== 'Mixed_6a' ? 'tower_1' : 'tower';
  return `${mixed}.${tower}.${numbered('conv', Number(place) - 1)}`;
}

describe('a checkpoint of a convolutional network', () => {
  const wrapped = (name: string) => `module.${name}`;
  const aside = (tensors: Tensors, names: string[]): Tensors => ({
    ...tensors,
    ...Object.fromEntries(names.map(name => [name, { shape: [1], data: Int32Array.of(3) }])),
  });
  const caffe = (name: string) =>
    name
      .replace(/^conv([12])\./, 'conv$1a.')
      .replace(/\.weight$/, '/W')
      .replace(/\.bias$/, '/b');
  const sequential: Record<string, string> = {
    ...{ conv1: 'features.0', conv2: 'features.3', conv3a: 'features.6', conv3b: 'features.8', conv4a: 'features.11' },
    ...{ conv4b: 'features.13', conv5a: 'features.16', conv5b: 'features.18' },
    ...{ fc6: 'classifier.0', fc7: 'classifier.3', fc8: 'classifier.6' },
  };
  const mmaction = (name: string) =>
    name.startsWith('fc8')
      ? name.replace('fc8', 'cls_head.fc_cls')
      : `backbone.${name.startsWith('conv') ? name.replace(/^conv([12])\./, 'conv$1a.').replace(/\.(weight|bias)$/, '.conv.$1') : name}`;
  const blocks: Record<string, string> = {
    ...{ Conv2d_1a_3x3: '0.0', Conv2d_2a_3x3: '0.1', Conv2d_2b_3x3: '0.2', Conv2d_3b_1x1: '1.0', Conv2d_4a_3x3: '1.1' },
    ...{ Mixed_5b: '2.0', Mixed_5c: '2.1', Mixed_5d: '2.2', Mixed_6a: '2.3', Mixed_6b: '2.4', Mixed_6c: '2.5' },
    ...{ Mixed_6d: '2.6', Mixed_6e: '2.7', Mixed_7a: '3.0', Mixed_7b: '3.1', Mixed_7c: '3.2' },
  };
  const inUnit = (rename: (unit: string) => string) => (name: string) => {
    const [, unit, rest] = /^(.*?)(\.(?:conv|bn)\..*)$/.exec(name)!;
    return `${rename(unit!)}${rest}`;
  };

  it.each<[string, ConvNetKind, (tensors: Tensors) => Tensors]>([
    ['pytorch-i3d', 'i3d', t => aside(t, ['Mixed_3b.b0.bn.num_batches_tracked'])],
    ['pytorch-i3d', 'i3d', t => renamed(t, wrapped)],
    ['kinetics-i3d-pytorch', 'i3d', t => renamed(t, hassony)],
    ['c3d-pytorch', 'c3d', t => t],
    ['c3d-sequential', 'c3d', t => renamed(t, name => name.replace(/^\w+/, unit => sequential[unit]!))],
    ['c3d-caffe', 'c3d', t => renamed(t, caffe)],
    ['mmaction2', 'c3d', t => renamed(t, mmaction)],
    ['pytorch-fid', 'inception-v3', t => aside(t, ['fc.weight', 'AuxLogits.conv0.conv.weight'])],
    [
      'pytorch-fid-blocks',
      'inception-v3',
      t =>
        renamed(
          t,
          inUnit(unit => `blocks.${unit.replace(/^\w+/, name => blocks[name]!)}`),
        ),
    ],
  ])('%s: %s', async (layout, kind, rename) => {
    const tensors = torchCheckpoint(kind, TINY[kind]);
    const plain = await converted(await write('plain.safetensors', tensors), kind);
    const file = await write('other.safetensors', rename(tensors));
    const { result, network, weights } = await converted(file, kind);
    expect(digests(weights)).toEqual(digests(plain.weights));
    expect(result).toMatchObject({ kind, source: { name: 'other.safetensors', sha256: sha256(file), layout } });
    expect(network.source).toEqual(result.source);
    expect(network.sha256).toBe(sha256(at('other.safetensors.out', 'model.safetensors')));
    expect(network.features).toBe('features' in TINY[kind] ? 64 : (TINY[kind] as { num_classes: number }).num_classes);
    expect(network.model.configJson()).toMatchObject(TINY[kind]);
  });

  it('stylegan-inception: the names of the graph, and of its batch norm without scale', async () => {
    const tensors = renamed(torchCheckpoint('inception-v3', TINY['inception-v3']), name =>
      name.endsWith('.bn.weight') ? null : name,
    );
    const plain = await converted(await write('plain.safetensors', tensors), 'inception-v3');
    const roles: Record<string, string> = { running_mean: 'mean', running_var: 'var', bias: 'beta' };
    const graph = renamed(tensors, name =>
      inUnit(graphName)(name)
        .replace('.conv.weight', '.weight')
        .replace(/\.bn\.(\w+)$/, (_, role: string) => `.${roles[role]}`),
    );
    expect(Object.keys(graph)).toContain('layers.mixed_9.tower_1_mixed_conv_1.var');
    const file = await write('graph.safetensors', aside(graph, ['output.weight', 'output.bias']));
    const { result, weights } = await converted(file, 'inception-v3');
    expect([result.source.layout, result.notes]).toEqual(['stylegan-inception', []]);
    expect(digests(weights)).toEqual(digests(plain.weights));
  });

  it('folds the batch norm, and takes 1 for the scale that TensorFlow does not train', async () => {
    const tensors = torchCheckpoint('i3d', TINY.i3d);
    const file = await write('tf.safetensors', tensorflow(tensors));
    expect(openSafetensors(file).names()).toContain(
      'RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/batch_norm/moving_variance',
    );
    const { result, weights } = await converted(file, 'i3d');
    expect(result.source.layout).toBe('tensorflow');
    for (const unit of ['Mixed_5b.b2b', 'Conv3d_1a_7x7', 'Mixed_3c.b0']) {
      const [kernel, beta, mean, variance] = ['conv3d.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'].map(
        role => tensors[`${unit}.${role}`]!.data,
      ) as Float32Array[];
      const { shape, data: weight } = weights[`${unit}.weight`]!;
      const bias = weights[`${unit}.bias`]!.data;
      expect(shape).toEqual(tensors[`${unit}.conv3d.weight`]!.shape);
      const inner = weight.length / bias.length;
      for (const [o, i] of [
        [0, 0],
        [bias.length - 1, inner - 1],
      ] as const) {
        const scale = 1 / Math.sqrt(variance![o]! + 1e-3);
        expect(weight[o * inner + i]!).toBeCloseTo(scale * kernel![o * inner + i]!, 5);
        expect(bias[o]!).toBeCloseTo(beta![o]! - scale * mean![o]!, 5);
      }
    }
    // the same net in PyTorch's layout with gamma 1
    const ones = Object.entries(tensors).map(([name, t]) =>
      name.endsWith('bn.weight') ? [name, { ...t, data: new Float32Array(t.data.length).fill(1) }] : [name, t],
    );
    const torch = await converted(await write('torch.safetensors', Object.fromEntries(ones)), 'i3d');
    expect(digests(torch.weights)).toEqual(digests(weights));
  });

  it('keeps the pool that was asked for, and says of both', async () => {
    const file = await write('c3d.safetensors', torchCheckpoint('c3d', TINY.c3d));
    expect((await convertMetrics(file, at('ceil'))).notes).toEqual([expect.stringContaining('--pool5 padded')]);
    expect((await convertMetrics(file, at('padded'), { pool5: 'padded' })).notes).toEqual([]);
    const x = tf.randomUniform([1, 16, 112, 112, 3], -100, 100, 'float32', 1);
    const outputs: number[][][] = [];
    for (const name of ['ceil', 'padded']) {
      const network = await openMetricNetwork(at(name), 'c3d');
      outputs.push(tf.tidy(() => (network.model as C3D).forward(x).arraySync() as number[][]));
      network.dispose();
    }
    x.dispose();
    expect(outputs[0]).not.toEqual(outputs[1]);
  });

  it('leaves nothing behind when it fails, and replaces a model only when told to', async () => {
    const tensors = torchCheckpoint('c3d', TINY.c3d);
    tensors['fc7.bias'] = { shape: [3], data: new Float32Array(3) };
    const file = await write('bad.safetensors', tensors);
    const error = await thrown(() => convertMetrics(file, at('out')));
    expect(error.message).toMatch(/"fc7\.bias" has 3 values|fc7\.bias is \[3\]/);
    expect(readdirSync(root)).toEqual(['bad.safetensors']);
    const good = await write('good.safetensors', torchCheckpoint('c3d', TINY.c3d));
    await convertMetrics(good, at('out'));
    expect((await thrown(() => convertMetrics(good, at('out')))).message).toMatch(/is not empty: .*--force/);
    await convertMetrics(good, at('out'), { force: true });
  });
});

describe('a checkpoint that does not fit', () => {
  it('is told the nearest layout and what is missing and unexpected', async () => {
    const tensors = renamed(torchCheckpoint('i3d', TINY.i3d), name =>
      name.startsWith('Mixed_5c.b1b') ? null : name.replace('Mixed_5b.b2b.bn', 'Mixed_5b.b2b.norm'),
    );
    const file = await write('part.safetensors', tensors);
    const error = await thrown(() => convertMetrics(file, at('out')));
    expect(error.message).toMatch(
      /comes nearest to i3d as piergiaj\/pytorch-i3d, VideoGPT spells it, but does not fit/,
    );
    expect(error.message).toMatch(/9 missing:.*Mixed_5b\.b2b \(gamma\).*Mixed_5c\.b1b \(kernel\)/s);
    expect(error.message).toMatch(/4 unexpected:.*Mixed_5b\.b2b\.norm\.weight/s);
    expect(error.code).toBe('convert.metrics-layout');
  });

  it('is told what is known when it resembles nothing, and which kind was asked for', async () => {
    const file = await write('other.safetensors', { 'down_blocks.0.weight': { shape: [1], data: Float32Array.of(1) } });
    const error = await thrown(() => convertMetrics(file, at('out')));
    expect(error.message).toMatch(
      /is no evaluation network of a known layout\. Its 1 tensors are down_blocks\.0\.weight\./,
    );
    expect(error.message).toMatch(/i3d: piergiaj.*c3d: DavideA.*inception-v3: pytorch-fid.*clip: OpenAI/s);
    const c3d = await write('c3d.safetensors', torchCheckpoint('c3d', TINY.c3d));
    expect((await thrown(() => convertMetrics(c3d, at('out'), { kind: 'i3d' }))).message).toMatch(
      /is no i3d of a known/,
    );
    expect((await thrown(() => convertMetrics(c3d, at('out'), { kind: 'clip' }))).message).toMatch(
      /is no clip of a known/,
    );
  });

  it('is told the tensors of another shape', async () => {
    const tensors = torchCheckpoint('inception-v3', TINY['inception-v3']);
    tensors['Mixed_5b.branch5x5_2.conv.weight'] = { shape: [4, 3, 3, 3], data: new Float32Array(4 * 27) };
    const error = await thrown(async () => convertMetrics(await write('x.safetensors', tensors), at('out')));
    expect(error.message).toMatch(
      /names of inception-v3, but 1 of its tensors have another shape:\n {2}Mixed_5b\.branch5x5_2\.conv\.weight: .* is \[4,3,3,3\], the network's is \[4,3,5,5\]/,
    );
  });

  it.each([
    ['x.pth', Buffer.from('PK\x03\x04'), /is a PyTorch pickle.*python3 -c '.*torch\.load.*x\.safetensors/s],
    ['x.pkl', Buffer.from([0x80, 4, 1]), /is a PyTorch pickle/],
    ['weights', Buffer.from('PK\x03\x04 and so on'), /is a PyTorch pickle/],
    [
      'script.pt',
      Buffer.from('PK\x03\x04 x/constants.pkl x/code/__torch__.py PK'),
      /torch\.jit\.load\(.*\.state_dict\(\)/,
    ],
    ['c3d.npz', Buffer.from('PK\x03\x04 conv1a/W.npy'), /holds NumPy arrays.*numpy\.load.*c3d\.safetensors/s],
  ])('is refused as a pickle: %s', async (name, bytes, message) => {
    writeFileSync(at(name), bytes);
    expect((await thrown(() => convertMetrics(at(name), at('out')))).message).toMatch(message);
    if (name !== 'c3d.npz') {
      expect((await thrown(() => openMetricNetwork(at(name), 'i3d'))).message).toMatch(message);
    }
  });
});

/** Made by transformers: test/reference/clip.py. */
const CLIP = join(import.meta.dirname, '..', 'models', 'clip', 'cases', 'odd-sizes');

/** OpenAI's spelling of transformers' weights. */
function openai(tensors: Tensors): Tensors {
  const result: Tensors = {};
  const turned = ({ shape: [rows, columns], data }: Tensors[string]) => ({
    shape: [columns!, rows!],
    data: Float32Array.from(data, (_, i) => data[(i % rows!) * columns! + Math.floor(i / rows!)]!),
  });
  const top: Record<string, string> = {
    logit_scale: 'logit_scale',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.embeddings.token_embedding.weight': 'token_embedding.weight',
    'text_model.final_layer_norm.weight': 'ln_final.weight',
    'text_model.final_layer_norm.bias': 'ln_final.bias',
    'vision_model.embeddings.class_embedding': 'visual.class_embedding',
    'vision_model.embeddings.position_embedding.weight': 'visual.positional_embedding',
    'vision_model.embeddings.patch_embedding.weight': 'visual.conv1.weight',
    'vision_model.pre_layrnorm.weight': 'visual.ln_pre.weight',
    'vision_model.pre_layrnorm.bias': 'visual.ln_pre.bias',
    'vision_model.post_layernorm.weight': 'visual.ln_post.weight',
    'vision_model.post_layernorm.bias': 'visual.ln_post.bias',
  };
  for (const [name, tensor] of Object.entries(tensors)) {
    const layer = /^(text|vision)_model\.encoder\.layers\.(\d+)\.(.*)\.(weight|bias)$/.exec(name);
    if (name === 'text_projection.weight') result.text_projection = turned(tensor);
    else if (name === 'visual_projection.weight') result['visual.proj'] = turned(tensor);
    else if (!layer) result[top[name]!] = tensor;
    else {
      const [, tower, n, part, role] = layer;
      const block = `${tower === 'vision' ? 'visual.' : ''}transformer.resblocks.${n}`;
      const parts: Record<string, string> = {
        ...{ layer_norm1: 'ln_1', layer_norm2: 'ln_2', 'mlp.fc1': 'mlp.c_fc', 'mlp.fc2': 'mlp.c_proj' },
        'self_attn.out_proj': 'attn.out_proj',
      };
      if (parts[part!]) result[`${block}.${parts[part!]}.${role}`] = tensor;
      else if (part === 'self_attn.q_proj') {
        const all = ['q', 'k', 'v'].map(
          letter => tensors[`${tower}_model.encoder.layers.${n}.self_attn.${letter}_proj.${role}`]!,
        );
        const { shape } = all[0]!;
        const data = Float32Array.from(all.flatMap(each => [...each.data]));
        result[`${block}.attn.in_proj_${role}`] = { shape: [3 * shape[0]!, ...shape.slice(1)], data };
      }
    }
  }
  return result;
}

describe('a checkpoint of CLIP', () => {
  /** Head width 64 in both towers, as in every published CLIP. */
  const JSON_CONFIG = {
    model_type: 'clip',
    projection_dim: 6,
    text_config: {
      ...{ hidden_size: 64, intermediate_size: 20, num_hidden_layers: 2, num_attention_heads: 1, vocab_size: 30 },
      ...{ max_position_embeddings: 8, eos_token_id: 29 },
    },
    vision_config: {
      ...{ hidden_size: 128, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2 },
      ...{ image_size: 12, patch_size: 4 },
    },
  };

  async function tinyClip() {
    const model = new CLIPModel(JSON_CONFIG);
    model.initialize(5);
    let seed = 0;
    for (const p of model.parameters().values()) {
      const phase = ++seed;
      p.load(p.toTorch().map((v, i) => v + 0.1 * Math.sin(phase + 1.3 * i)));
    }
    const weights = model.stateDict() as Tensors;
    const pixels = tf.randomUniform([2, 12, 12, 3], -1, 1, 'float32', 4);
    const ids = tf.tensor2d([[28, 3, 7, 29, 0]], undefined, 'int32');
    const embeds = (m: CLIPModel) =>
      tf.tidy(() => [m.encodeImage(pixels).arraySync(), m.encodeText(ids).arraySync()] as never) as unknown;
    const expected = embeds(model);
    model.dispose();
    return { weights, embeds, expected };
  }

  it.each<[string, (tensors: Tensors) => Tensors]>([
    ['openai', t => ({ ...openai(t), input_resolution: { shape: [], data: Int32Array.of(12) } })],
    ['open_clip', openai],
    ['open_clip', t => renamed(openai(t), name => (/^(visual|logit_scale)/.test(name) ? name : `text.${name}`))],
    ['transformers', t => ({ ...t, 'text_model.embeddings.position_ids': { shape: [1], data: Int32Array.of(0) } })],
  ])('%s becomes the same network', async (layout, rename) => {
    const { weights, embeds, expected } = await tinyClip();
    const file = await write('clip.safetensors', rename(weights));
    const { notes, source } = await convertMetrics(file, at('out'));
    expect(source.layout).toBe(layout);
    expect(notes.some(text => text.includes('--activation gelu'))).toBe(layout !== 'openai');
    expect(notes.at(-1)).toMatch(
      /put the tokenizer beside the weights before use: vocab\.json and merges\.txt, or tokenizer\.json/,
    );
    const network = await openMetricNetwork(at('out'), 'clip');
    expect([network.features, network.source?.layout]).toEqual([6, layout]);
    expect(embeds(network.model as CLIPModel)).toEqual(expected);
    network.dispose();
  });

  it.each([
    ['ViT-B/32', {}],
    ['ViT-B/16', { vision_config: { patch_size: 16 } }],
    [
      'ViT-L/14',
      {
        text_config: { hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12 },
        vision_config: {
          ...{ hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24 },
          ...{ num_attention_heads: 16, patch_size: 14 },
        },
        projection_dim: 768,
      },
    ],
  ])('tells the config of %s by the shapes', (_, sizes) => {
    const model = new CLIPModel({ model_type: 'clip', ...sizes });
    const shapes = [...model.parameters()].map(([name, { torchShape }]) => [
      name,
      { shape: torchShape, data: new Float32Array(0) },
    ]);
    const source = memorySource(openai(Object.fromEntries(shapes)));
    const match = matchClip(source.names())!;
    expect(match.unexpected).toEqual([]);
    const found = new CLIPModel(clipConfig(source, match, 'quick_gelu'));
    expect(found.config).toEqual(model.config);
    expect(
      clipEntries(source, match)
        .map(({ name, shape }) => `${name} ${shape}`)
        .sort(),
    ).toEqual([...model.parameters()].map(([name, { torchShape }]) => `${name} ${torchShape}`).sort());
  });

  it('is opened as it is from a folder of transformers', async () => {
    const { weights, embeds, expected } = await tinyClip();
    mkdirSync(at('clip'));
    await write('clip/model.safetensors', weights);
    writeFileSync(at('clip', 'config.json'), JSON.stringify(JSON_CONFIG));
    const network = await openMetricNetwork(at('clip'), 'clip');
    expect([network.source, network.features]).toEqual([undefined, 6]);
    expect(embeds(network.model as CLIPModel)).toEqual(expected);
    network.dispose();
    expect((await thrown(() => openMetricNetwork(at('clip'), 'i3d'))).message).toMatch(
      /clip holds clip, where i3d is needed/,
    );
  });

  it('takes a config and a tokenizer that lie beside it, and the activation that was asked for', async () => {
    mkdirSync(at('in'));
    for (const name of ['config.json', 'weights.safetensors']) copyFileSync(join(CLIP, name), at('in', name));
    for (const name of ['vocab.json', 'merges.txt']) writeFileSync(at('in', name), name);
    const { notes } = await convertMetrics(at('in', 'weights.safetensors'), at('out'));
    expect(notes).toEqual([]);
    expect(readdirSync(at('out')).sort()).toEqual(['config.json', 'merges.txt', 'model.safetensors', 'vocab.json']);
    const config = JSON.parse(readFileSync(at('in', 'config.json'), 'utf8'));
    const model = await CLIPModel.fromPretrained(at('out'));
    expect(model.config).toEqual(new CLIPModel(config).config);
    model.dispose();

    const { weights } = await tinyClip();
    const file = await write('clip.safetensors', openai(weights));
    await convertMetrics(file, at('gelu'), { activation: 'gelu' });
    const written = JSON.parse(readFileSync(at('gelu', 'config.json'), 'utf8'));
    expect([written.text_config.hidden_act, written.vision_config.hidden_act]).toEqual(['gelu', 'gelu']);
  });

  it('is refused with what is missing', async () => {
    const { weights } = await tinyClip();
    const tensors = renamed(openai(weights), name => (name.endsWith('1.ln_2.bias') ? null : name));
    const error = await thrown(async () => convertMetrics(await write('x.safetensors', tensors), at('out')));
    expect(error.message).toMatch(
      /comes nearest to a CLIP.*1 missing:\n {2}text_model\.encoder\.layers\.1\.layer_norm2\.bias/s,
    );
  });
});

describe('openMetricNetwork', () => {
  it('takes the folder or the file in it, and refuses what is not converted or another network', async () => {
    const file = await write('c3d.safetensors', torchCheckpoint('c3d', TINY.c3d));
    const raw = await thrown(() => openMetricNetwork(file, 'c3d'));
    expect(raw.message).toContain('show1 convert metrics');
    expect(raw.message).toContain(file);
    expect(raw.message).toContain('--kind c3d');
    await convertMetrics(file, at('out'));
    const both = [
      await openMetricNetwork(at('out'), 'c3d'),
      await openMetricNetwork(at('out', 'model.safetensors'), 'c3d'),
    ];
    expect(both[0]!.sha256).toBe(both[1]!.sha256);
    const before = tf.memory().numTensors;
    for (const network of both) network.dispose();
    expect(tf.memory().numTensors).toBe(before - 2 * new C3D(TINY.c3d).parameters().size);
    expect((await thrown(() => openMetricNetwork(at('out'), 'i3d'))).message).toMatch(
      /out holds c3d, where i3d is needed/,
    );
    expect((await thrown(() => openMetricNetwork(at('nowhere'), 'i3d'))).message).toMatch(
      /no weights of i3d at .*nowhere: no such file or folder/,
    );
    mkdirSync(at('folder'));
    copyFileSync(file, at('folder', 'x.safetensors'));
    expect((await thrown(() => openMetricNetwork(at('folder'), 'c3d'))).message).toMatch(/is not converted/);
    expect(existsSync(dirname(file))).toBe(true);
  });
});
