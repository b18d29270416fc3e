/**
 * Weight layouts: PyTorch's (files) against ours (variables). Matrices stay [out, in]; kernels move their spatial axes to
 * the front, because TensorFlow's convolutions want HWIO.
 */

/**
 * - `linear`: a matrix, kept as [out, in]. A 1×1 convolution may use it too: [out, in, 1, 1] in the file, [out, in] here.
 * - `conv2d`: [out, in, kh, kw] -> [kh, kw, in, out].
 * - `temporal-conv`: [out, in, kt, 1, 1] -> [kt, 1, in, out].
 * - `plain`: anything that keeps its shape.
 */
export type Layout = 'linear' | 'conv2d' | 'temporal-conv' | 'plain';

/** Our shape of a parameter that has `torchShape` in a file. */
export function tfShape(layout: Layout, torchShape: readonly number[]): number[] {
  const rank = { linear: [2, 4], conv2d: [4], 'temporal-conv': [5], plain: null }[layout];
  if (rank && !rank.includes(torchShape.length)) {
    throw new Error(`layout ${layout} takes rank ${rank.join(' or ')}, not [${torchShape}]`);
  }
  const [out, inner, ...kernel] = torchShape as [number, number, ...number[]];
  if (layout === 'linear') {
    if (kernel.some(size => size !== 1)) throw new Error(`layout linear takes 1×1 kernels only, not [${torchShape}]`);
    return [out, inner];
  }
  if (layout === 'conv2d') return [kernel[0]!, kernel[1]!, inner, out];
  if (layout === 'temporal-conv') return [kernel[0]!, 1, inner, out];
  return [...torchShape];
}

/** File order to ours. Returns `data` itself when nothing moves. */
export function fromTorch(layout: Layout, torchShape: readonly number[], data: Float32Array): Float32Array {
  if (layout === 'linear' || layout === 'plain') return data;
  const result = new Float32Array(data.length);
  forEachRow(torchShape, (rowStart, fileStart, fileStride, length) => {
    for (let o = 0; o < length; o++) result[rowStart + o] = data[fileStart + o * fileStride]!;
  });
  return result;
}

/** Our order to the file's. Returns `data` itself when nothing moves. */
export function toTorch(layout: Layout, torchShape: readonly number[], data: Float32Array): Float32Array {
  if (layout === 'linear' || layout === 'plain') return data;
  const result = new Float32Array(data.length);
  forEachRow(torchShape, (rowStart, fileStart, fileStride, length) => {
    for (let o = 0; o < length; o++) result[fileStart + o * fileStride] = data[rowStart + o]!;
  });
  return result;
}

/** Output channels handled together: their cache lines stay in the first-level cache while the kernel's axes run. */
const TILE = 32;

/**
 * Pairs [out, in, kernel] (file) with [kernel, in, out] (ours), whatever the kernel's rank: `visit` gets runs of output
 * channels, contiguous on our side and `fileStride` apart in the file.
 */
function forEachRow(
  torchShape: readonly number[],
  visit: (rowStart: number, fileStart: number, fileStride: number, length: number) => void,
): void {
  const [out, inner, ...rest] = torchShape as [number, number, ...number[]];
  const kernel = rest.reduce((a, b) => a * b, 1);
  for (let o = 0; o < out; o += TILE) {
    const length = Math.min(TILE, out - o);
    for (let i = 0; i < inner; i++) {
      for (let k = 0; k < kernel; k++) {
        visit((k * inner + i) * out + o, (o * inner + i) * kernel + k, inner * kernel, length);
      }
    }
  }
}
