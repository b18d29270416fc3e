/** The command line as a process of its own, to be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin/show1.js', import.meta.url));

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs `show1 ARGS` to its end.
 * @param onStderr called with all of stderr so far whenever there is more
 */
export function runShow1(
  args: readonly string[],
  onStderr: (stderr: string, child: ChildProcess) => void = () => {},
): Promise<Outcome> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', chunk => {
      out.stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      out.stderr += chunk;
      onStderr(out.stderr, child);
    });
    child.on('close', (code, signal) => resolve({ code, signal, ...out }));
  });
}
