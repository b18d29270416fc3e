import { describe, expect, it } from 'vitest';
import { pilResize } from '../../src/data/pil-resize.js';
import { tf } from '../../src/engine/index.js';
import { areaDownsample, bicubicEnlarge } from '../../src/train/low-resolution.js';

// Far enough from 0 and 255 that PIL, which clamps between its two passes, never has to.
const bytes = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => 90 + (((i * 7919) % 251) * 70) / 251);

describe('areaDownsample', () => {
  it('takes the mean of each block, frame by frame', () => {
    const video = tf.range(0, 2 * 2 * 4 * 6 * 1).reshape([2, 2, 4, 6, 1]); // [B, F, H, W, C]
    const small = areaDownsample(video, 2);
    expect(small.shape).toEqual([2, 2, 2, 3, 1]);
    // The first block holds 0, 1, 6, 7; the block below starts two rows on; the next frame 24 values on.
    const values = small.dataSync();
    expect([values[0], values[1], values[3], values[6], values[12]]).toEqual([3.5, 5.5, 15.5, 27.5, 51.5]);
  });

  it('refuses sides that are no multiples', () => {
    expect(() => areaDownsample(tf.zeros([1, 1, 6, 8, 3]), 4)).toThrow(/8×6 do not shrink evenly by 4/);
  });
});

describe('bicubicEnlarge', () => {
  it('is what PIL makes of 8-bit frames, but for the rounding', () => {
    const data = bytes(2 * 5 * 4 * 3);
    const expected = pilResize(data, { images: 2, height: 5, width: 4, channels: 3 }, { height: 20, width: 16 });
    const enlarged = bicubicEnlarge(tf.tensor(Float32Array.from(data), [1, 2, 5, 4, 3]), [20, 16]).dataSync();
    // PIL rounds after each of its two passes.
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - enlarged[i]!)), 0);
    expect(worst).toBeLessThan(1.6);
  });
});
