/** TensorBoard event files: scalars, histograms, images (animated GIFs too) and text. */
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { WorkError } from '../../errors.js';
import { DT_STRING, type EventMessage, encodeEvent, SESSION_START, type SummaryValue } from './event-proto.js';
import { makeHistogram } from './histogram.js';
import { frameRecord } from './tfrecord.js';

const PREFIX = 'events.out.tfevents.';
const BUFFER_BYTES = 1 << 20;
const RGB = 3;

export interface EventWriterOptions {
  /**
   * Last step that counts of what earlier event files in the folder hold. When above 0, the file starts with a
   * SessionLog START at the next step, upon which TensorBoard drops what those files say from that step on.
   */
  resumeStep?: number;
  /** Seconds since 1970, for tests. */
  now?: () => number;
}

/**
 * Appends to one event file of its own. Events are kept in memory until 1 MiB of them, `flush` or `close`.
 * @throws WorkError `log.write` when the disk refuses
 */
export class EventWriter {
  readonly file: string;
  readonly #descriptor: number;
  readonly #now: () => number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #closed = false;

  /** Starts a new file in `folder` (made if needed), later in TensorBoard's reading order than those already there. */
  constructor(folder: string, { resumeStep = 0, now = () => Date.now() / 1000 }: EventWriterOptions = {}) {
    this.#now = now;
    mkdirSync(folder, { recursive: true });
    this.file = path.join(folder, nextName(folder, Math.floor(now())));
    this.#descriptor = openSync(this.file, 'ax');
    this.#write({ wallTime: now(), fileVersion: 'brain.Event:2' });
    if (resumeStep > 0) this.#write({ wallTime: now(), step: resumeStep + 1, sessionLog: { status: SESSION_START } });
    this.flush();
  }

  /** Several numbers of one step, by tag. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const list = Object.entries(values).map(([tag, simpleValue]) => ({ tag, simpleValue }));
    if (list.length > 0) this.#summary(step, list);
  }

  /** The distribution of `values`; nothing is written when none of them is finite. */
  histogram(step: number, tag: string, values: ArrayLike<number>): void {
    const histo = makeHistogram(values);
    if (histo) this.#summary(step, [{ tag, histo }]);
  }

  /** An encoded image as it is: PNG, JPEG, or GIF, which TensorBoard plays. `width` and `height` in pixels. */
  image(step: number, tag: string, encoded: Uint8Array, width: number, height: number): void {
    this.#summary(step, [{ tag, image: { height, width, colorspace: RGB, encodedImageString: encoded } }]);
  }

  /** Text, shown as Markdown. */
  text(step: number, tag: string, markdown: string): void {
    const tensor = {
      dtype: DT_STRING,
      tensorShape: { dim: [{ size: 1 }] },
      stringVal: [Buffer.from(markdown, 'utf8')],
    };
    const metadata = { pluginData: { pluginName: 'text' } };
    this.#summary(step, [{ tag: `${tag}/text_summary`, metadata, tensor }]);
  }

  #summary(step: number, value: SummaryValue[]): void {
    this.#write({ wallTime: this.#now(), step, summary: { value } });
  }

  #write(event: EventMessage): void {
    if (this.#closed) throw new Error(`${this.file} is closed`);
    const record = frameRecord(encodeEvent(event));
    this.#pending.push(record);
    this.#pendingBytes += record.length;
    if (this.#pendingBytes >= BUFFER_BYTES) this.flush();
  }

  /** Hands everything to the operating system, so that a TensorBoard that is open shows it. */
  flush(): void {
    if (this.#pendingBytes === 0) return;
    const data = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      for (let at = 0; at < data.length; ) at += writeSync(this.#descriptor, data, at);
    } catch (error) {
      throw new WorkError(
        `cannot write ${this.file}: ${(error as Error).message}`,
        { code: 'log.write', file: this.file },
        error,
      );
    }
  }

  /** Flushes and closes; safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    closeSync(this.#descriptor);
  }
}

/** TensorBoard reads a folder's event files in the order of their names: the time in ours must exceed all others'. */
function nextName(folder: string, now: number): string {
  const times = readdirSync(folder)
    .filter(name => name.startsWith(PREFIX))
    .map(name => Number.parseInt(name.slice(PREFIX.length), 10))
    .filter(Number.isFinite);
  const time = Math.max(now, ...times.map(known => known + 1));
  return `${PREFIX}${String(time).padStart(10, '0')}.${hostname()}.${process.pid}`;
}
