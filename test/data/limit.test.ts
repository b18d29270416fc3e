import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createLimit, mapLimit } from '../../src/data/limit.js';

describe('createLimit', () => {
  it('runs at most so many jobs at a time, in order, and goes on after a failure', async () => {
    const limit = createLimit(2);
    const started: number[] = [];
    let running = 0;
    let most = 0;
    const job = (i: number) =>
      limit(async () => {
        started.push(i);
        most = Math.max(most, ++running);
        await sleep(3);
        running--;
        if (i === 1) throw new Error('one');
        return i;
      });
    const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(job));
    expect(most).toBe(2);
    expect(started).toEqual([0, 1, 2, 3, 4, 5]);
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', ...Array(4).fill('fulfilled')]);
    expect(running).toBe(0);
  });
});

describe('mapLimit', () => {
  it('keeps the order of the items', async () => {
    const doubled = await mapLimit([5, 1, 3], 3, async n => {
      await sleep(n);
      return 2 * n;
    });
    expect(doubled).toEqual([10, 2, 6]);
    expect(await mapLimit([], 3, async () => 1)).toEqual([]);
  });

  it('stops at the first failure and throws it once the running calls are done', async () => {
    let calls = 0;
    let open = 0;
    const work = mapLimit(
      Array.from({ length: 50 }, (_, i) => i),
      2,
      async i => {
        calls++;
        open++;
        await sleep(1);
        open--;
        if (i === 3) throw new Error('third');
      },
    );
    await expect(work).rejects.toThrow('third');
    expect(open).toBe(0);
    expect(calls).toBeLessThan(10);
  });
});
