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

describe('further schedules', () => {
  it('polynomial is linear to a power, down to the floor', () => {
    const polynomial = { ...config, schedule: 'polynomial' as const, schedulePower: 2 };
    expect(learningRateAt(4, polynomial)).toBe(2);
    expect(learningRateAt(8, polynomial)).toBeCloseTo(2 * (0.1 + 0.9 * 0.25), 12);
    expect(learningRateAt(12, polynomial)).toBeCloseTo(0.2, 12);
    for (const step of [5, 9]) {
      expect(learningRateAt(step, { ...polynomial, schedulePower: 1 })).toBe(
        learningRateAt(step, { ...config, schedule: 'linear' }),
      );
    }
  });
  it('cosine-restarts starts each cycle at the peak and ends at the floor', () => {
    const restarts = { ...config, schedule: 'cosine-restarts' as const, scheduleCycles: 2 };
    expect([4, 8].map(step => learningRateAt(step, restarts))).toEqual([2, 2]);
    expect(learningRateAt(6, restarts)).toBeCloseTo(1.1, 12);
    expect(learningRateAt(7, restarts)).toBeCloseTo(learningRateAt(11, restarts), 12);
    expect(learningRateAt(12, restarts)).toBeCloseTo(0.2, 12);
    for (const step of [5, 9, 12]) {
      expect(learningRateAt(step, { ...restarts, scheduleCycles: 1 })).toBe(learningRateAt(step, config));
    }
  });
});

describe('emaDecayAt', () => {
  it('warms up to the decay', () => {
    expect(emaDecayAt(0, { decay: 0.99, warmup: true })).toBeCloseTo(0.1);
    expect(emaDecayAt(90, { decay: 0.99, warmup: true })).toBeCloseTo(0.91);
    expect(emaDecayAt(5000, { decay: 0.99, warmup: true })).toBe(0.99);
    expect(emaDecayAt(0, { decay: 0.99, warmup: false })).toBe(0.99);
  });
  it('updates every few steps by the decay of as many', () => {
    const ema = { decay: 0.9, warmup: false, everySteps: 3 };
    expect([0, 1, 3, 4].map(step => emaDecayAt(step, ema))).toEqual([1, 1, 1, 1]);
    expect([2, 5].map(step => emaDecayAt(step, ema))).toEqual([0.9 ** 3, 0.9 ** 3]);
  });
});
