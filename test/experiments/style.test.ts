import { describe, expect, it } from 'vitest';
import { drawOnPaper, measureLook } from '../../experiments/style/paper.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { COLOUR_NAMES, DIRECTION_NAMES, SHAPES } from '../../src/data/shapes-vocabulary.js';

const clip = (i: number) => {
  const combination = { colour: COLOUR_NAMES[i % 4]!, shape: SHAPES[i % 4]!, direction: DIRECTION_NAMES[i % 4]! };
  return describeClip(combination, { width: 20, height: 20, frames: 8 }, 5, i);
};

describe('the look of lined paper', () => {
  it('is told from the backgrounds of the dataset, and from plain light ones', () => {
    for (let i = 0; i < 40; i++) {
      expect(measureLook(drawOnPaper(clip(i))).onPaper).toBe(true);
      expect(measureLook(renderClip(clip(i))).onPaper).toBe(false);
      const light = { ...clip(i), background: { ...clip(i).background, tone: 0.85, slope: 0 } };
      expect(measureLook(renderClip(light)).onPaper).toBe(false);
    }
  });

  it('leaves the shape as it is', () => {
    const [plain, paper] = [renderClip(clip(1)), drawOnPaper(clip(1))];
    const { from } = clip(1);
    const at = (Math.floor(from.y) * 20 + Math.floor(from.x)) * 3;
    expect([...paper.data.slice(at, at + 3)]).toEqual([...plain.data.slice(at, at + 3)]);
  });
});
