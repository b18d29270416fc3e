/** Runs reference fixtures: finds them, computes what they record, compares, and never stops at the first miss. */
import picomatch from 'picomatch';
import { InputError } from '../errors.js';
import { compare, GRADIENT_TOLERANCE, type Tolerance } from './compare.js';
import { type Listing, listFixtures, openFixture, readFixtureConfig, toleranceFor } from './fixtures.js';
import { KINDS } from './kinds.js';
import { type CheckResult, unconsumedBy } from './types.js';

export { REPORT_COLUMNS, reportNotes, reportRows, summarize, type VerifySummary } from './report.js';
export type { Check, CheckResult, Fixture, FixtureCheck, TensorValue } from './types.js';

export interface FixtureResult {
  /** Folder name; manifests are `manifests/<name>`. */
  name: string;
  /** `config.json`'s kind, `manifest`, or `unknown` when the config cannot be read. */
  kind: string;
  /** `error`: it could not be run (a missing file, an unknown kind, an exception). */
  status: 'passed' | 'failed' | 'error';
  ok: boolean;
  /** Largest |actual − expected| of the outputs; null when nothing finite was compared. */
  maxAbsError: number | null;
  /** What outputs were held to. */
  tolerance: Tolerance | null;
  /** Tensors compared. */
  outputs: number;
  gradients: number;
  /** Largest gradient error as a share of its tensor's largest element (2e-3 passes); null without gradients. */
  maxGradientError: number | null;
  seconds: number;
  /** Why it did not pass. */
  message?: string;
}

export interface VerifyOptions {
  /** Glob over names, e.g. `piece_*`. */
  only?: string;
  /** Told each fixture's name before it runs. */
  onStart?: (name: string, done: number, total: number) => void;
}

/**
 * Checks every fixture of `dir` (or `dir` itself when it is one).
 * @throws InputError when `dir` holds none, or `only` matches none; anything wrong with one fixture is in its result
 */
export async function verify(dir: string, { only, onStart }: VerifyOptions = {}): Promise<FixtureResult[]> {
  const listing = listFixtures(dir);
  const jobs = [
    ...listing.fixtures.map(({ name, dir }) => ({ name, run: () => runFixture(name, dir, listing) })),
    ...listing.manifests.map(({ name, file }) => ({ name, run: () => runManifest(file) })),
  ];
  const wanted = only === undefined ? jobs : jobs.filter(job => picomatch.isMatch(job.name, only));
  if (wanted.length === 0) {
    throw new InputError(`--only ${only} matches none of ${jobs.map(job => job.name).join(', ')}.`, {
      code: 'verify.only',
      only,
    });
  }
  const results: FixtureResult[] = [];
  for (const { name, run } of wanted) {
    onStart?.(name, results.length, wanted.length);
    const start = performance.now();
    const outcome = await run().catch((error: Error) => failure(error));
    results.push({ ...EMPTY, ...outcome, name, seconds: (performance.now() - start) / 1e3 });
  }
  return results;
}

type Outcome = Partial<FixtureResult> & Pick<FixtureResult, 'kind' | 'status' | 'ok'>;

const EMPTY = { maxAbsError: null, tolerance: null, outputs: 0, gradients: 0, maxGradientError: null };

const failure = (error: Error, kind = 'unknown'): Outcome => ({
  kind,
  status: 'error',
  ok: false,
  message: error instanceof InputError ? error.message : (error.stack ?? String(error)),
});

async function runFixture(name: string, dir: string, { tolerances }: Listing): Promise<Outcome> {
  const { kind, config } = readFixtureConfig(dir);
  const tolerance = toleranceFor(name, kind, tolerances);
  if (!Object.hasOwn(KINDS, kind)) {
    const known = Object.keys(KINDS).sort().join(', ');
    return { kind, status: 'error', ok: false, message: `unknown kind "${kind}"; known are ${known}` };
  }
  const { weights, load } = KINDS[kind]!;
  try {
    const check = await load();
    const fixture = await openFixture(name, dir, kind, config, weights);
    try {
      const { checks, unconsumed } = await check(fixture);
      const left = new Set([...unconsumed, ...unconsumedBy(checks, fixture)]); // a check cannot forget one
      return { kind, tolerance, ...judge({ checks, unconsumed: [...left] }, tolerance) };
    } finally {
      fixture.weights?.close();
    }
  } catch (error) {
    return { ...failure(error as Error, kind), tolerance };
  }
}

/** Applies the acceptance rules to what a check computed. */
export function judge({ checks, unconsumed }: CheckResult, tolerance: Tolerance): Omit<Outcome, 'kind'> {
  const misses = unconsumed.map(name => `${name}: nothing was compared with it`);
  if (checks.length === 0) misses.push('the fixture records nothing to compare');
  let maxAbsError: number | null = null;
  let gradientUse: number | null = null;
  for (const check of checks) {
    const { ok, maxAbsError: error, used, message } = compare(check, tolerance);
    if (!ok) misses.push(message!);
    if (check.kind === 'output') maxAbsError = Math.max(maxAbsError ?? 0, error);
    else gradientUse = Math.max(gradientUse ?? 0, used);
  }
  return {
    status: misses.length ? 'failed' : 'passed',
    ok: misses.length === 0,
    maxAbsError,
    outputs: checks.filter(check => check.kind === 'output').length,
    gradients: checks.filter(check => check.kind === 'gradient').length,
    maxGradientError: gradientUse === null ? null : gradientUse * GRADIENT_TOLERANCE,
    message: misses.length ? misses.join('\n') : undefined,
  };
}

/** A full-size model's names and shapes: right or wrong, without tolerance. */
async function runManifest(file: string): Promise<Outcome> {
  const kind = 'manifest';
  const tolerance: Tolerance = { atol: 0, rtol: 0 };
  try {
    const { readManifest, verifyManifest } = await import('./manifest.js');
    const manifest = readManifest(file);
    const { ok, parameters, missing, unexpected, mismatched } = verifyManifest(manifest);
    const problems = [
      ...missing.map(name => `${name} is not in the model`),
      ...unexpected.map(name => `${name} is in the model only`),
      ...mismatched.map(({ name, model, manifest }) => `${name} is [${model}], the manifest has [${manifest}]`),
    ];
    if (parameters.model !== parameters.manifest) {
      problems.unshift(`the model has ${parameters.model} parameters, the manifest ${parameters.manifest}`);
    }
    return {
      kind,
      status: ok ? 'passed' : 'failed',
      ok,
      tolerance,
      maxAbsError: ok ? 0 : null,
      outputs: Object.keys(manifest.tensors).length,
      message: ok ? undefined : problems.join('\n'),
    };
  } catch (error) {
    return { ...failure(error as Error, kind), tolerance };
  }
}
