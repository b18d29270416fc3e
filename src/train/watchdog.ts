/**
 * Notices a step that hangs. JavaScript cannot interrupt a native call, nor run while one holds the main thread, so a thread of its
 * own looks at the clock: it says what hangs and how to resume and, if asked to, ends the process for a supervisor to restart.
 */
import path from 'node:path';
import { Worker } from 'node:worker_threads';

export interface WatchdogOptions {
  run: string;
  /** Minutes without progress after which the process is ended; 0: never. */
  exitAfterMinutes: number;
  /** Minutes without progress after which it speaks up (default 10). */
  warnAfterMinutes?: number;
  /** Both are at least so many usual steps (default 20). */
  steps?: number;
}

/** How many of the latest steps tell what is usual. */
const RECENT = 32;
/** What the two threads share: numbers of milliseconds but for the step. */
const FIELDS = { since: 0, step: 1, usual: 2, warnAfter: 3, exitAfter: 4 } as const;

/** Plain JavaScript, because a thread cannot load TypeScript under every runner. */
const THREAD = `
const { writeSync } = require('node:fs');
const { workerData: { shared, config, pid, period } } = require('node:worker_threads');
const values = new Float64Array(shared);
const now = () => Number(process.hrtime.bigint()) / 1e6;
// The main thread, which writes for process.stderr, stands still.
const say = text => { try { writeSync(2, text + '\\n'); } catch {} };
const span = ms => ms < 90e3 ? Math.round(ms / 100) / 10 + ' s' : Math.round(ms / 60e3) + ' min';
let warned = 0;
setInterval(() => {
  const [since, step, usual, warnAfter, exitAfter] = values;
  const waited = now() - since;
  if (since === 0) return;
  const hint = 'continue from the newest checkpoint with: show1 train ' + config + ' --resume';
  const about = 'step ' + step + ' has made no progress for ' + span(waited) +
    (usual > 0 ? ' (usually it takes ' + span(usual) + ')' : '') + ': TensorFlow seems to hang';
  if (exitAfter > 0 && waited >= exitAfter) {
    say(about + '. The process ends (train.hangTimeoutMinutes); ' + hint);
    process.kill(pid, 'SIGKILL'); // nothing gentler reaches a thread that never comes back from a native call
  } else if (waited >= warnAfter && warned !== since) {
    warned = since;
    say(about + '. If it does not go on, stop it with kill -9 ' + pid + ' and ' + hint);
  }
}, period);
`;

const now = (): number => Number(process.hrtime.bigint()) / 1e6; // the same clock in all threads

export class Watchdog {
  private readonly values = new Float64Array(new SharedArrayBuffer(8 * Object.keys(FIELDS).length));
  private readonly durations: number[] = [];
  private readonly worker: Worker;

  constructor(private readonly options: WatchdogOptions) {
    this.setLimits();
    const { warnAfter, exitAfter } = this.limits();
    const workerData = {
      shared: this.values.buffer,
      config: path.join(options.run, 'config.yaml'),
      pid: process.pid,
      period: Math.max(20, Math.min(warnAfter, exitAfter || warnAfter, 50_000) / 10),
    };
    this.worker = new Worker(THREAD, { eval: true, name: 'show1-watchdog', execArgv: [], stdin: false, workerData });
    this.worker.on('error', () => {}); // training does not depend on it
    this.worker.unref();
  }

  /** A part of `step` (from 1) begins, and the part before it is done. */
  watch(step: number): void {
    this.rest();
    this.values[FIELDS.step] = step;
    this.values[FIELDS.since] = now();
  }

  /** What follows may take as long as it likes (samples, checkpoints). */
  rest(): void {
    const since = this.values[FIELDS.since]!;
    if (since === 0) return;
    this.values[FIELDS.since] = 0;
    this.durations.push(now() - since);
    if (this.durations.length > RECENT) this.durations.shift();
    this.setLimits();
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }

  private setLimits(): void {
    const sorted = [...this.durations].sort((a, b) => a - b);
    this.values[FIELDS.usual] = sorted[Math.floor(sorted.length / 2)] ?? 0;
    const { warnAfter, exitAfter } = this.limits();
    this.values[FIELDS.warnAfter] = warnAfter;
    this.values[FIELDS.exitAfter] = exitAfter;
  }

  private limits(): { warnAfter: number; exitAfter: number } {
    const { exitAfterMinutes, warnAfterMinutes = 10, steps = 20 } = this.options;
    const least = steps * this.values[FIELDS.usual]!;
    return {
      warnAfter: Math.max(60_000 * warnAfterMinutes, least),
      exitAfter: exitAfterMinutes > 0 ? Math.max(60_000 * exitAfterMinutes, least) : 0,
    };
  }
}
