/** Features from an integer hash: the twin of `features` in test/reference/frechet.py. */

/** [n, d] in [-1/2, 1/2), multiples of 2^-32. */
export function uniform(seed: number, n: number, d: number): Float64Array {
  const offset = Math.imul(seed, 0x9e3779b9);
  const values = new Float64Array(n * d);
  for (let i = 0; i < values.length; i++) {
    let x = (i + offset) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    values[i] = ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5;
  }
  return values;
}

/** Rows, decades, mean, stretch, dead features. */
export type SetRecipe = [n: number, decades: number, mean: number, stretch: number, dead: number];

export function features(seed: number, d: number, [n, decades, mean, stretch, dead]: SetRecipe): Float64Array {
  const u = uniform(seed, n, d);
  const scale = Float64Array.from({ length: d }, (_, j) =>
    j < d - dead ? stretch * 2 ** -Math.floor((j * decades) / d) : 0,
  );
  const x = new Float64Array(n * d);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) {
      const value = u[i * d + j]! + 0.75 * u[i * d + ((j + 1) % d)]! + 0.5 * u[i * d]!;
      x[i * d + j] = value * scale[j]! + mean;
    }
  }
  return x;
}
