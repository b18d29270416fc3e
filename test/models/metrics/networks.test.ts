import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { foldedEntries } from '../../../src/convert/metrics-fold.js';
import { compile, tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { C3D, InceptionI3d, InceptionV3 } from '../../../src/models/metrics/index.js';
import { matchLayouts } from '../../../src/models/metrics/layouts/detect.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { CLASSES, type ConvNetKind, networkInput, type Tensors, torchCheckpoint } from './checkpoints.js';

interface Case {
  kind: ConvNetKind;
  name: string;
  batch: number;
  frames: number | null;
  options: { width?: number; classes?: number; features?: number; pool5?: string };
  /** Number of tensors and of values of PyTorch's network. */
  parameters: [number, number];
  output: number[][];
}

/** Made by test/reference/metrics_networks.py. */
const CASES = JSON.parse(readFileSync(join(import.meta.dirname, 'reference.json'), 'utf8')) as Case[];

async function network({ kind, options }: Pick<Case, 'kind' | 'options'>) {
  const { classes, ...rest } = options;
  const config = classes === undefined ? rest : { ...rest, num_classes: classes };
  const checkpoint = torchCheckpoint(kind, config);
  const model = new CLASSES[kind](config);
  const [match] = matchLayouts(Object.keys(checkpoint), kind);
  expect([match!.missing, match!.unexpected]).toEqual([[], []]);
  const folded: Tensors = {};
  for (const { name, shape, data } of foldedEntries(memorySource(checkpoint), match!)) {
    folded[name] = { shape: [...shape], data: await (data as () => Promise<Float32Array>)() };
  }
  await model.loadStateDict(memorySource(folded));
  return { model, checkpoint };
}

/** Largest difference, of the largest value. */
const relative = (a: number[][], b: number[][]) => {
  const scale = Math.max(...b.flat().map(Math.abs));
  return Math.max(...a.flat().map((value, i) => Math.abs(value - b.flat()[i]!))) / scale;
};

describe('the networks of evaluation against PyTorch', () => {
  it.each(CASES.map(each => [each.kind, each.name, each] as const))('%s, %s', async (kind, name, reference) => {
    const { model, checkpoint } = await network(reference);
    const sizes = Object.values(checkpoint).map(({ data }) => data.length);
    expect([sizes.length, sizes.reduce((a, b) => a + b)]).toEqual(reference.parameters);
    expect(model.trainable).toBe(false);
    const { shape, values } = networkInput(kind, reference.batch, reference.frames);
    const x = tf.tensor(values, shape);
    const before = tf.memory().numTensors;
    const compiled = compile(input => [model.forward(input!)], { name: kind });
    const outputs = compiled(x);
    if (name !== 'full') outputs.push(model.forward(x)); // op by op
    expect(tf.memory().numTensors).toBe(before + outputs.length);
    for (const output of outputs) {
      expect(output.shape).toEqual([reference.batch, model.features]);
      expect(relative((await output.array()) as number[][], reference.output)).toBeLessThan(1e-4);
    }
    // the reference itself tells its rows and columns apart
    const all = reference.output.flat();
    expect(new Set(all).size).toBeGreaterThan(0.8 * all.length); // some channels are all zero after their ReLU
    compiled.dispose();
    tf.dispose([...outputs, x]);
    model.dispose();
  });
});

describe('a network of evaluation', () => {
  it.each([
    [InceptionI3d, [1, 10, 224, 256, 3], /I3D: video is \[1,10,224,256,3\]; it must be \[B, T, 224, 224, 3\]/],
    [InceptionI3d, [1, 8, 224, 224, 3], /I3D: video has 8 frames; at least 9 are needed/],
    [C3D, [1, 15, 112, 112, 3], /C3D: video is \[1,15,112,112,3\]; it must be \[B, 16, 112, 112, 3\]/],
    [InceptionV3, [299, 299, 3], /Inception v3: images is \[299,299,3\]; it must be \[N, 299, 299, 3\]/],
  ] as const)('%o refuses another shape: %o', (Network, shape, message) => {
    const model = new Network({ width: 0.05 });
    const run = () => tf.tidy(() => model.forward(tf.zeros([...shape])));
    expect(run).toThrow(InputError);
    expect(run).toThrow(message);
  });

  it.each([
    [{ width: 0 }, /^i3d\/config\.json: width is 0; allowed: a number above 0\./],
    [{ wdith: 1 }, /wdith \(1\) is not an option of this I3D\. Did you mean width\?/],
    [{ num_classes: 0 }, /num_classes is 0; allowed: a whole number from 1/],
  ])('refuses the config %o', (config, message) => {
    expect(() => new InceptionI3d(config, { source: 'i3d/config.json' })).toThrow(message);
  });

  // PyTorch's trainable parameters, less a scale for each channel that a norm followed
  it('has the published sizes and names itself in its config', () => {
    for (const [model, count, name] of [
      [new InceptionI3d(), 12_697_264 - 7_280, 'InceptionI3d'],
      [new C3D(), 78_409_573, 'C3D'],
      [new InceptionV3(), 21_785_568 - 17_216, 'InceptionV3'],
    ] as const) {
      expect(model.configJson()._class_name).toBe(name);
      expect(model.countParams(), name).toBe(count);
    }
  });

  it('draws values that keep the scale of activations, the same for the same seed', () => {
    const model = new InceptionI3d({ width: 0.1, num_classes: 6 });
    model.initialize(1);
    const x = tf.randomUniform([1, 9, 224, 224, 3], -1, 1, 'float32', 3);
    const run = () => tf.tidy(() => model.forward(x).arraySync() as number[][]);
    const first = run();
    model.initialize(1);
    expect(run()).toEqual(first);
    model.initialize(2);
    expect(relative(run(), first)).toBeGreaterThan(0.1);
    expect(Math.max(...first[0]!.map(Math.abs))).toBeGreaterThan(1e-2);
    x.dispose();
    model.dispose();
  });
});
