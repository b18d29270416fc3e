import { describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { fromTorch, type Layout, tfShape, toTorch } from '../../../src/models/layers/layout.js';

const iota = (shape: number[]) => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i);

describe('layout', () => {
  it('gives our shapes', () => {
    expect(tfShape('linear', [7, 3])).toEqual([7, 3]);
    expect(tfShape('linear', [7, 3, 1, 1])).toEqual([7, 3]);
    expect(tfShape('conv2d', [7, 3, 5, 4])).toEqual([5, 4, 3, 7]);
    expect(tfShape('linear', [7, 3, 1, 1, 1])).toEqual([7, 3]);
    expect(tfShape('conv3d', [7, 3, 5, 4, 2])).toEqual([5, 4, 2, 3, 7]);
    expect(tfShape('temporal-conv', [7, 3, 5, 1, 1])).toEqual([5, 1, 3, 7]);
    expect(tfShape('plain', [2, 3, 4])).toEqual([2, 3, 4]);
  });

  it('refuses shapes that the layout cannot have', () => {
    expect(() => tfShape('linear', [7, 3, 3, 3])).toThrow('1×1');
    expect(() => tfShape('conv2d', [7, 3])).toThrow('rank 4');
    expect(() => tfShape('conv3d', [7, 3, 3, 3])).toThrow('rank 5');
    expect(() => tfShape('temporal-conv', [7, 3, 3, 1])).toThrow('rank 5');
  });

  it('moves every element of a kernel to its place', () => {
    const [O, I, H, W] = [70, 5, 3, 2] as const;
    const file = iota([O, I, H, W]);
    const ours = tf.tidy(() => fromTorch('conv2d', [O, I, H, W], tf.tensor1d(file)).dataSync());
    for (const [o, i, h, w] of [
      [0, 0, 0, 0],
      [69, 4, 2, 1],
      [33, 1, 2, 0],
      [64, 3, 0, 1],
    ] as const) {
      expect(ours[((h * W + w) * I + i) * O + o]).toBe(file[((o * I + i) * H + h) * W + w]);
    }
    expect(new Set(ours).size).toBe(file.length);
  });

  it.each<[Layout, number[]]>([
    ['conv2d', [70, 5, 3, 2]],
    ['conv3d', [7, 5, 3, 2, 4]],
    ['temporal-conv', [33, 40, 3, 1, 1]],
    ['linear', [6, 4, 1, 1]],
    ['plain', [3, 4]],
  ])('%s [%s] there and back is the identity', (layout, shape) => {
    const file = iota(shape);
    tf.tidy(() => {
      const ours = fromTorch(layout, shape, tf.tensor(file, shape));
      expect(ours.shape).toEqual(tfShape(layout, shape));
      const back = toTorch(layout, shape, ours);
      expect(back.shape).toEqual(shape);
      expect(back.dataSync()).toEqual(file);
    });
  });
});
