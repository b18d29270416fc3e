import { spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';
import { WorkError } from '../errors.js';

/** One external program and how it was found. */
export interface Program {
  path: string;
  /** e.g. `FFMPEG_PATH`, `PATH`, `package @ffmpeg-installer/ffmpeg`. */
  source: string;
}

type Name = 'ffmpeg' | 'ffprobe';

const require = createRequire(import.meta.url);
const found = new Map<Name, Program>();

function isExecutable(path: string): boolean {
  try {
    if (!statSync(path).isFile()) return false;
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function fromPath(name: Name, path: string | undefined): Program | undefined {
  const names = process.platform === 'win32' ? [`${name}.exe`, name] : [name];
  for (const folder of (path ?? '').split(delimiter)) {
    if (folder === '') continue;
    for (const file of names) if (isExecutable(join(folder, file))) return { path: join(folder, file), source: 'PATH' };
  }
  return undefined;
}

/**
 * Sets the run bit of a program that a package brought: install scripts are off, so nobody else does.
 * @throws the file system's error where that is not allowed
 */
export function ensureExecutable(path: string): void {
  if (!isExecutable(path)) chmodSync(path, 0o755);
}

function fromPackage(name: Name): { program?: Program; problem?: string } {
  const id = `@${name}-installer/${name}`;
  let path: string;
  try {
    path = (require(id) as { path: string }).path;
  } catch (error) {
    return { problem: `package ${id}: ${String((error as Error).message).split('\n')[0]}` };
  }
  try {
    ensureExecutable(path);
  } catch (error) {
    return { problem: `package ${id}: ${path} cannot be made executable (${(error as Error).message})` };
  }
  return { program: { path, source: `package ${id}` } };
}

/**
 * Finds ffmpeg or ffprobe: `FFMPEG_PATH` / `FFPROBE_PATH`, then `PATH`, then the optional packages
 * `@ffmpeg-installer/ffmpeg` and `@ffprobe-installer/ffprobe`. The answer is kept for the life of the process.
 * @throws WorkError `ffmpeg.missing`; a variable that names no executable file is an error, never skipped silently.
 */
export function locate(name: Name, env: NodeJS.ProcessEnv = process.env): Program {
  const usual = env === process.env;
  const known = usual ? found.get(name) : undefined;
  if (known) return known;

  const variable = `${name.toUpperCase()}_PATH`;
  const named = env[variable];
  if (named !== undefined && named !== '') {
    const path = resolve(named);
    if (!isExecutable(path)) {
      const why = existsSync(path) ? 'is not an executable file' : 'does not exist';
      throw new WorkError(`${variable}=${named} ${why}; point it at the ${name} program or unset it`, {
        code: 'ffmpeg.missing',
        program: name,
        path,
      });
    }
    const program = { path, source: variable };
    if (usual) found.set(name, program);
    return program;
  }

  const onPath = fromPath(name, env.PATH);
  const packaged = onPath ? {} : fromPackage(name);
  const program = onPath ?? packaged.program;
  if (!program) {
    throw new WorkError(
      `${name} was not found: ${variable} is not set, PATH has none, ${packaged.problem}. Install ffmpeg ` +
        `(e.g. "apt-get install ffmpeg" or "brew install ffmpeg"), set ${variable}, or run "npm install --include=optional"`,
      { code: 'ffmpeg.missing', program: name },
    );
  }
  if (usual) found.set(name, program);
  return program;
}

/** Path, origin and version of both programs, for `show1 doctor`. Throws like {@link locate}. */
export function describePrograms(): Record<Name, Program & { version: string }> {
  const describe = (name: Name): Program & { version: string } => {
    const program = locate(name);
    const result = spawnSync(program.path, ['-version'], { encoding: 'utf8', timeout: 20_000 });
    const version = /version (\S+)/.exec(result.stdout ?? '')?.[1];
    if (!version) {
      const why = result.error?.message ?? result.stderr?.trim() ?? 'no output';
      throw new WorkError(`${program.path} (from ${program.source}) does not run: ${why}`, {
        code: 'ffmpeg.failed',
        program: name,
        path: program.path,
      });
    }
    return { ...program, version };
  };
  return { ffmpeg: describe('ffmpeg'), ffprobe: describe('ffprobe') };
}
