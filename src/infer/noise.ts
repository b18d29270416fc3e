/** Where a sampler's random numbers come from: seeds, or recorded tensors when a reference run is replayed. */
import { randomNormal, rngKeyWords, type Tensor, tf } from '../engine/index.js';

/** Standard normal noise of `shape` for one purpose, such as `initial noise` or `step noise 3`; the caller's to dispose. */
export type NoiseSource = (purpose: string, shape: readonly number[]) => Tensor;

/**
 * Noise whose entry i along the first axis depends on seeds[i] and the purpose alone: a video's noise does not change with
 * its neighbours in the batch.
 */
export function seededNoise(seeds: readonly number[]): NoiseSource {
  return (purpose, [, ...shape]) =>
    tf.tidy(() =>
      tf.stack(seeds.map(seed => randomNormal(shape, tf.tensor1d(rngKeyWords(seed, 0, purpose), 'int32')))),
    );
}
