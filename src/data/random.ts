/**
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3",
 * 2011). A value is a pure function of (seed, purpose, epoch, index), so it never depends on what was drawn before.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;
const TWO_32 = 2 ** 32;

/** High 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle % 65536) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** One block: four unsigned 32-bit numbers from a 128-bit counter and a 64-bit key. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0) >>> 0;
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** What a stream of numbers is for; different purposes never share numbers. */
export const PURPOSE = {
  permutation: 1,
  temporalOffset: 2,
  shapes: 3,
  split: 4,
  noise: 5,
  timesteps: 6,
  captionDropout: 7,
  captionChoice: 8,
  batchOrder: 9,
  imageSteps: 10,
  colours: 11,
} as const;
export type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE];

/** A stream of random numbers named by (seed, purpose, index, epoch). */
export interface RandomStream {
  /** Uniform unsigned 32-bit integer. */
  uint32(): number;
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Uniform in [low, high). */
  between(low: number, high: number): number;
  /** Uniform integer in [0, n), without modulo bias. `n` must be 1 … 2^32. */
  int(n: number): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
}

/**
 * @param seed integer, 0 … 2^53-1: both halves go into the key
 * @param index integer, 0 … 2^53-1
 * @param epoch integer, 0 … 2^24-1
 */
export function randomStream(seed: number, purpose: Purpose, index = 0, epoch = 0): RandomStream {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / TWO_32) >>> 0];
  const place = ((purpose << 24) | (epoch & 0xffffff)) >>> 0;
  let block = 0;
  let words: readonly number[] = [];
  let used = 4;

  const uint32 = (): number => {
    if (used === 4) {
      // The last word takes what of the index does not fit in 32 bits.
      words = philox([block++, index >>> 0, place, Math.floor(index / TWO_32) >>> 0], key);
      used = 0;
    }
    return words[used++]!;
  };
  const uniform = (): number => uint32() / TWO_32;
  return {
    uint32,
    uniform,
    between: (low, high) => low + (high - low) * uniform(),
    int: n => {
      const limit = TWO_32 - (TWO_32 % n);
      let value = uint32();
      while (value >= limit) value = uint32();
      return value % n;
    },
    normal: () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return radius * Math.cos(2 * Math.PI * uniform());
    },
  };
}

/**
 * A permutation of 0 … n-1 that depends on (seed, purpose, epoch, stream) alone (Fisher-Yates).
 * @param stream integer, 0 … 2^21-1: tells apart permutations of as many things
 */
export function permutation(n: number, seed: number, purpose: Purpose, epoch = 0, stream = 0): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const random = randomStream(seed, purpose, n + stream * TWO_32, epoch);
  for (let i = n - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
