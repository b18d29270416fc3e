/** A moving average of weights in the host's memory: it costs the device none, and time when it is updated or lent. */

/** average -= (average - weights) · (1 - decay), in float32 as the device computes it. */
export function updateHostAverage(average: Float32Array, weights: Float32Array, decay: number): void {
  const rate = Math.fround(1 - Math.fround(decay));
  for (let i = 0; i < average.length; i++) {
    const away = Math.fround(Math.fround(average[i]! - weights[i]!) * rate);
    average[i] = average[i]! - away;
  }
}
