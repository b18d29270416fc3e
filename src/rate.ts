/** How fast something goes, from its recent past: the first steps of a run (tracing, caches) stop counting soon. */
export class RateMeter {
  readonly #windowMs: number;
  readonly #samples: { at: number; done: number }[] = [];

  /** Looks back over the last `windowMs` milliseconds, or over the last two samples where those are further apart. */
  constructor(windowMs = 60_000) {
    this.#windowMs = windowMs;
  }

  /** Notes that `done` units were finished at time `at` (milliseconds). */
  add(at: number, done: number): void {
    this.#samples.push({ at, done });
    while (this.#samples.length > 2 && at - this.#samples[1]!.at >= this.#windowMs) this.#samples.shift();
  }

  /** Units per second, or undefined before two samples with progress between them. */
  perSecond(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at <= first.at || last.done <= first.done) return undefined;
    return ((last.done - first.done) * 1000) / (last.at - first.at);
  }
}
