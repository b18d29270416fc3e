/** Progress for the person watching: a bar with ETA on a terminal, a line every few seconds anywhere else. On stderr. */
import { MultiBar, type SingleBar } from 'cli-progress';
import { formatDuration } from '../format.js';
import { RateMeter } from '../rate.js';

export interface ProgressOptions {
  /** What is being done, e.g. "sampling". */
  label: string;
  /** Units in all; undefined when not known. */
  total?: number;
  /** Show nothing (log lines are still shown). */
  quiet?: boolean;
  /** Where to write; default stderr. A bar is drawn when it is a terminal. */
  stream?: NodeJS.WriteStream;
  /** Milliseconds between lines where there is no terminal. */
  intervalMs?: number;
  /** Milliseconds clock, for tests. */
  now?: () => number;
}

export interface Progress {
  /** `done` units are finished; `extra` is a few words more, e.g. a file name or the loss. */
  update(done: number, extra?: string): void;
  /** Prints a line that stays, above the bar. */
  log(line: string): void;
  /** Ends the display; safe to call twice. */
  stop(): void;
}

const BAR_WIDTH = 28;

/** Starts a progress display. Always `stop()` it, in a `finally`. */
export function createProgress(options: ProgressOptions): Progress {
  const stream = options.stream ?? process.stderr;
  if (options.quiet) return { update: () => {}, log: line => void stream.write(`${line}\n`), stop: () => {} };
  return stream.isTTY ? terminalProgress(options, stream) : lineProgress(options, stream);
}

type Report = (done: number, total: number, extra?: string) => void;

/** Runs work that reports how far it is, with a display that is always taken down. */
export async function withProgress<T>(label: string, quiet: boolean, work: (report: Report) => Promise<T>): Promise<T> {
  let progress: Progress | undefined;
  try {
    return await work((done, total, extra) => {
      progress ??= createProgress({ label, total, quiet });
      progress.update(done, extra);
    });
  } finally {
    progress?.stop();
  }
}

/** Label, counts, ETA and extra; shared by both displays. */
class Tracker {
  done = 0;
  extra = '';
  readonly #options: ProgressOptions;
  readonly #rate = new RateMeter(30_000);
  readonly #started: number;
  readonly now: () => number;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.now = options.now ?? Date.now;
    this.#started = this.now();
    this.#rate.add(this.#started, 0);
  }

  update(done: number, extra: string | undefined): void {
    this.done = done;
    if (extra !== undefined) this.extra = extra;
    this.#rate.add(this.now(), done);
  }

  get total(): number | undefined {
    return this.#options.total;
  }

  get fraction(): number {
    return this.total ? Math.min(1, this.done / this.total) : 0;
  }

  /** "12/40  30%  ETA 1m05s  extra", once complete "40/40  100%  in 2m10s". */
  describe(): string {
    const parts = [this.total === undefined ? String(this.done) : `${this.done}/${this.total}`];
    if (this.total) parts.push(`${Math.floor(this.fraction * 100)}%`);
    const rate = this.#rate.perSecond();
    if (this.total !== undefined && this.done >= this.total)
      parts.push(`in ${formatDuration((this.now() - this.#started) / 1000)}`);
    else if (this.total !== undefined && rate) parts.push(`ETA ${formatDuration((this.total - this.done) / rate)}`);
    if (this.extra) parts.push(this.extra);
    return parts.join('  ');
  }
}

function terminalProgress(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const tracker = new Tracker(options);
  const format = (): string => {
    const filled = Math.round(tracker.fraction * BAR_WIDTH);
    const bar = tracker.total === undefined ? '' : `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}  `;
    return `${options.label}  ${bar}${tracker.describe()}`;
  };
  // gracefulExit would take Ctrl-C away from training; linewrap true makes cli-progress cut long lines itself.
  const bars = new MultiBar({ format, stream, linewrap: true, forceRedraw: true, gracefulExit: false, fps: 4 });
  const bar: SingleBar = bars.create(tracker.total ?? 0, 0);
  let stopped = false;
  let drawnAt = Number.NEGATIVE_INFINITY;
  // The library redraws from a timer, which synchronous work starves: draw from here as well.
  const draw = (force: boolean): void => {
    if (stopped || (!force && tracker.now() - drawnAt < 100)) return;
    drawnAt = tracker.now();
    bars.update();
  };
  return {
    update(done, extra) {
      tracker.update(done, extra);
      bar.update(done);
      draw(tracker.total !== undefined && done >= tracker.total);
    },
    log(line) {
      if (stopped) {
        stream.write(`${line}\n`);
        return;
      }
      bars.log(`${line}\n`);
      draw(true);
    },
    stop() {
      if (stopped) return;
      stopped = true;
      bars.stop();
    },
  };
}

function lineProgress(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const tracker = new Tracker(options);
  const interval = options.intervalMs ?? 5000;
  let shownAt = tracker.now();
  let shown = '';
  const show = (): void => {
    const line = `${options.label}  ${tracker.describe()}`;
    if (line === shown) return;
    shown = line;
    shownAt = tracker.now();
    stream.write(`${line}\n`);
  };
  let stopped = false;
  return {
    update(done, extra) {
      tracker.update(done, extra);
      if (!stopped && tracker.now() - shownAt >= interval) show();
    },
    log(line) {
      stream.write(`${line}\n`);
    },
    stop() {
      if (!stopped && tracker.done > 0) show();
      stopped = true;
    },
  };
}
