/** Checkpoints as PyTorch would hold them, whose weights follow from their names: test/reference/metrics_networks.py. */

import { C3D, InceptionI3d, InceptionV3 } from '../../../src/models/metrics/index.js';
import { unitsOf } from '../../../src/models/metrics/layouts/detect.js';
import type { WeightArray } from '../../../src/models/weights/source.js';
import { hashValues } from '../../helpers/hash-weights.js';

export type ConvNetKind = 'i3d' | 'c3d' | 'inception-v3';
export const CLASSES = { i3d: InceptionI3d, c3d: C3D, 'inception-v3': InceptionV3 } as const;

/** `metric_weight` of the Python script. */
export function metricWeight(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, n) => product * n, 1);
  const [factor, offset] =
    shape.length > 1
      ? [Math.sqrt((6 * shape[0]!) / count), 0]
      : name.endsWith('running_var')
        ? [0.5, 1]
        : [0.25, name.includes('.bn.weight') ? 1 : 0];
  const scale = Math.fround(factor);
  const values = hashValues(name, count);
  for (let i = 0; i < count; i++) values[i] = Math.fround(values[i]! * scale) + offset;
  return values;
}

export type Tensors = Record<string, { shape: number[]; data: WeightArray }>;

/** A checkpoint in the layout that the networks' parameters are named after, with batch norm where there is any. */
export function torchCheckpoint(kind: ConvNetKind, config: Record<string, unknown> = {}): Tensors {
  const parameters = new CLASSES[kind](config).parameters();
  const tensors: Tensors = {};
  const add = (name: string, shape: number[]) => {
    tensors[name] = { shape, data: metricWeight(name, shape) };
  };
  const conv = { i3d: '.conv3d', c3d: '', 'inception-v3': '.conv' }[kind];
  for (const { name, norm } of unitsOf(kind)) {
    const shape = parameters.get(`${name}.weight`)!.torchShape;
    add(`${name}${conv}.weight`, shape);
    if (!norm) add(`${name}${conv}.bias`, [shape[0]!]);
    else for (const part of ['weight', 'bias', 'running_mean', 'running_var']) add(`${name}.bn.${part}`, [shape[0]!]);
  }
  return tensors;
}

/** The same tensors under other names; null leaves one out. */
export const renamed = (tensors: Tensors, rename: (name: string) => string | null): Tensors =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]) => {
      const other = rename(name);
      return other === null ? [] : [[other, tensor]];
    }),
  );

/** Input of the Python script, channels last. */
export function networkInput(kind: ConvNetKind, batch: number, frames?: number | null) {
  const size = { i3d: [frames ?? 16, 224, 224], c3d: [16, 112, 112], 'inception-v3': [299, 299] }[kind];
  const shape = [batch, ...size, 3];
  const factor = kind === 'c3d' ? 100 : 1;
  const count = shape.reduce((product, n) => product * n, 1);
  return { shape, values: hashValues(`${kind} input`, count).map(u => u * factor) };
}
