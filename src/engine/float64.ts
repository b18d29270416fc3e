/**
 * Linear algebra in float64, which TF.js has no tensors for: matrices live as native handles for the length of one call of
 * `float64`. On TensorFlow's Eigen kernels; nothing here has a gradient or can be traced.
 */
import { type Attr, boolAttr, DType, nativeBackend, typeAttr } from './raw.js';

/** A float64 matrix in TensorFlow's memory; dead when the `float64` call that made it returns. */
export interface Matrix64 {
  readonly id: number;
  readonly rows: number;
  readonly columns: number;
}

const T64 = typeAttr('T', DType.float64);

export class Float64Scope {
  private readonly binding = nativeBackend().binding;
  private readonly ids = new Set<number>();

  /** A matrix of row-major values (copied). */
  matrix(values: Float64Array, rows: number, columns: number): Matrix64 {
    if (values.length !== rows * columns) throw new Error(`${values.length} values as [${rows}, ${columns}]`);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return this.keep(this.binding.createTensorFromBytes([rows, columns], DType.float64, bytes), rows, columns);
  }

  /** a · b, of the transposes where asked. */
  matMul(a: Matrix64, b: Matrix64, { transposeA = false, transposeB = false } = {}): Matrix64 {
    const attrs = [T64, boolAttr('transpose_a', transposeA), boolAttr('transpose_b', transposeB)];
    const [id] = this.run('MatMul', attrs, [a, b], 1) as [number];
    return this.keep(id, transposeA ? a.columns : a.rows, transposeB ? b.rows : b.columns);
  }

  /** Lower L with L·Lᵀ = a; undefined where `a` is not positive definite to rounding. */
  cholesky(a: Matrix64): Matrix64 | undefined {
    let id: number;
    try {
      [id] = this.run('Cholesky', [T64], [a], 1) as [number];
    } catch (error) {
      if (/cholesky/i.test(String(error))) return undefined;
      throw error;
    }
    const lower = this.keep(id, a.rows, a.columns);
    // Some kernels return NaN instead of failing; it reaches the last pivot.
    const values = this.values(lower);
    return Number.isFinite(values.at(-1)!) ? lower : undefined;
  }

  /** Eigenvalues of a symmetric matrix, rising. */
  eigenvalues(a: Matrix64): Float64Array {
    const ids = this.run('SelfAdjointEigV2', [T64, boolAttr('compute_v', false)], [a], 2);
    const values = this.values(this.keep(ids[0]!, 1, a.rows));
    this.keep(ids[1]!, 0, 0);
    return values;
  }

  /** a = V · diag(values) · Vᵀ of a symmetric matrix; seven times the time of `eigenvalues`. */
  eigen(a: Matrix64): { values: Float64Array; vectors: Matrix64 } {
    const ids = this.run('SelfAdjointEigV2', [T64, boolAttr('compute_v', true)], [a], 2);
    const values = this.values(this.keep(ids[0]!, 1, a.rows));
    return { values, vectors: this.keep(ids[1]!, a.rows, a.columns) };
  }

  /** Singular values, falling. */
  singularValues(a: Matrix64): Float64Array {
    const attrs = [T64, boolAttr('compute_uv', false), boolAttr('full_matrices', false)];
    const ids = this.run('Svd', attrs, [a], 3);
    const values = this.values(this.keep(ids[0]!, 1, Math.min(a.rows, a.columns)));
    for (const id of ids.slice(1)) this.keep(id, 0, 0);
    return values;
  }

  /** A copy of the values, row-major. */
  values(a: Matrix64): Float64Array {
    const bytes = this.binding.tensorBytes(a.id);
    return bytes.byteOffset % 8 === 0
      ? new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8)
      : new Float64Array(bytes.slice().buffer);
  }

  /** Frees a matrix before the scope ends. */
  free(a: Matrix64): void {
    if (this.ids.delete(a.id)) this.binding.deleteTensor(a.id);
  }

  /** @internal */
  close(): void {
    for (const id of this.ids) this.binding.deleteTensor(id);
    this.ids.clear();
  }

  private keep(id: number, rows: number, columns: number): Matrix64 {
    this.ids.add(id);
    return { id, rows, columns };
  }

  private run(name: string, attrs: Attr[], inputs: Matrix64[], outputs: number): number[] {
    const ids = inputs.map(input => input.id);
    return this.binding.executeOp(name, attrs, ids, outputs).map(output => output.id);
  }
}

/** Runs `work` with float64 matrices; all of them are freed when it returns or throws. */
export function float64<R>(work: (scope: Float64Scope) => R): R {
  const scope = new Float64Scope();
  try {
    return work(scope);
  } finally {
    scope.close();
  }
}
