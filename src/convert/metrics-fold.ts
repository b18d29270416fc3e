/** Weights of an evaluation network from a checkpoint's: axes in PyTorch's order, batch norm folded into the convolution. */
import { InputError } from '../errors.js';
import type { LayoutMatch } from '../models/metrics/layouts/detect.js';
import { tensorKey, unitsOf } from '../models/metrics/layouts/detect.js';
import type { Role } from '../models/metrics/layouts/layout.js';
import type { TensorEntry } from '../models/weights/safetensors.js';
import type { WeightSource } from '../models/weights/source.js';

/** The variance's addend in all batch norms of I3D and of the FID's Inception. */
const EPSILON = 1e-3;

/** PyTorch's shape of a kernel that a file holds in `order`. */
export function kernelShape(shape: readonly number[], order: 'torch' | 'tensorflow'): number[] {
  return order === 'torch' ? [...shape] : [shape.at(-1)!, shape.at(-2)!, ...shape.slice(0, -2)];
}

/** [kernel, in, out] to [out, in, kernel], each row-major; `kernel` stands for all of its axes. */
function toTorchOrder(values: Float32Array, shape: readonly number[]): Float32Array {
  const [out, inner] = [shape.at(-1)!, shape.at(-2)!];
  const kernel = values.length / (out * inner);
  const result = new Float32Array(values.length);
  for (let k = 0; k < kernel; k++) {
    for (let i = 0; i < inner; i++) {
      for (let o = 0; o < out; o++) result[(o * inner + i) * kernel + k] = values[(k * inner + i) * out + o]!;
    }
  }
  return result;
}

/**
 * The tensors of a converted network, `<unit>.weight` and `<unit>.bias`. Where batch norm follows, y = gamma · (conv x + bias
 * - mean) / √(variance + ε) + beta becomes one kernel and one bias, computed in double precision. A tensor is read when it
 * is its turn.
 * @throws InputError while it is written, when a tensor has a size that its unit cannot have
 */
export function foldedEntries(source: WeightSource, match: LayoutMatch): TensorEntry[] {
  const { kind, layout, tensors } = match;
  return unitsOf(kind).flatMap(({ name, norm }) => {
    const tensor = (role: Role) => tensors.get(tensorKey(name, role));
    const kernel = source.info(tensor('kernel')!);
    const shape = kernelShape(kernel.shape, layout.order);
    const out = shape[0]!;

    /** Values of one role, or `fallback` in every channel. */
    const vector = async (role: Role, fallback: number): Promise<Float32Array> => {
      const from = tensor(role);
      if (from === undefined) return new Float32Array(out).fill(fallback);
      const values = Float32Array.from(await source.read(from));
      if (values.length === out) return values;
      throw new InputError(
        `Tensor "${from}" has ${values.length} values; its convolution "${tensor('kernel')}" has ${out} channels.`,
        { code: 'convert.metrics-shape', tensor: from },
      );
    };
    const scales = async (): Promise<Float64Array> => {
      const [gamma, variance] = await Promise.all([vector('gamma', 1), vector('variance', 1)]);
      return Float64Array.from(gamma, (value, o) => value / Math.sqrt(variance[o]! + EPSILON));
    };

    const weight = async (): Promise<Float32Array> => {
      const values = Float32Array.from(await source.read(tensor('kernel')!));
      const ours = layout.order === 'torch' ? values : toTorchOrder(values, kernel.shape);
      if (!norm) return ours;
      const [scale, inner] = [await scales(), ours.length / out];
      return ours.map((value, i) => value * scale[Math.floor(i / inner)]!);
    };
    const bias = async (): Promise<Float32Array> => {
      const own = await vector('bias', 0);
      if (!norm) return own;
      const [scale, beta, mean] = await Promise.all([scales(), vector('beta', 0), vector('mean', 0)]);
      return own.map((value, o) => beta[o]! + scale[o]! * (value - mean[o]!));
    };
    return [
      { name: `${name}.weight`, shape, data: weight },
      { name: `${name}.bias`, shape: [out], data: bias },
    ];
  });
}
