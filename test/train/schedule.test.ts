import { describe, expect, it } from 'vitest';
import { emaDecayAt, learningRateAt } from '../../src/train/schedule.js';

const config = { learningRate: 2, schedule: 'cosine' as const, warmupSteps: 4, minLearningRateRatio: 0.1, steps: 12 };

describe('learningRateAt', () => {
  it('warms up linearly and reaches the peak', () => {
    expect([0, 1, 2, 3, 4].map(s => learningRateAt(s, config))).toEqual([0.5, 1, 1.5, 2, 2]);
  });
  it('cosine passes the middle and ends at the floor', () => {
    expect(learningRateAt(8, config)).toBeCloseTo(1.1, 12);
    expect(learningRateAt(12, config)).toBeCloseTo(0.2, 12);
    expect(learningRateAt(99, config)).toBeCloseTo(0.2, 12);
  });
  it('linear and constant', () => {
    expect(learningRateAt(8, { ...config, schedule: 'linear' })).toBeCloseTo(1.1, 12);
    expect(learningRateAt(10, { ...config, schedule: 'linear' })).toBeCloseTo(0.65, 12);
    expect(learningRateAt(10, { ...config, schedule: 'constant' })).toBe(2);
    expect(learningRateAt(0, { ...config, warmupSteps: 0 })).toBe(2);
  });
});

describe('emaDecayAt', () => {
  it('warms up to the decay', () => {
    expect(emaDecayAt(0, { decay: 0.99, warmup: true })).toBeCloseTo(0.1);
    expect(emaDecayAt(90, { decay: 0.99, warmup: true })).toBeCloseTo(0.91);
    expect(emaDecayAt(5000, { decay: 0.99, warmup: true })).toBe(0.99);
    expect(emaDecayAt(0, { decay: 0.99, warmup: false })).toBe(0.99);
  });
});
