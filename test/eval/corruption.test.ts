import { describe, expect, it } from 'vitest';
import { addNoise, blur, shuffleFrames } from '../../experiments/metrics/corrupt.js';
import { randomFid, randomFvd, shapeClips } from '../../experiments/metrics/measure.js';

/** Networks of random weights, a few channels wide; experiments/metrics has the larger measurement. */
const WIDTH = 0.12;

describe.each([
  ['FVD', randomFvd, 6, 12],
  ['FID-vid', randomFid, 32, 4],
] as const)('%s with random weights', (name, open, features, clips) => {
  const measure = open({ width: WIDTH, features, seed: 1 });
  const size = { clips, frames: 10, side: 48 };
  const [real, other] = [shapeClips(size, 1), shapeClips(size, 2)];
  const reference = measure.features(real);
  const against = (set: typeof other) => measure.distance(reference, measure.features(set));
  const clean = against(other);

  it('is zero for a set against itself, and small for another of its distribution', () => {
    expect(measure.distance(reference, measure.features(real))).toBeLessThan(1e-9);
    expect(clean).toBeGreaterThan(0);
  });

  it.each([
    ['noise', [0.05, 0.15], (strength: number) => other.map((clip, i) => addNoise(clip, strength, 1, i))],
    ['blur', [1, 4], (strength: number) => other.map(clip => blur(clip, strength))],
  ] as const)('rises with %s', (_, strengths, damaged) => {
    const scores = strengths.map(strength => against(damaged(strength)));
    expect(scores[0]).toBeGreaterThan(3 * clean);
    expect(scores[1]).toBeGreaterThan(1.2 * scores[0]!);
  });

  it(`${name === 'FVD' ? 'rises' : 'stays exactly as it is'} when frames change their places`, () => {
    const shuffled = against(other.map((clip, i) => shuffleFrames(clip, 1, 1, i)));
    if (name === 'FVD') expect(shuffled).toBeGreaterThan(1.3 * clean);
    else expect(shuffled).toBe(clean);
  });
});
