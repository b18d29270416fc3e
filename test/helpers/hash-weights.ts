/** Weights that follow from a parameter's name and shape alone: test/reference/hash_weights.py makes the same ones. */

/** Numbers in [-1, 1) from a hash of name and position (FNV-1a, then murmur3's finalizer). */
export function hashValues(name: string, count: number): Float32Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let h = (Math.imul(i, 2654435761) + seed) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
    out[i] = ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
  }
  return out;
}

/** Matrices and kernels keep the variance of what they are given; vectors are spread around 0, norms' scales around 1. */
export function hashWeight(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, n) => product * n, 1);
  const isWeight = name.endsWith('.weight');
  const [factor, offset] =
    isWeight && shape.length > 1 ? [Math.sqrt((3 * shape[0]!) / count), 0] : [0.25, isWeight ? 1 : 0];
  const scale = Math.fround(factor);
  return hashValues(name, count).map(u => Math.fround(u * scale) + offset);
}
