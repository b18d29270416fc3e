import { describe, expect, it } from 'vitest';
import { statusLine, Ticker } from '../../../src/train/logging/index.js';

describe('Ticker', () => {
  it('measures speed and time left over the last minute', () => {
    let now = 0;
    const ticker = new Ticker({ totalSteps: 200, clipsPerStep: 8, startStep: 100, now: () => now });
    now = 50_000; // The first ten steps are slow: tracing.
    const first = ticker.tick({ step: 110, loss: 1, learningRate: 1e-4, gradNorm: 1 });
    expect(first).toMatchObject({ step: 110, secondsPerStep: 5, clipsPerSecond: 1.6, etaSeconds: 450 });
    for (let i = 1; i <= 8; i++) {
      now += 10_000;
      ticker.tick({ step: 110 + 10 * i, loss: 1, learningRate: 1e-4, gradNorm: 1 });
    }
    const last = ticker.tick({ step: 190, loss: 1, learningRate: 1e-4, gradNorm: 1 });
    expect(last.secondsPerStep).toBeCloseTo(1, 9);
    expect(last.etaSeconds).toBeCloseTo(10, 9);
    expect(last.memoryBytes).toBeGreaterThan(1e6);
  });
  it('does not invent a speed before a step is done', () => {
    const ticker = new Ticker({ totalSteps: 10, clipsPerStep: 1, now: () => 5 });
    const tick = ticker.tick({ step: 0, loss: 1, learningRate: 0, gradNorm: 0 });
    expect(tick.secondsPerStep).toBeNaN();
    expect(statusLine(tick, 10)).toContain('ETA ?');
  });
});

describe('statusLine', () => {
  it('is one line', () => {
    const tick = {
      step: 120,
      loss: 0.04712,
      learningRate: 1e-4,
      gradNorm: 0.8333,
      secondsPerStep: 0.7204,
      clipsPerSecond: 11.105,
      memoryBytes: 1.4 * 2 ** 30,
      etaSeconds: 634,
    };
    expect(statusLine(tick, 10_000)).toBe(
      'step   120/10000  loss 0.0471  lr 1e-4  grad 0.833  0.72 s/step  11.1 clips/s  1.4 GiB  ETA 10m34s',
    );
  });
});
