import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const MODULE = new URL('../../src/train/watchdog.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a script whose main thread stands still; `stuck(ms)` is the native call. */
function run(options: Record<string, unknown>, body: string) {
  const script = `
    import { Watchdog } from ${JSON.stringify(MODULE)};
    const stuck = ms => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const dog = new Watchdog(${JSON.stringify({ run: 'runs/x', ...options })});
    await new Promise(resolve => setTimeout(resolve, 300)); // its thread starts
    ${body}
    await dog.stop();
    console.log('went on');`;
  return new Promise<{ signal: string | null; code: number | null; stderr: string; stdout: string }>(resolve => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { cwd: ROOT });
    const out = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) child[name].on('data', chunk => (out[name] += chunk));
    child.on('close', (code, signal) => resolve({ code, signal, ...out }));
  });
}

describe('Watchdog', () => {
  it('ends a process whose step hangs, and says how to resume', async () => {
    const { signal, stderr, stdout } = await run(
      { exitAfterMinutes: 0.01, warnAfterMinutes: 0.002 },
      'dog.watch(7); stuck(600_000);',
    );
    expect(signal).toBe('SIGKILL');
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /^step 7 has made no progress for \d.*: TensorFlow seems to hang\. If it does not go on, stop it/m,
    );
    expect(stderr).toMatch(
      /The process ends \(train\.hangTimeoutMinutes\); .*show1 train runs\/x\/config\.yaml --resume/,
    );
  });

  it('only speaks up by default, once, and not while training rests', async () => {
    const { code, stderr, stdout } = await run(
      { exitAfterMinutes: 0, warnAfterMinutes: 0.005 },
      'dog.watch(1); dog.rest(); stuck(1500); dog.watch(2); stuck(1500); dog.rest();',
    );
    expect([code, stdout]).toEqual([0, 'went on\n']);
    expect(stderr.match(/no progress/g)).toHaveLength(1);
    expect(stderr).toContain('step 2 has made no progress');
  });

  it('waits for as long as many usual steps take', async () => {
    const { code, stderr } = await run(
      { exitAfterMinutes: 0.001, warnAfterMinutes: 0.001, steps: 1e6 },
      'dog.watch(1); dog.watch(2); stuck(30); dog.watch(3); stuck(1500); dog.rest();',
    );
    expect([code, stderr]).toEqual([0, '']);
  });
});
