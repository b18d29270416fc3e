/** T5's relative positions (Raffel et al. 2020, section 2.1): distances fall into buckets, each with a bias a head. */

/**
 * The bucket of every (query, key) pair, bidirectional: half the buckets for keys before the query, half for keys after;
 * in each half the first half holds one distance each, the rest grow logarithmically up to `maxDistance`.
 * @returns [length × length] row-major, queries first
 */
export function relativePositionBuckets(length: number, numBuckets: number, maxDistance: number): Int32Array {
  const half = numBuckets / 2;
  const exact = Math.floor(half / 2);
  const bucketOf = new Int32Array(length);
  // float32 throughout: at distances as 64 the logarithms' ratio lies on a bucket's edge, and the rounding decides
  const logRange = Math.fround(Math.log(maxDistance / exact));
  for (let distance = 0; distance < length; distance++) {
    if (distance < exact) bucketOf[distance] = distance;
    else {
      const log = Math.fround(Math.log(Math.fround(distance / exact)));
      const step = Math.fround(Math.fround(log / logRange) * (half - exact));
      bucketOf[distance] = Math.min(exact + Math.trunc(step), half - 1);
    }
  }
  const buckets = new Int32Array(length * length);
  for (let query = 0; query < length; query++) {
    for (let key = 0; key < length; key++) {
      buckets[query * length + key] = bucketOf[Math.abs(key - query)]! + (key > query ? half : 0);
    }
  }
  return buckets;
}
