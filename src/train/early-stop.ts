/** Ends a run whose held-out loss no longer falls. A function of the losses alone, so that a resumed run stops at the same step. */
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { readStats } from './logging/index.js';

export class EarlyStop {
  private best = Number.POSITIVE_INFINITY;
  private without = 0;

  constructor(private readonly config: Config['train']['earlyStop']) {}

  /** Takes the losses that a run has measured up to `step`. @returns whether it should have ended by then */
  replay(run: string, step: number): boolean {
    if (step === 0) return false;
    let reached = false;
    for (const line of readStats(path.join(run, 'stats.jsonl'))) {
      const loss = line['heldOut/loss'];
      if (typeof loss === 'number' && Number(line.step) <= step) reached = this.reached(loss);
    }
    return reached;
  }

  /** Takes the newest held-out loss. @returns whether the run should end */
  reached(heldOutLoss: number): boolean {
    const { patience, minImprovement } = this.config;
    if (heldOutLoss < this.best * (1 - minImprovement)) {
      this.best = heldOutLoss;
      this.without = 0;
    } else this.without++;
    return patience > 0 && this.without >= patience;
  }
}
