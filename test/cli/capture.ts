import { type Command, main } from '../../src/cli/index.js';

export interface Captured {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line in this process and collects what it prints. */
export async function capture(
  argv: string[],
  commands?: Record<string, () => Promise<Partial<Command>>>,
): Promise<Captured> {
  const captured: Captured = { code: -1, stdout: '', stderr: '' };
  const real = { stdout: process.stdout.write, stderr: process.stderr.write, log: console.log };
  const collect = (into: 'stdout' | 'stderr') =>
    ((chunk: string | Uint8Array) => {
      captured[into] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      return true;
    }) as typeof process.stdout.write;
  process.stdout.write = collect('stdout');
  process.stderr.write = collect('stderr');
  // vitest replaces console; yargs prints help through it.
  console.log = (...parts: unknown[]) => void process.stdout.write(`${parts.join(' ')}\n`);
  try {
    captured.code = await main(argv, commands);
  } finally {
    process.stdout.write = real.stdout;
    process.stderr.write = real.stderr;
    console.log = real.log;
  }
  return captured;
}
