import { describe, expect, it } from 'vitest';
import { interpolationCondition, tensorToVideo, videoBytes } from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

describe('tensorToVideo', () => {
  it('maps [-1, 1] to 0..255, clamped and truncated', async () => {
    const x = tf.tensor1d([-2, -1, 0, 0.999, 1, 3]);
    expect(tensorToVideo(x).arraySync()).toEqual([0, 0, 127, 254, 255, 255]);
    expect(await videoBytes(x)).toEqual(Uint8Array.of(0, 0, 127, 254, 255, 255));
  });

  it('leaks nothing', () => expectNoLeak(() => tf.tidy(() => tensorToVideo(gaussian([1, 2, 3, 3, 3])))));
});

describe('interpolationCondition', () => {
  it('blends from the first to the last frame and marks both', () => {
    const [first, last] = [gaussian([2, 3, 4, 3]), gaussian([2, 3, 4, 3], 2)];
    const condition = interpolationCondition(first, last, 5);
    expect(condition.shape).toEqual([2, 5, 3, 4, 4]);
    for (let f = 0; f < 5; f++) {
      const frame = condition.slice([0, f], [-1, 1]).reshape([2, 3, 4, 4]);
      const blend = first.mul(1 - f / 4).add(last.mul(f / 4));
      expect(distance(frame.slice([0, 0, 0, 0], [-1, -1, -1, 3]), blend)).toBeLessThan(1e-6);
      expect(distance(frame.slice([0, 0, 0, 3], [-1, -1, -1, 1]), tf.fill([2, 3, 4, 1], f % 4 === 0 ? 1 : 0))).toBe(0);
    }
    expectNoLeak(() => interpolationCondition(first, last, 5));
  });
});
