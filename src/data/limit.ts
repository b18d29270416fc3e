/** Runs at most `max` of the given jobs at a time, in the order in which they came. */
export function createLimit(max: number): <T>(job: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];

  return async job => {
    if (running >= max) await new Promise<void>(resolve => waiting.push(resolve));
    else running++;
    try {
      return await job();
    } finally {
      // A finished job hands its place to the next one, so the count stays as it is.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

/**
 * Maps with at most `workers` calls at a time; results keep the order of the items.
 * The first failure stops new calls and is thrown after the running ones have settled.
 */
export async function mapLimit<T, R>(
  items: readonly T[],
  workers: number,
  fn: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await fn(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(workers, items.length)) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
