/** Between fixtures (PyTorch's layout: channels after the batch) and tensors (channels last). */
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { Fixture, TensorValue } from './types.js';

/** A fixture tensor as it lies in the file. @throws InputError when the fixture lacks it */
export function readTensor(io: Fixture['io'], name: string): Tensor {
  const value = io.get(name);
  if (!value) {
    throw new InputError(`The fixture has no tensor "${name}"; it has ${[...io.keys()].join(', ')}.`, {
      code: 'verify.no-tensor',
      name,
    });
  }
  const { data, shape } = value;
  return data instanceof Int32Array
    ? tf.tensor(data, [...shape], 'int32')
    : tf.tensor(Float32Array.from(data), [...shape], 'float32');
}

/** [N, C, H, W] -> [N, H, W, C], [B, C, F, H, W] -> [B, F, H, W, C]; tokens and vectors stay. Differentiable. */
export function toChannelsLast(x: Tensor): Tensor {
  if (x.rank < 4) return x;
  return x.transpose([0, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 2), 1]);
}

/** The inverse of `toChannelsLast`. */
export function toChannelsFirst(x: Tensor): Tensor {
  if (x.rank < 4) return x;
  return x.transpose([0, x.rank - 1, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 1)]);
}

export function hostValue(x: Tensor): TensorValue {
  return { shape: x.shape, data: x.dataSync() };
}
