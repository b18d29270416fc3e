/** Mean training loss by noise level: which timesteps learn, which do not. */
const BINS = 4;

export class LossBins {
  private sums = new Float64Array(BINS);
  private counts = new Float64Array(BINS);

  constructor(private readonly trainTimesteps: number) {}

  /** Adds one forward pass: timesteps and unweighted losses, one each a clip. */
  add(timesteps: ArrayLike<number>, losses: ArrayLike<number>): void {
    for (let i = 0; i < timesteps.length; i++) {
      const bin = Math.min(BINS - 1, Math.floor((timesteps[i]! / this.trainTimesteps) * BINS));
      this.sums[bin]! += losses[i]!;
      this.counts[bin]! += 1;
    }
  }

  /** Means since the last call, e.g. `{'loss/t0-249': 0.02, …}`; bins that drew nothing are left out. */
  take(): Record<string, number> {
    const width = this.trainTimesteps / BINS;
    const entries = [...this.sums].flatMap((sum, i) => {
      const name = `loss/t${Math.floor(i * width)}-${Math.floor((i + 1) * width) - 1}`;
      return this.counts[i]! > 0 ? [[name, sum / this.counts[i]!] as const] : [];
    });
    this.sums.fill(0);
    this.counts.fill(0);
    return Object.fromEntries(entries);
  }
}
