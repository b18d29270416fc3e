import { InputError } from '../errors.js';
import { PURPOSE, randomStream } from './random.js';
import type { Combination } from './shapes-vocabulary.js';

/** The pairs of a combination: what training must have seen of it. */
function pairsOf({ colour, shape, direction }: Combination): string[] {
  return [`${colour} ${shape}`, `${colour} ${direction}`, `${shape} ${direction}`];
}

export interface Split {
  train: Combination[];
  heldout: Combination[];
}

const ATTEMPTS = 64;
/** Held out when the user does not say how many, or as many as there can be. */
export const USUAL_HOLD_OUT = 8;

/**
 * Holds out `count` combinations so that each of their pairs (colour-shape, colour-direction, shape-direction) is still in
 * training: a model that composes can make them, one that only remembers cannot. They are spread evenly over the pairs.
 * @param wanted default {@link USUAL_HOLD_OUT}, or fewer where so many cannot be held out
 * @throws InputError `shapes.hold-out` when `wanted` is given and so many cannot be held out
 */
export function splitCombinations(all: readonly Combination[], wanted: number | undefined, seed: number): Split {
  const count = wanted ?? USUAL_HOLD_OUT;
  if (!Number.isInteger(count) || count < 0) {
    throw new InputError(`hold-out must be an integer from 0, got ${count}`, { code: 'shapes.hold-out', count });
  }
  let best: Combination[] = [];
  for (let attempt = 0; attempt < ATTEMPTS && best.length < count; attempt++) {
    const heldout = choose(all, count, seed, attempt);
    if (heldout.length > best.length) best = heldout;
  }
  if (best.length < count && wanted !== undefined) {
    throw new InputError(
      `hold-out ${count} is too much for ${all.length} combinations: training must keep each of their pairs; at most ${best.length}`,
      { code: 'shapes.hold-out', count, most: best.length },
    );
  }
  return { train: all.filter(one => !best.includes(one)), heldout: all.filter(one => best.includes(one)) };
}

/** Greedy: of the combinations whose pairs all stay in training, takes the one whose pairs, then whose words, were held out least so far. */
function choose(all: readonly Combination[], count: number, seed: number, attempt: number): Combination[] {
  const random = randomStream(seed, PURPOSE.split, attempt);
  const candidates = all.map(one => ({ one, pairs: pairsOf(one), lot: random.uniform() }));
  const left = new Map<string, number>();
  const held = new Map<string, number>();
  for (const { pairs } of candidates) for (const pair of pairs) left.set(pair, (left.get(pair) ?? 0) + 1);

  const chosen: Combination[] = [];
  while (chosen.length < count) {
    const free = candidates.filter(
      ({ one, pairs }) => !chosen.includes(one) && pairs.every(pair => left.get(pair)! > 1),
    );
    const times = (parts: readonly string[]): number => parts.reduce((sum, part) => sum + (held.get(part) ?? 0), 0);
    const rank = ({ one, pairs }: (typeof free)[0]): number => times(pairs) * all.length + times(Object.values(one));
    free.sort((a, b) => rank(a) - rank(b) || a.lot - b.lot);
    const next = free[0];
    if (!next) break;
    chosen.push(next.one);
    for (const pair of next.pairs) left.set(pair, left.get(pair)! - 1);
    for (const part of [...next.pairs, ...Object.values(next.one)]) held.set(part, (held.get(part) ?? 0) + 1);
  }
  return chosen;
}
