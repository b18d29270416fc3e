/** The status line of training: one a tick, the same fields in `stats.jsonl` and TensorBoard. */
import { formatBytes, formatDuration, formatNumber } from '../../format.js';
import { RateMeter } from '../../rate.js';

/** What the loop knows at a tick; further numbers (say, parts of the loss) are logged but not on the status line. */
export interface TickInput {
  /** Optimizer steps done. */
  step: number;
  loss: number;
  learningRate: number;
  /** Norm of the whole gradient before clipping. */
  gradNorm: number;
  [name: string]: number;
}

/** A tick with what was measured of time and memory. */
export interface Tick extends TickInput {
  secondsPerStep: number;
  clipsPerSecond: number;
  /** Resident memory of the process, bytes. */
  memoryBytes: number;
  etaSeconds: number;
}

export interface TickerOptions {
  /** Steps of the whole run. */
  totalSteps: number;
  /** Clips that one optimizer step trains on: batch size times accumulation. */
  clipsPerStep: number;
  /** Steps done before this process began. */
  startStep?: number;
  /** Milliseconds clock, for tests. */
  now?: () => number;
}

/** Measures the speed of training between ticks. Make it right before the first step. */
export class Ticker {
  readonly #options: TickerOptions;
  readonly #rate = new RateMeter(60_000);
  readonly #now: () => number;

  constructor(options: TickerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#rate.add(this.#now(), options.startStep ?? 0);
  }

  /** The tick with time and memory; speeds are over the last minute and NaN until a step has been timed. */
  tick(input: TickInput): Tick {
    this.#rate.add(this.#now(), input.step);
    const stepsPerSecond = this.#rate.perSecond() ?? Number.NaN;
    return {
      ...input,
      secondsPerStep: 1 / stepsPerSecond,
      clipsPerSecond: stepsPerSecond * this.#options.clipsPerStep,
      memoryBytes: process.memoryUsage.rss(),
      etaSeconds: (this.#options.totalSteps - input.step) / stepsPerSecond,
    };
  }
}

/** "step 120/1000  loss 0.0471  lr 1e-4  grad 0.83  0.72 s/step  11.1 clips/s  1.4 GiB  ETA 10m34s". */
export function statusLine(tick: Tick, totalSteps: number): string {
  const width = String(totalSteps).length;
  return [
    `step ${String(tick.step).padStart(width)}/${totalSteps}`,
    `loss ${formatNumber(tick.loss)}`,
    `lr ${formatNumber(tick.learningRate)}`,
    `grad ${formatNumber(tick.gradNorm)}`,
    `${formatNumber(tick.secondsPerStep)} s/step`,
    `${formatNumber(tick.clipsPerSecond)} clips/s`,
    formatBytes(tick.memoryBytes),
    `ETA ${formatDuration(tick.etaSeconds)}`,
  ].join('  ');
}
