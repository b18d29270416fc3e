/**
 * Float32 arithmetic as PyTorch does it on the CPU, in plain numbers. The reference computes every schedule constant in
 * float32, and `1 - alphas_cumprod[t]` at small t loses 4 digits there, so doubles would not reproduce its samples.
 */

/** Rounds to the nearest float32. */
export const f32 = Math.fround;

/**
 * `torch.linspace(start, end, steps)` in float32: both halves are counted from their own end, and each value is rounded
 * once (PyTorch uses fused multiply-adds here).
 */
export function linspaceFloat32(start: number, end: number, steps: number): Float32Array {
  const [first, last] = [f32(start), f32(end)];
  const out = new Float32Array(steps);
  if (steps === 1) return out.fill(first);
  const step = f32(f32(last - first) / (steps - 1));
  for (let i = 0; i < steps; i++) out[i] = i < steps / 2 ? first + step * i : last - step * (steps - 1 - i);
  return out;
}

/** `torch.cumprod` of a float32 vector on the CPU: accumulated in double, each entry rounded to float32. */
export function cumprodFloat32(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  let product = 1;
  for (let i = 0; i < values.length; i++) {
    product *= values[i]!;
    out[i] = product;
  }
  return out;
}

/** `np.round`: halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `np.linspace(start, end, steps)` in double. */
export function linspaceFloat64(start: number, end: number, steps: number): number[] {
  if (steps === 1) return [start];
  const step = (end - start) / (steps - 1);
  return Array.from({ length: steps }, (_, i) => (i === steps - 1 ? end : start + i * step));
}
