/** The measures of the cascade experiment: what they must tell apart. */
import { describe, expect, it } from 'vitest';
import {
  apparentMotion,
  blendKeyframes,
  colourError,
  decibels,
  meanSquaredError,
  sharpness,
  stepsInDirection,
} from '../../experiments/cascade/measures.js';
import type { Frames } from '../../src/data/frames.js';
import { pilResize } from '../../src/data/pil-resize.js';
import { randomStream } from '../../src/data/random.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { DIRECTION_NAMES, DIRECTIONS } from '../../src/data/shapes-vocabulary.js';

const clip = (index: number, side = 64, frames = 13): Frames => {
  const direction = DIRECTION_NAMES[index % 4]!;
  return renderClip(
    describeClip({ colour: 'red', shape: 'circle', direction }, { width: side, height: side, frames }, 3, index),
  );
};
/** Reduced by 4 and enlarged again. */
const blurred = ({ data, frames, height, width }: Frames): Frames => {
  const small = { images: frames, height: height / 4, width: width / 4, channels: 3 };
  const reduced = pilResize(
    data,
    { images: frames, height, width, channels: 3 },
    { height: height / 4, width: width / 4 },
  );
  return { data: pilResize(reduced, small, { height, width }), frames, height, width };
};
const map = (video: Frames, change: (value: number, i: number) => number): Frames => ({
  ...video,
  data: Uint8Array.from(video.data, (value, i) => Math.min(255, Math.max(0, Math.round(change(value, i))))),
});

describe('PSNR', () => {
  it('is that of the definition, over the frames asked for', () => {
    const truth = clip(0);
    const off = map(truth, value => (value < 250 ? value + 5 : value - 5));
    expect(decibels(meanSquaredError(off, truth))).toBeCloseTo(20 * Math.log10(255 / 5), 6);
    const size = truth.height * truth.width * 3;
    const one = map(truth, (value, i) => (Math.floor(i / size) === 3 ? 255 - value : value));
    expect(meanSquaredError(one, truth, [0, 1, 2])).toBe(0);
    expect(meanSquaredError(one, truth, [3])).toBeGreaterThan(0.01);
  });
});

describe('sharpness', () => {
  it('is 1 for the truth, lower for blur, and not raised by noise away from edges or by edges elsewhere', () => {
    const truth = clip(1);
    expect(sharpness(truth, truth)).toBe(1);
    expect(sharpness(blurred(truth), truth)).toBeLessThan(0.7);
    const random = randomStream(1, 5);
    const noisy = map(blurred(truth), value => value + 6 * random.normal());
    expect(sharpness(noisy, truth)).toBeLessThan(0.75);
    expect(sharpness(clip(5), truth)).toBeLessThan(0.5); // another clip, as sharp, elsewhere
  });
});

describe('colour error', () => {
  it('is the distance on the object alone', () => {
    const truth = clip(2);
    expect(colourError(truth, truth)).toBe(0);
    const green = map(truth, (value, i) => (i % 3 === 1 ? value + 30 : value));
    expect(colourError(green, truth)).toBeCloseTo(30 / Math.sqrt(3), 0);
  });
});

describe('direction of the steps', () => {
  it('is the drawn movement', () => {
    for (const [index, direction] of DIRECTION_NAMES.entries()) {
      const { x, y } = DIRECTIONS[direction];
      for (const motion of apparentMotion(clip(index))) {
        const along = motion.x * x + motion.y * y;
        expect(along).toBeGreaterThan(1);
        expect(Math.abs(motion.x * y - motion.y * x)).toBeLessThan(0.2 * along);
      }
    }
  });

  it('is right for the truth and wrong for fading between places, stills and the reverse', () => {
    const truth = clip(0);
    const right = (video: Frames) => stepsInDirection(video, truth).right;
    expect(stepsInDirection(truth, truth)).toEqual({ right: 12, steps: 12 });
    expect(right(blendKeyframes(truth, 4))).toBeLessThan(4); // the places are ten pixels apart
    const size = truth.height * truth.width * 3;
    const order = (pick: (f: number) => number): Frames => {
      const data = new Uint8Array(truth.data.length);
      for (let f = 0; f < truth.frames; f++)
        data.set(truth.data.subarray(pick(f) * size, (pick(f) + 1) * size), f * size);
      return { ...truth, data };
    };
    expect(right(order(() => 0))).toBe(0);
    expect(right(order(f => truth.frames - 1 - f))).toBe(0);
  });
});

describe('blendKeyframes', () => {
  it('keeps the keyframes and draws a straight line between them', () => {
    const truth = clip(3);
    const blend = blendKeyframes(truth, 4);
    const size = truth.height * truth.width * 3;
    for (const f of [0, 4, 8, 12]) {
      expect(
        Buffer.compare(blend.data.subarray(f * size, (f + 1) * size), truth.data.subarray(f * size, (f + 1) * size)),
      ).toBe(0);
    }
    const i = 30 * 64 * 3 + 90;
    const [a, b] = [truth.data[4 * size + i]!, truth.data[8 * size + i]!];
    expect(blend.data[6 * size + i]).toBe(Math.round((a + b) / 2));
  });
});
