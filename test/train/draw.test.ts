import { describe, expect, it } from 'vitest';
import { drawStep, timestepSampling } from '../../src/train/draw.js';
import { LossBins } from '../../src/train/loss-bins.js';

const defaults = { sampling: 'uniform' as const, power: 3, mean: 0, std: 1, shift: 3, min: 0 };
const captions = Array.from({ length: 64 }, (_, i) => `caption ${i}`);
const draw = (microStep: number, over = {}) =>
  drawStep(captions, microStep, {
    seed: 3,
    captionDropout: 0.25,
    sampling: timestepSampling({ ...defaults, ...over }, 1000),
  });

describe('drawStep', () => {
  it('is a function of the seed and the step alone', () => {
    const [a, , c] = [draw(7), draw(8), draw(7)];
    expect(a).toEqual(c);
    expect(draw(8)).not.toEqual(a);
  });

  it('drops about the asked share of captions', () => {
    const dropped = Array.from({ length: 40 }, (_, i) => draw(i).captions.filter(c => c === '').length).reduce(
      (x, y) => x + y,
      0,
    );
    expect(dropped / (40 * 64)).toBeGreaterThan(0.2);
    expect(dropped / (40 * 64)).toBeLessThan(0.3);
  });

  it.each([
    ['uniform', {}, 500],
    ['power', { sampling: 'power', power: 3 }, 750],
    ['shifted', { sampling: 'shifted', shift: 3 }, 676],
    ['logit-normal', { sampling: 'logit-normal', mean: 0 }, 500],
  ])('%s draws its distribution', (_, over, mean) => {
    const ts = Array.from({ length: 60 }, (_, i) => [...draw(i, over).timesteps]).flat();
    expect(Math.abs(ts.reduce((x, y) => x + y, 0) / ts.length - mean)).toBeLessThan(20);
  });

  it('stays in the range (expert translation trains on 0–900)', () => {
    const ts = Array.from({ length: 30 }, (_, i) => [...draw(i, { min: 100, max: 900 }).timesteps]).flat();
    expect(Math.min(...ts)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...ts)).toBeLessThan(900);
    expect(Math.max(...ts)).toBeGreaterThan(850);
  });
});

describe('LossBins', () => {
  it('averages by noise level and starts anew', () => {
    const bins = new LossBins(1000);
    bins.add([10, 240, 999], [1, 3, 7]);
    expect(bins.take()).toEqual({ 'loss/t0-249': 2, 'loss/t750-999': 7 });
    expect(bins.take()).toEqual({});
  });
});
