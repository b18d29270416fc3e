/** What a reference fixture holds and what checking one gives. */
import type { WeightSource } from '../models/weights/source.js';

/** A tensor outside TensorFlow: values in row-major order of `shape`. */
export interface TensorValue {
  shape: readonly number[];
  data: ArrayLike<number>;
}

/** One fixture folder, opened. */
export interface Fixture {
  /** Folder name. */
  name: string;
  dir: string;
  /** `config.json`'s `_fixture.kind`. */
  kind: string;
  /** The whole `config.json`. */
  config: Record<string, unknown>;
  /** `config.json`'s `_fixture` object: call, layout, semantics. */
  meta: Record<string, unknown>;
  /** Every tensor of `io.safetensors`: `in.*`, `out.*`, `grad.*`. */
  io: ReadonlyMap<string, TensorValue>;
  /** `weights.safetensors`, where the folder has one; closed by whoever opened the fixture. */
  weights?: WeightSource;
}

/** One comparison. `name` is the name of the `out.*` or `grad.*` tensor in `io.safetensors`. */
export interface Check {
  name: string;
  actual: TensorValue;
  expected: TensorValue;
  /** Outputs are compared elementwise, gradients against their tensor's largest element. */
  kind: 'output' | 'gradient';
}

export interface CheckResult {
  checks: Check[];
  /** `out.*` and `grad.*` tensors of the fixture that no check looked at: each is a miss. */
  unconsumed: string[];
}

/** Computes everything that a fixture of one kind records. */
export type FixtureCheck = (fixture: Fixture) => Promise<CheckResult>;

/** The `out.*` and `grad.*` tensors of a fixture that `checks` leaves out. */
export function unconsumedBy(checks: readonly Check[], fixture: Pick<Fixture, 'io'>): string[] {
  const seen = new Set(checks.map(check => check.name));
  return [...fixture.io.keys()].filter(name => /^(out\d*|grad\d*)\./.test(name) && !seen.has(name));
}
