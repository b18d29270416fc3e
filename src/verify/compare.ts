/** The acceptance rules for fixtures: outputs elementwise, gradients against their tensor's largest element. */
import type { Check, TensorValue } from './types.js';

export interface Tolerance {
  atol: number;
  rtol: number;
}

/** Gradients may be off by this share of their tensor's largest element. */
export const GRADIENT_TOLERANCE = 2e-3;

export interface Comparison {
  ok: boolean;
  /** Largest |actual − expected|; Infinity when a value is not finite or the shapes differ. */
  maxAbsError: number;
  /** Largest error as a share of what is allowed: up to 1 passes. */
  used: number;
  /** What is wrong, when something is. */
  message?: string;
}

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, i) => size === b[i]);

/** Compares one check by the rule of its kind. */
export function compare({ name, actual, expected, kind }: Check, tolerance: Tolerance): Comparison {
  const miss = (message: string): Comparison => ({
    ok: false,
    maxAbsError: Number.POSITIVE_INFINITY,
    used: Number.POSITIVE_INFINITY,
    message: `${name}: ${message}`,
  });
  if (!sameShape(actual.shape, expected.shape)) {
    return miss(`shape [${actual.shape}], but the reference has [${expected.shape}]`);
  }
  const count = expected.shape.reduce((product, size) => product * size, 1);
  if (actual.data.length !== count || expected.data.length !== count) {
    return miss(
      `${actual.data.length} values against ${expected.data.length}, the shape [${expected.shape}] has ${count}`,
    );
  }
  const broken = firstNonFinite(actual) ?? firstNonFinite(expected);
  if (broken !== undefined) {
    const values = `${actual.data[broken]}, the reference ${expected.data[broken]}`;
    return miss(`value ${broken} is ${values}: not finite`);
  }
  const result = kind === 'output' ? elementwise(actual, expected, tolerance) : relativeToMax(actual, expected);
  const ok = result.used <= 1;
  return { ok, ...result, message: ok ? undefined : `${name}: ${describe(result, kind, actual, expected)}` };
}

interface Measured {
  maxAbsError: number;
  used: number;
  /** Index of the worst value. */
  at: number;
}

/** |a − b| <= atol + rtol |b| for every element. */
function elementwise({ data: a }: TensorValue, { data: b }: TensorValue, { atol, rtol }: Tolerance): Measured {
  const result: Measured = { maxAbsError: 0, used: 0, at: 0 };
  for (let i = 0; i < b.length; i++) {
    const error = Math.abs(a[i]! - b[i]!);
    if (error === 0) continue;
    const used = error / (atol + rtol * Math.abs(b[i]!));
    if (error > result.maxAbsError) result.maxAbsError = error;
    if (used > result.used) {
      result.used = used;
      result.at = i;
    }
  }
  return result;
}

/** max |a − b| <= 2e-3 max |b|. */
function relativeToMax({ data: a }: TensorValue, { data: b }: TensorValue): Measured {
  let largest = 0;
  const result: Measured = { maxAbsError: 0, used: 0, at: 0 };
  for (let i = 0; i < b.length; i++) {
    largest = Math.max(largest, Math.abs(b[i]!));
    const error = Math.abs(a[i]! - b[i]!);
    if (error > result.maxAbsError) {
      result.maxAbsError = error;
      result.at = i;
    }
  }
  if (result.maxAbsError > 0) result.used = result.maxAbsError / (GRADIENT_TOLERANCE * largest);
  return result;
}

function firstNonFinite({ data }: TensorValue): number | undefined {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return undefined;
}

function describe({ used, at }: Measured, kind: Check['kind'], actual: TensorValue, expected: TensorValue): string {
  const values = `${actual.data[at]} at ${at}, the reference is ${expected.data[at]}`;
  const limit = kind === 'output' ? 'the tolerance' : `${GRADIENT_TOLERANCE} of the largest element`;
  return `${values} (${used.toPrecision(3)} times ${limit})`;
}
