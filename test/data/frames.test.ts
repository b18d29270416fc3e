import { describe, expect, it } from 'vitest';
import { asFrames, fromUnit, sliceFrames, writeUnit } from '../../src/data/frames.js';
import { countingFrames, frameNumbers } from './helpers.js';

describe('frames', () => {
  it('go to [-1, 1] and back without loss', () => {
    const data = Uint8Array.from({ length: 2 * 8 * 16 * 3 }, (_, i) => i % 256);
    const target = new Float32Array(data.length + 5);
    writeUnit(data, target, 5);
    expect([target[4], target[5], target[5 + 255]]).toEqual([0, -1, 1]);
    const back = fromUnit(target.subarray(5), { frames: 2, height: 8, width: 16 });
    expect(back.data).toEqual(data);
  });

  it('are clamped, and refused when not finite', () => {
    const shape = { frames: 1, height: 1, width: 1 };
    expect([...fromUnit(Float32Array.from([-7, 0, 3]), shape).data]).toEqual([0, 128, 255]);
    expect(() => fromUnit(Float32Array.from([0, Number.NaN, 0]), shape, 'sample 3')).toThrow(
      /sample 3: value NaN at index 1/,
    );
  });

  it('are checked against their shape', () => {
    expect(() => asFrames(new Uint8Array(11), { frames: 1, height: 2, width: 2 })).toThrow(/need 12 bytes.*got 11/);
    expect(() => asFrames(new Uint8Array(0), { frames: 0, height: 2, width: 2 })).toThrow(/at least one frame/);
  });

  it('are cut without copying', () => {
    const video = countingFrames(6, 4, 4);
    const part = sliceFrames(video, 2, 3);
    expect(frameNumbers(part.data, 3)).toEqual([2, 3, 4]);
    expect(part.data.buffer).toBe(video.data.buffer);
    expect(() => sliceFrames(video, 4, 3)).toThrow(/frames 4 to 7 are outside a clip of 6/);
  });
});
