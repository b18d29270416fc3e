/** Python's own view of folders and files, where there is one with torch, diffusers and safetensors. */
import { spawnSync } from 'node:child_process';

/** SHOW1_TEST_PYTHON names a Python in a virtual environment. */
const python = process.env.SHOW1_TEST_PYTHON ?? 'python3';

/** Whether it has all the modules (0.19 of diffusers, whose classes Show-1 uses). */
export function hasPython(...modules: string[]): boolean {
  const find = `import importlib.util as u, importlib.metadata as m
assert all(u.find_spec(name) for name in ${JSON.stringify(modules)})
assert ${modules.includes('diffusers') ? "m.version('diffusers').startswith('0.19.')" : 'True'}`;
  return spawnSync(python, ['-c', find]).status === 0;
}

/** Runs a script that reads JSON from stdin and prints JSON on its last line. @throws Error with what it printed */
export function runPython<T>(script: string, input: unknown): T {
  const { stdout, stderr, status } = spawnSync(python, ['-c', script], {
    input: JSON.stringify(input),
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}
