/** Work that is started before somebody asks for it, bounded in number and bytes. */

export interface ReadAheadOptions<T> {
  load(step: number): Promise<T>;
  /** Bytes of a step's result. */
  bytesOf(step: number): number;
  /** Steps started before they are asked for; 0 for none. */
  count: number;
  /** Distance between the steps that are asked for. */
  stride: number;
  /** Bytes that the results nobody asked for yet may take, counted from the moment they are started. */
  maxBytes: number;
}

export interface ReadAhead<T> {
  /** The result of a step; the next ones are started. */
  take(step: number): Promise<T>;
  stats(): { ahead: number; aheadBytes: number; mostAheadBytes: number };
  /** Drops what is there and waits for what is running. */
  clear(): Promise<void>;
}

export function createReadAhead<T>({ load, bytesOf, count, stride, maxBytes }: ReadAheadOptions<T>): ReadAhead<T> {
  const ahead = new Map<number, { result: Promise<T>; bytes: number }>();
  const running = new Set<Promise<unknown>>();
  let aheadBytes = 0;
  let mostAheadBytes = 0;

  const run = (step: number): Promise<T> => {
    const result = load(step);
    // A batch read ahead may fail long before somebody asks for it; it fails again, for them, when they do.
    const settled: Promise<void> = result.then(
      () => undefined,
      () => undefined,
    );
    running.add(settled);
    settled.then(() => running.delete(settled));
    return result;
  };
  const drop = (step: number): void => {
    aheadBytes -= ahead.get(step)?.bytes ?? 0;
    ahead.delete(step);
  };

  return {
    take(step) {
      const wanted = Array.from({ length: count }, (_, i) => step + (i + 1) * stride);
      for (const old of ahead.keys()) if (old !== step && !wanted.includes(old)) drop(old);
      // The trainer may write into what it gets: it leaves the store, and a second request reads again.
      const result = ahead.get(step)?.result ?? run(step);
      drop(step);
      for (const next of wanted) {
        if (ahead.has(next)) continue;
        const bytes = bytesOf(next);
        // In order: a small batch that would still fit must not take the room of the one that is asked for before it.
        if (aheadBytes + bytes > maxBytes) break;
        ahead.set(next, { result: run(next), bytes });
        aheadBytes += bytes;
        mostAheadBytes = Math.max(mostAheadBytes, aheadBytes);
      }
      return result;
    },
    stats: () => ({ ahead: ahead.size, aheadBytes, mostAheadBytes }),
    async clear() {
      for (const step of [...ahead.keys()]) drop(step);
      await Promise.all(running);
    },
  };
}
