/**
 * Weight layouts: PyTorch's (files) against ours (variables). Matrices stay [out, in]; kernels move their spatial axes to
 * the front, because TensorFlow's convolutions want HWIO.
 */
import { type Tensor, tf } from '../../engine/index.js';

/**
 * - `linear`: a matrix, kept as [out, in]. A 1×1 convolution may use it too: [out, in, 1, 1] in the file, [out, in] here.
 * - `conv2d`: [out, in, kh, kw] -> [kh, kw, in, out].
 * - `conv3d`: [out, in, kt, kh, kw] -> [kt, kh, kw, in, out].
 * - `temporal-conv`: [out, in, kt, 1, 1] -> [kt, 1, in, out].
 * - `plain`: anything that keeps its shape.
 */
export type Layout = 'linear' | 'conv2d' | 'conv3d' | 'temporal-conv' | 'plain';

/** Our shape of a parameter that has `torchShape` in a file. */
export function tfShape(layout: Layout, torchShape: readonly number[]): number[] {
  const rank = { linear: [2, 4, 5], conv2d: [4], conv3d: [5], 'temporal-conv': [5], plain: null }[layout];
  if (rank && !rank.includes(torchShape.length)) {
    throw new Error(`layout ${layout} takes rank ${rank.join(' or ')}, not [${torchShape}]`);
  }
  const [out, inner, ...kernel] = torchShape as [number, number, ...number[]];
  if (layout === 'linear') {
    if (kernel.some(size => size !== 1)) throw new Error(`layout linear takes 1×1 kernels only, not [${torchShape}]`);
    return [out, inner];
  }
  if (layout === 'conv2d' || layout === 'conv3d') return [...kernel, inner, out];
  if (layout === 'temporal-conv') return [kernel[0]!, 1, inner, out];
  return [...torchShape];
}

/** File order to ours. A kernel is transposed by TensorFlow (several times faster than a loop in JavaScript). */
export function fromTorch(layout: Layout, torchShape: readonly number[], file: Tensor): Tensor {
  const shape = tfShape(layout, torchShape);
  if (layout === 'linear' || layout === 'plain') return file.reshape(shape);
  const [out, inner] = torchShape as [number, number];
  const kernel = file.size / (out * inner);
  return tf.tidy(() => file.reshape([out, inner, kernel]).transpose([2, 1, 0]).reshape(shape));
}

/** Our order to the file's. */
export function toTorch(layout: Layout, torchShape: readonly number[], ours: Tensor): Tensor {
  if (layout === 'linear' || layout === 'plain') return ours.reshape([...torchShape]);
  const [out, inner] = torchShape as [number, number];
  const kernel = ours.size / (out * inner);
  return tf.tidy(() =>
    ours
      .reshape([kernel, inner, out])
      .transpose([2, 1, 0])
      .reshape([...torchShape]),
  );
}
