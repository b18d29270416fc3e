/** When training saves its state: every so many steps, every so many minutes, and when the held-out loss is among the best. */
import type { Config } from '../config/schema.js';
import { listCheckpoints, readCheckpointState } from './checkpoint.js';

/** Held-out losses as `state.json` holds them. */
export interface HeldOutRecord {
  /** Of this very step, where it was measured. */
  heldOutLoss?: number;
  /** The lowest so far. */
  bestHeldOutLoss?: number;
}

export class SavePlan {
  private since: number;
  private last: { step: number; loss: number } | null = null;

  private constructor(
    private readonly config: Config['checkpoint'],
    /** Losses of the checkpoints that exist. */
    private readonly kept: number[],
    private best: number | undefined,
    private readonly now: () => number,
  ) {
    this.since = now();
  }

  /** @param now milliseconds clock */
  static async open(run: string, config: Config['checkpoint'], now = () => performance.now()): Promise<SavePlan> {
    const states = await Promise.all((await listCheckpoints(run)).map(({ dir }) => readCheckpointState(dir)));
    const kept = states.flatMap(({ heldOutLoss }) => heldOutLoss ?? []);
    return new SavePlan(config, kept, states.at(-1)?.bestHeldOutLoss, now);
  }

  /** Takes the held-out loss measured after `step`. */
  measured(step: number, loss: number): void {
    this.last = { step, loss };
    this.best = Math.min(loss, this.best ?? loss);
  }

  due(step: number): boolean {
    const { everySteps, everyMinutes, keepBest } = this.config;
    const { last } = this;
    const isBest = last?.step === step && this.kept.filter(loss => loss <= last.loss).length < keepBest;
    const isLate = everyMinutes > 0 && this.now() - this.since >= 60_000 * everyMinutes;
    return isBest || isLate || (everySteps > 0 && step % everySteps === 0);
  }

  /** What a checkpoint of `step` says about losses: nothing where none ranks it. */
  record(step: number): HeldOutRecord {
    if (this.config.keepBest === 0) return {};
    return {
      ...(this.last?.step === step ? { heldOutLoss: this.last.loss } : {}),
      ...(this.best === undefined ? {} : { bestHeldOutLoss: this.best }),
    };
  }

  /** Tells that `step` was saved. */
  saved(step: number): void {
    this.since = this.now();
    if (this.last?.step === step) this.kept.push(this.last.loss);
  }
}
