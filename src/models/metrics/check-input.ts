import type { Tensor } from '../../engine/index.js';
import { InputError } from '../../errors.js';

/**
 * @param what e.g. "I3D: video"
 * @param expected sizes after the batch; null takes any
 * @throws InputError when `x` has another shape
 */
export function checkInput(x: Tensor, what: string, expected: readonly (number | string | null)[]): void {
  const fits = (size: number, i: number) => typeof expected[i] !== 'number' || expected[i] === size;
  if (x.rank === expected.length && x.shape.every(fits)) return;
  throw new InputError(
    `${what} is [${x.shape}]; it must be [${expected.join(', ')}], channels last: preprocess the frames first.`,
    { code: 'metrics.input', shape: x.shape },
  );
}
