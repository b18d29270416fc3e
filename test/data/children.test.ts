import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createChildPool, runChild } from '../../src/data/children.js';
import { failure, temporaryFolder } from './helpers.js';

const node = process.execPath;
const script = (code: string, options: Partial<Parameters<typeof runChild>[0]> = {}) =>
  runChild({ command: 'sh', args: ['-c', code], ...options });
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** Keeps the main thread from its event loop, as a training step does. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

describe('runChild', () => {
  it('gives output, last words and exit code', async () => {
    const result = await script('head -c 300000 /dev/zero; echo oh >&2; exit 3');
    expect([result.code, result.signal, result.stdout.length, result.stderr.trim()]).toEqual([3, null, 300000, 'oh']);
  });

  it('keeps the last 8 KiB of what is said', async () => {
    const { stderr } = await script('head -c 50000 /dev/zero | tr "\\0" x >&2; echo end >&2');
    expect([stderr.length, stderr.trim().endsWith('end')]).toEqual([8192, true]);
  });

  it('fails where the program cannot start', async () => {
    const error = await failure(() => runChild({ command: '/nowhere/ffmpeg', args: [] }));
    expect([error.code, error.message]).toEqual(['child.failed', expect.stringMatching(/could not start.*ENOENT/)]);
  });

  it('empties pipes and starts the next children while the main thread works', async () => {
    const pool = createChildPool(1);
    const jobs = [1, 2, 3].map(() => script('head -c 1000000 /dev/zero; date +%s%3N', { pool }));
    await new Promise(resolve => setImmediate(resolve)); // the requests leave
    block(3000);
    const end = Date.now();
    for (const { stdout } of await Promise.all(jobs)) {
      expect(stdout.length).toBeGreaterThan(1e6);
      expect(Number(text(stdout.subarray(1e6)))).toBeLessThanOrEqual(end);
    }
  });

  it('holds the limit of a pool, in the order of the requests', async () => {
    const pool = createChildPool(2);
    const code = 'date +%s%N; sleep 0.15; date +%s%N';
    const spans = (await Promise.all([0, 1, 2, 3, 4].map(() => script(code, { pool })))).map(
      ({ stdout }) => text(stdout).trim().split('\n').map(Number) as [number, number],
    );
    for (const [start] of spans) {
      expect(spans.filter(([from, to]) => from <= start && start < to).length).toBeLessThanOrEqual(2);
    }
    const starts = spans.map(([start]) => start);
    expect(starts[4]!).toBeGreaterThan(Math.max(starts[0]!, starts[1]!));
  });

  it('takes the lowest priority of what waits', async () => {
    const pool = createChildPool(1);
    const order: number[] = [];
    const run = (priority: number) => script('', { pool, priority }).then(() => order.push(priority));
    await Promise.all([script('sleep 0.3', { pool }), run(2), run(0), run(1), run(0)]);
    expect(order).toEqual([0, 0, 1, 2]);
  });

  it('kills on request, also what still waits', async () => {
    const pool = createChildPool(1);
    const stop = new AbortController();
    const running = script('exec sleep 100', { pool, signal: stop.signal });
    const waiting = script('echo ran', { pool, signal: stop.signal });
    const other = script('echo ran', { pool });
    setTimeout(() => stop.abort(), 300);
    expect([(await running).signal, (await waiting).signal]).toEqual(['SIGKILL', 'SIGKILL']);
    expect((await waiting).stdout).toHaveLength(0);
    expect(text((await other).stdout)).toBe('ran\n');
    expect((await script('', { signal: stop.signal })).signal).toBe('SIGKILL');
  });
});

/** Processes whose command line holds the text. */
function processesWith(words: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(words);
      } catch {
        return false;
      }
    })
    .map(Number);
}

describe.runIf(existsSync('/proc/self/cmdline'))('on a terminal', () => {
  it('Ctrl-C does not reach children: they are in a process group of their own', async () => {
    const { stdout } = await script('cut -d" " -f5 /proc/$$/stat');
    const own = readFileSync('/proc/self/stat', 'utf8').split(' ')[4];
    expect(text(stdout).trim()).toMatch(/^\d+$/);
    expect(text(stdout).trim()).not.toBe(own);
  });
});

describe.runIf(existsSync('/proc/self/cmdline'))('when the parent is gone', () => {
  it('children end at their next output', async () => {
    const folder = temporaryFolder();
    const mark = `mark-${process.pid}-${Date.now()}`;
    const file = join(folder, 'parent.mts');
    const children = new URL('../../src/data/children.ts', import.meta.url).pathname;
    await writeFile(
      file,
      `import { runChild } from ${JSON.stringify(children)};
       void runChild({ command: 'sh', args: ['-c', 'while sleep 0.1; do echo ${mark} || exit; done'] });
       console.log('started');`,
    );
    const parent = spawn(node, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise(resolve => parent.stdout.once('data', resolve));
    const running = () => processesWith(mark).length;
    try {
      for (let i = 0; i < 300 && running() === 0; i++) await new Promise(done => setTimeout(done, 100));
      expect(running()).toBeGreaterThan(0);
    } finally {
      parent.kill('SIGKILL');
    }
    await new Promise(resolve =>
      parent.exitCode === null && parent.signalCode === null ? parent.once('close', resolve) : resolve(null),
    );
    for (let i = 0; i < 300 && running() > 0; i++) await new Promise(done => setTimeout(done, 100));
    expect(running()).toBe(0);
  });

  it('a process with nothing left to do ends by itself', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'parent.mts');
    const children = new URL('../../src/data/children.ts', import.meta.url).pathname;
    await writeFile(
      file,
      `import { runChild } from ${JSON.stringify(children)};
       const { stdout } = await runChild({ command: 'echo', args: ['hello'] });
       process.stdout.write(stdout);`,
    );
    const parent = spawn(node, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    parent.stdout.on('data', chunk => {
      said += chunk;
    });
    expect(await new Promise(resolve => parent.once('close', resolve))).toBe(0);
    expect(said).toBe('hello\n');
  });
});
