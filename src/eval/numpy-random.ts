/**
 * numpy's legacy generator `numpy.random.RandomState(seed)`: the Mersenne Twister (Matsumoto & Nishimura 1998) and the shuffle on
 * it, number by number. Public scripts fix an order with it; new code draws with `data/random.ts`.
 */
import { InputError } from '../errors.js';

const N = 624;
const M = 397;

export class NumpyRandomState {
  private readonly state = new Uint32Array(N);
  private at = N;

  /** @param seed integer, 0 … 2^32-1 @throws InputError */
  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
      throw new InputError(`numpy's RandomState takes a seed from 0 to 4294967295, got ${seed}`, {
        code: 'eval.seed',
        seed,
      });
    }
    this.state[0] = seed;
    for (let i = 1; i < N; i++) {
      const before = this.state[i - 1]!;
      this.state[i] = Math.imul(before ^ (before >>> 30), 1812433253) + i;
    }
  }

  /** Uniform unsigned 32-bit integer. */
  uint32(): number {
    if (this.at === N) this.twist();
    let y = this.state[this.at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Uniform in 0 … max, by rejection of masked words. */
  upTo(max: number): number {
    if (max === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(max);
    let value: number;
    do value = (this.uint32() & mask) >>> 0;
    while (value > max);
    return value;
  }

  /** The order in which `shuffle` leaves n things (rows of a matrix too). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.upTo(i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff);
      state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }
}
