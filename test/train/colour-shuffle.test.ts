import { describe, expect, it } from 'vitest';
import { shuffleColours } from '../../src/train/colour-shuffle.js';

const SHAPE = [4, 2, 1, 2, 3];
const clips = () => Float32Array.from({ length: 48 }, (_, i) => (i % 3) + 10 * Math.floor(i / 3));
const shuffled = (share: number, microStep: number, shape = SHAPE) => {
  const videos = clips();
  shuffleColours(videos, shape, { share, seed: 3, microStep });
  return videos;
};

describe('shuffleColours', () => {
  it('gives a clip one order of channels, in all its frames and pixels', () => {
    const seen = new Set<string>();
    for (let step = 0; step < 40; step++) {
      const videos = shuffled(1, step);
      for (let b = 0; b < 4; b++) {
        const orders = Array.from({ length: 4 }, (_, pixel) =>
          [0, 1, 2].map(c => videos[(b * 4 + pixel) * 3 + c]! - 10 * (b * 4 + pixel)).join(''),
        );
        expect(new Set(orders).size).toBe(1);
        seen.add(orders[0]!);
      }
    }
    expect([...seen].sort()).toEqual(['012', '021', '102', '120', '201', '210']);
  });

  it('is a function of seed and step, leaves the others of a share alone, and pictures', () => {
    expect(shuffled(1, 7)).toEqual(shuffled(1, 7));
    expect(shuffled(1, 7)).not.toEqual(shuffled(1, 8));
    expect(shuffled(0, 7)).toEqual(clips());
    expect(shuffled(1, 7, [8, 1, 1, 2, 3])).toEqual(clips());
    const changed = Array.from({ length: 60 }, (_, step) => shuffled(0.5, step)).flatMap(videos =>
      [0, 1, 2, 3].map(b => videos.slice(b * 12, b * 12 + 12).some((x, i) => x !== clips()[b * 12 + i])),
    );
    const share = changed.filter(Boolean).length / changed.length; // one order of six is no change
    expect(Math.abs(share - 0.5 * (5 / 6))).toBeLessThan(0.1);
  });
});
