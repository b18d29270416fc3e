/** The measures of experiments/motion tell loops, zigzags and straight lines apart, and shapes from each other. */
import { describe, expect, it } from 'vitest';
import { matchPath, measurePath } from '../../experiments/motion/path.js';
import { measureShape } from '../../experiments/prompt-following/shape-of.js';
import type { Frames } from '../../src/data/frames.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { COLOUR_NAMES, MOTION_NAMES, type Motion, type Shape } from '../../src/data/shapes-vocabulary.js';

const SIZE = { width: 16, height: 16, frames: 8 };
const clip = (direction: Motion, index: number, shape: Shape = 'square') => {
  const colour = COLOUR_NAMES[index % 4]!;
  return renderClip(describeClip({ colour, shape, direction }, SIZE, 9, index));
};
const share = (list: boolean[]): number => list.filter(Boolean).length / list.length;
const CLIPS = Array.from({ length: 24 }, (_, i) => i);

describe('a path', () => {
  it.each(['loop', 'zigzag'] as const)('of a %s is followed by all clips of that motion and by no other', wanted => {
    const reference = measurePath(clip(wanted, 100));
    for (const motion of MOTION_NAMES) {
      const follow = CLIPS.map(i => matchPath(measurePath(clip(motion, i)), reference).follows);
      expect(share(follow), motion).toBe(motion === wanted ? 1 : 0);
    }
  });

  it('is not followed backwards, standing still, or on a blank screen', () => {
    const loop = clip('loop', 3);
    const reference = measurePath(loop);
    const bytes = 16 * 16 * 3;
    const frames = Array.from({ length: 8 }, (_, f) => loop.data.slice(f * bytes, (f + 1) * bytes));
    const made = (order: number[]): Frames => ({ ...loop, data: Uint8Array.from(order.flatMap(f => [...frames[f]!])) });
    expect(matchPath(measurePath(made([0, 1, 2, 3, 4, 5, 6, 7])), reference).correlation).toBeCloseTo(1, 9);
    expect(matchPath(measurePath(made([7, 6, 5, 4, 3, 2, 1, 0])), reference).follows).toBe(false);
    expect(matchPath(measurePath(made([2, 2, 2, 2, 2, 2, 2, 2])), reference).follows).toBe(false);
    const blank = { ...loop, data: loop.data.map(() => 60) };
    expect(matchPath(measurePath(blank), reference)).toEqual({ correlation: 0, bends: 0, size: 0, follows: false });
  });
});

describe('a shape', () => {
  it.each([
    ['square', 'triangle', 1],
    ['square', 'diamond', 0.9],
    ['square', 'circle', 0.8],
  ] as const)('is found: %s or %s', (one, other, least) => {
    for (const shape of [one, other]) {
      const right = CLIPS.slice(0, 16).map(
        i => measureShape(clip(MOTION_NAMES[i % 6]!, i, shape), [one, other]) === shape,
      );
      expect(share(right), shape).toBeGreaterThanOrEqual(least);
    }
  });

  it('is undefined where nothing stands out', () => {
    const blank = { ...clip('up', 1), data: clip('up', 1).data.map(() => 60) };
    expect(measureShape(blank, ['square', 'circle'])).toBeUndefined();
  });
});
