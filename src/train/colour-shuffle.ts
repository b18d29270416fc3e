/**
 * Shuffles red, green and blue of some clips, all frames alike: what a clip teaches is then its motion in any colour, not its
 * colour.
 */
import { PURPOSE, randomStream } from '../data/random.js';

const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/**
 * Changes `videos` in place; a pure function of (seed, microStep). Pictures keep their colours.
 * @param videos [B, F, H, W, 3]
 * @param share of the clips that get one of the six orders of channels by lot
 */
export function shuffleColours(
  videos: Float32Array,
  [B, F]: readonly number[],
  { share, seed, microStep }: { share: number; seed: number; microStep: number },
): void {
  if (share === 0 || F === 1) return;
  const random = randomStream(seed, PURPOSE.colours, microStep);
  const size = videos.length / B!;
  for (let b = 0; b < B!; b++) {
    const [drawn, lot] = [random.uniform(), random.int(ORDERS.length)];
    if (drawn >= share) continue;
    const [r, g, blue] = ORDERS[lot]!;
    for (let i = b * size; i < (b + 1) * size; i += 3) {
      const pixel = [videos[i]!, videos[i + 1]!, videos[i + 2]!] as const;
      videos[i] = pixel[r];
      videos[i + 1] = pixel[g];
      videos[i + 2] = pixel[blue];
    }
  }
}
