/** Everything a run records, in one place: status line, `stats.jsonl`, TensorBoard events. */
import path from 'node:path';
import { StatsWriter } from './stats.js';
import { statusLine, type Tick } from './status.js';
import { EventWriter } from './tensorboard.js';

export const STATS_FILE = 'stats.jsonl';

export interface RunLoggerOptions {
  /** The run folder; made if needed. */
  folder: string;
  /** Steps of the whole run, for the status line. */
  totalSteps: number;
  /** Step that training continues from: records of later steps are dropped (stats) or superseded (TensorBoard). */
  resumeStep?: number;
  /** Write TensorBoard events; default true. */
  tensorboard?: boolean;
  /** Where status lines go; default stderr. Give a progress bar's `log`, or a function that does nothing. */
  print?: (line: string) => void;
}

/** Records a run. Call `close` in a `finally`. */
export class RunLogger {
  readonly #stats: StatsWriter;
  readonly #events: EventWriter | undefined;
  readonly #print: (line: string) => void;
  readonly #totalSteps: number;

  constructor({ folder, totalSteps, resumeStep = 0, tensorboard = true, print }: RunLoggerOptions) {
    this.#totalSteps = totalSteps;
    this.#print = print ?? (line => void process.stderr.write(`${line}\n`));
    this.#stats = new StatsWriter(path.join(folder, STATS_FILE), resumeStep);
    this.#events = tensorboard ? new EventWriter(folder, { resumeStep }) : undefined;
  }

  /** A tick of training: the status line, and its numbers as `scalars`. */
  tick(tick: Tick): void {
    this.#print(statusLine(tick, this.#totalSteps));
    const { step, ...values } = tick;
    this.scalars(step, values);
  }

  /**
   * Numbers of a step: a line of `stats.jsonl` under their own names, and TensorBoard scalars tagged by them; a name
   * without a group gets `train/` there (`loss` -> `train/loss`, `heldOut/loss` stays).
   */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    this.#stats.append(step, values);
    const tagged = Object.entries(values).map(([name, value]) => [name.includes('/') ? name : `train/${name}`, value]);
    this.#events?.scalars(step, Object.fromEntries(tagged));
    this.#events?.flush();
  }

  /** A distribution, to TensorBoard alone. */
  histogram(step: number, name: string, values: ArrayLike<number>): void {
    this.#events?.histogram(step, name, values);
  }

  /** An encoded image or animated GIF of `width` × `height` pixels, to TensorBoard alone. */
  image(step: number, name: string, encoded: Uint8Array, width: number, height: number): void {
    this.#events?.image(step, name, encoded, width, height);
  }

  /** Markdown text, to TensorBoard alone. */
  text(step: number, name: string, markdown: string): void {
    this.#events?.text(step, name, markdown);
  }

  /** Writes out what is buffered. */
  flush(): void {
    this.#events?.flush();
  }

  /** Flushes and closes the files; safe to call twice. */
  close(): void {
    this.#events?.close();
    this.#stats.close();
  }
}
