/** Numbers that a narrower float type cannot hold: they would silently become infinite in a file. */
import { InputError } from '../../errors.js';

/** From here on a value rounds to infinity: half a unit above the type's largest, 65504 and 3.39e38. */
const BEYOND: Readonly<Record<string, number>> = { F16: 65520, BF16: 2 ** 128 - 2 ** 119 };

/**
 * Checks that no finite value becomes infinite in `dtype`. Values that are infinite or not numbers already are left as
 * they are.
 * @param where what holds the values, for the message
 * @throws InputError naming it, the largest value and what to do
 */
export function checkRange(dtype: string, values: Float32Array | Float64Array, where: string): void {
  const beyond = dtype === 'F32' && values instanceof Float64Array ? 2 ** 128 - 2 ** 103 : BEYOND[dtype];
  if (beyond === undefined) return;
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > largest && size !== Number.POSITIVE_INFINITY) largest = size;
  }
  if (largest < beyond) return;
  let count = 0;
  for (const value of values) if (Number.isFinite(value) && Math.abs(value) >= beyond) count++;
  const half = dtype === 'F16';
  throw new InputError(
    `${where} holds ${count === 1 ? 'a value' : `${count} values`} of up to ${largest.toPrecision(4)}, beyond the range of ` +
      `${half ? 'fp16 (65504)' : `${dtype} (3.4e38)`}: ${half ? 'store it as bf16, which has the range of fp32, or as fp32.' : 'the weights are damaged, or not those of a network.'}`,
    { code: 'weights.range', where, dtype, count, largest },
  );
}
