import { describe, expect, it } from 'vitest';
import { compare, GRADIENT_TOLERANCE } from '../../src/verify/compare.js';
import { judge } from '../../src/verify/index.js';
import { unconsumedBy } from '../../src/verify/types.js';

const value = (data: number[], shape = [data.length]) => ({ shape, data });
const output = (actual: number[], expected: number[]) =>
  compare(
    { name: 'out.x', actual: value(actual), expected: value(expected), kind: 'output' },
    { atol: 0.1, rtol: 0.01 },
  );
const gradient = (actual: number[], expected: number[]) =>
  compare({ name: 'grad.x', actual: value(actual), expected: value(expected), kind: 'gradient' }, { atol: 9, rtol: 9 });

describe('compare', () => {
  it('holds each output element to atol + rtol |expected|', () => {
    expect(output([1.1099, 100], [1, 99])).toMatchObject({ ok: true, maxAbsError: 1 });
    expect(output([0.099, -100], [0, -101])).toMatchObject({ ok: true });
    const miss = output([0.111, 100], [0, 100]); // the allowance of the large element does not help the small one
    expect(miss.ok).toBe(false);
    expect(miss.message).toBe('out.x: 0.111 at 0, the reference is 0 (1.11 times the tolerance)');
  });

  it("holds gradients to a share of their tensor's largest element, whatever the output tolerance", () => {
    expect(gradient([0.0019, 1], [0, 1]).ok).toBe(true);
    expect(gradient([0.0021, 1], [0, 1]).ok).toBe(false);
    expect(gradient([1e-7, 0], [2e-7, 0]).ok).toBe(false);
    expect(gradient([0, 0], [0, 0])).toMatchObject({ ok: true, maxAbsError: 0 });
    expect(gradient([1e-9, 0], [0, 0]).ok).toBe(false);
    expect(gradient([1.001, 1], [1, 1]).used * GRADIENT_TOLERANCE).toBeCloseTo(1e-3);
  });

  it('refuses values that are not finite, on either side, also where both agree', () => {
    const nan = Number.NaN;
    const infinity = Number.POSITIVE_INFINITY;
    for (const [a, b] of [
      [nan, 1],
      [1, nan],
      [infinity, infinity],
      [nan, nan],
    ] as const) {
      expect(output([0, a], [0, b])).toMatchObject({ ok: false, maxAbsError: infinity });
      expect(output([0, a], [0, b]).message).toMatch(/value 1 is .*not finite/);
    }
  });

  it('refuses other shapes and counts', () => {
    const check = (actual: ReturnType<typeof value>, expected: ReturnType<typeof value>) =>
      compare({ name: 'x', actual, expected, kind: 'output' }, { atol: 9, rtol: 9 });
    expect(check(value([1, 2], [1, 2]), value([1, 2], [2, 1])).message).toMatch(/shape \[1,2\].*\[2,1\]/);
    expect(check(value([1], [2]), value([1, 2])).message).toMatch(/1 values against 2/);
    expect(check(value([], [0]), value([], [0])).ok).toBe(true);
    expect(check(value([1], []), value([1], [])).ok).toBe(true);
  });
});

describe('judge', () => {
  const good = { name: 'out.x', actual: value([1]), expected: value([1]), kind: 'output' as const };
  const tolerance = { atol: 1e-4, rtol: 0 };

  it('misses what nothing was compared with, and fixtures without anything to compare', () => {
    expect(judge({ checks: [good], unconsumed: [] }, tolerance)).toMatchObject({
      ok: true,
      status: 'passed',
      outputs: 1,
    });
    const left = judge({ checks: [good], unconsumed: ['grad.y'] }, tolerance);
    expect(left).toMatchObject({ ok: false, message: 'grad.y: nothing was compared with it' });
    expect(judge({ checks: [], unconsumed: [] }, tolerance)).toMatchObject({ ok: false, status: 'failed' });
  });

  it('lists every miss and reports the worst of outputs and gradients apart', () => {
    const checks = [
      { ...good, actual: value([2]) },
      { ...good, name: 'grad.x', actual: value([1.5]), kind: 'gradient' as const },
      good,
    ];
    const result = judge({ checks, unconsumed: [] }, tolerance);
    expect(result).toMatchObject({ ok: false, maxAbsError: 1, maxGradientError: 0.5, outputs: 2, gradients: 1 });
    expect(result.message?.split('\n')).toHaveLength(2);
  });
});

describe('unconsumedBy', () => {
  it('names outputs and gradients without a check, in any case of the fixture', () => {
    const names = ['in.x', 'out.x', 'out.y', 'out2.z', 'grad.in.x', 'in2.x'];
    const io = new Map(names.map(name => [name, value([1])]));
    const checks = [{ name: 'out.x', actual: value([1]), expected: value([1]), kind: 'output' as const }];
    expect(unconsumedBy(checks, { io })).toEqual(['out.y', 'out2.z', 'grad.in.x']);
  });
});
