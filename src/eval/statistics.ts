/** Mean and covariance of features in float64, from a stream of rows, in the memory of one covariance. */
import { float64 } from '../engine/float64.js';
import { InputError } from '../errors.js';

/** Sums over rows: how many, their mean, and the sum of outer products of what is left without it. */
interface Moments {
  n: number;
  mean: Float64Array;
  /** [dim, dim], row-major; only the upper triangle is kept up to date. */
  scatter: Float64Array | undefined;
}

/** What `toJSON` writes: base64 of little-endian float64. */
export interface StatisticsJson {
  dim: number;
  n: number;
  /** Rows that are not in `scatter` yet. */
  rows: string;
  /** Mean and scatter (upper triangle, row by row) of the other rows; absent where all rows are in `rows`. */
  folded?: { n: number; mean: string; scatter: string };
}

const encode = (values: Float64Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

/** Mean and centred copy of [n, dim] rows. */
function centre(rows: Float64Array, n: number, dim: number): { mean: Float64Array; centred: Float64Array } {
  const mean = new Float64Array(dim);
  for (let i = 0; i < n; i++) for (let j = 0; j < dim; j++) mean[j]! += rows[i * dim + j]!;
  for (let j = 0; j < dim; j++) mean[j]! /= n;
  const centred = new Float64Array(n * dim);
  for (let i = 0; i < n; i++) for (let j = 0; j < dim; j++) centred[i * dim + j] = rows[i * dim + j]! - mean[j]!;
  return { mean, centred };
}

function momentsOf(rows: Float64Array, n: number, dim: number): Moments {
  const { mean, centred } = centre(rows, n, dim);
  const scatter = float64(scope => {
    const x = scope.matrix(centred, n, dim);
    return scope.values(scope.matMul(x, x, { transposeA: true }));
  });
  return { n, mean, scatter };
}

/** Adds `b` to `a` in place (Chan, Golub, LeVeque 1979): no difference of large sums, as in E[x²] - E[x]². */
function combine(a: Moments, b: Moments): void {
  if (b.n === 0) return;
  if (a.n === 0 || !a.scatter) {
    a.n = b.n;
    a.mean = b.mean.slice();
    a.scatter = b.scatter!.slice();
    return;
  }
  const dim = a.mean.length;
  const total = a.n + b.n;
  const delta = b.mean.map((value, j) => value - a.mean[j]!);
  const weight = (a.n * b.n) / total;
  for (let i = 0; i < dim; i++) {
    const scaled = delta[i]! * weight;
    for (let j = i; j < dim; j++) a.scatter[i * dim + j]! += b.scatter![i * dim + j]! + scaled * delta[j]!;
  }
  for (let j = 0; j < dim; j++) a.mean[j]! += (delta[j]! * b.n) / total;
  a.n = total;
}

/**
 * Streaming mean and covariance of rows of `dim` features. Up to `dim` rows are kept as they are: a covariance of so few is
 * singular, and `frechetDistance` then works on the rows themselves. Fuller blocks are folded into the sums, always of the same rows
 * whatever the sizes of the calls of `add`, so that the result does not depend on the batch size in a single bit.
 */
export class FeatureStatistics {
  private readonly folded: Moments;
  private rows: Float64Array;
  private pending = 0;

  /** @throws InputError when `dim` is no positive integer */
  constructor(readonly dim: number) {
    if (!Number.isSafeInteger(dim) || dim < 1) {
      throw new InputError(`statistics: the number of features must be a positive integer, got ${dim}`, {
        code: 'eval.features',
        dim,
      });
    }
    this.folded = { n: 0, mean: new Float64Array(dim), scatter: undefined };
    this.rows = new Float64Array(0);
  }

  /** Rows so far. */
  get n(): number {
    return this.folded.n + this.pending;
  }

  /**
   * Adds rows. @param rows [n, dim], row-major (copied)
   * @throws InputError `eval.features` when the length is not n · dim, or a value is not finite (nothing is added then)
   */
  add(rows: Float32Array | Float64Array, n: number): void {
    const { dim } = this;
    if (!Number.isSafeInteger(n) || n < 0 || rows.length !== n * dim) {
      throw new InputError(`statistics: ${rows.length} values are not ${n} rows of ${dim} features`, {
        code: 'eval.features',
        n,
        dim,
      });
    }
    for (let i = 0; i < rows.length; i++) {
      if (Number.isFinite(rows[i]!)) continue;
      const row = this.n + Math.floor(i / dim);
      throw new InputError(
        `statistics: feature ${i % dim} of row ${row} (counted from 0) is ${rows[i]}: the network or its input is broken there`,
        { code: 'eval.features', row, column: i % dim },
      );
    }
    for (let at = 0; at < n; ) {
      // A full block waits for the next row: as long as there is no more, the rows are of more use than their sums.
      if (this.pending === dim) this.fold();
      const count = Math.min(n - at, dim - this.pending);
      this.reserve(this.pending + count);
      this.rows.set(rows.subarray(at * dim, (at + count) * dim), this.pending * dim);
      this.pending += count;
      at += count;
    }
  }

  /** Adds what another one has seen; `other` stays as it is. @throws InputError when it counts other features */
  merge(other: FeatureStatistics): void {
    if (other.dim !== this.dim) {
      throw new InputError(`statistics: ${other.dim} features cannot be merged with ${this.dim}`, {
        code: 'eval.features',
        dims: [this.dim, other.dim],
      });
    }
    // Read before anything moves: a set may be merged with itself.
    const rows = other.rows.slice(0, other.pending * other.dim);
    const pending = other.pending;
    if (other.folded.n > 0) combine(this.folded, { ...other.folded, scatter: other.folded.scatter!.slice() });
    this.add(rows, pending);
  }

  /** [dim]. @throws InputError when there is no row */
  mean(): Float64Array {
    this.needs(1, 'mean');
    const { n } = this;
    const mean = this.folded.mean.map(value => (value * this.folded.n) / n);
    const { mean: rest } = centre(this.pendingRows(), this.pending, this.dim);
    return this.pending > 0 ? mean.map((value, j) => value + (rest[j]! * this.pending) / n) : this.folded.mean.slice();
  }

  /** [dim, dim], row-major, over n - 1 (numpy.cov). @throws InputError when there are less than two rows */
  covariance(): Float64Array {
    this.needs(2, 'covariance');
    const all: Moments = { ...this.folded, mean: this.folded.mean.slice(), scatter: this.folded.scatter?.slice() };
    if (this.pending > 0) combine(all, momentsOf(this.pendingRows(), this.pending, this.dim));
    const { dim } = this;
    const covariance = all.scatter!;
    for (let i = 0; i < dim; i++) {
      for (let j = i; j < dim; j++) {
        covariance[i * dim + j]! /= this.n - 1;
        covariance[j * dim + i] = covariance[i * dim + j]!;
      }
    }
    return covariance;
  }

  /** The rows without their mean [n, dim], where all are still there (n ≤ dim); a copy. */
  centredRows(): Float64Array | undefined {
    return this.folded.n === 0 ? centre(this.pendingRows(), this.pending, this.dim).centred : undefined;
  }

  toJSON(): StatisticsJson {
    const { dim, n, folded } = this;
    const json: StatisticsJson = { dim, n, rows: encode(this.pendingRows()) };
    if (!folded.scatter) return json;
    const upper = new Float64Array((dim * (dim + 1)) / 2);
    for (let i = 0, at = 0; i < dim; at += dim - i++) {
      upper.set(folded.scatter.subarray(i * dim + i, (i + 1) * dim), at);
    }
    return { ...json, folded: { n: folded.n, mean: encode(folded.mean), scatter: encode(upper) } };
  }

  /** The statistics that `toJSON` wrote, bit for bit. @throws InputError `eval.statistics` when they do not fit together */
  static from(json: StatisticsJson): FeatureStatistics {
    const { dim, n, rows, folded } = json;
    const result = new FeatureStatistics(dim);
    const read = (text: unknown, length: number): Float64Array => {
      const bytes = typeof text === 'string' ? new Uint8Array(Buffer.from(text, 'base64')) : new Uint8Array(0);
      if (bytes.length !== length * 8) {
        throw new InputError(
          `statistics: ${bytes.length} bytes where ${length} float64 should be; were they cut? Compute them again`,
          {
            code: 'eval.statistics',
            bytes: bytes.length,
            expected: length * 8,
          },
        );
      }
      return new Float64Array(bytes.slice().buffer);
    };
    if (folded) {
      const upper = read(folded.scatter, (dim * (dim + 1)) / 2);
      const scatter = new Float64Array(dim * dim);
      for (let i = 0, at = 0; i < dim; i++) {
        for (let j = i; j < dim; j++) scatter[i * dim + j] = upper[at++]!;
      }
      Object.assign(result.folded, { n: folded.n, mean: read(folded.mean, dim), scatter });
    }
    result.add(read(rows, (n - result.folded.n) * dim), n - result.folded.n);
    return result;
  }

  private pendingRows(): Float64Array {
    return this.rows.subarray(0, this.pending * this.dim);
  }

  private fold(): void {
    combine(this.folded, momentsOf(this.pendingRows(), this.pending, this.dim));
    this.pending = 0;
  }

  /** Room for `count` rows, doubled as they come: a handful of rows of 2048 features needs no 32 MB. */
  private reserve(count: number): void {
    if (this.rows.length >= count * this.dim) return;
    const grown = new Float64Array(Math.min(this.dim, Math.max(count, (2 * this.rows.length) / this.dim)) * this.dim);
    grown.set(this.pendingRows());
    this.rows = grown;
  }

  private needs(rows: number, what: string): void {
    if (this.n >= rows) return;
    const least = rows === 1 ? 'one row' : 'two rows';
    throw new InputError(`statistics: a ${what} needs at least ${least}, there are ${this.n}`, {
      code: 'eval.features',
      n: this.n,
    });
  }
}
