/** A folder that appears complete or not at all. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { mkdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { InputError, Show1Error, WorkError } from '../errors.js';
import { formatBytes } from '../format.js';

export interface OutputOptions {
  /** Replace a folder that holds a model. */
  force?: boolean;
  /** Bytes free on the disk of a folder (default: asks the system). */
  freeBytes?: (dir: string) => Promise<number>;
}

const MARKS = ['config.json', 'model_index.json'];
const holdsMark = (dir: string) => MARKS.some(mark => existsSync(join(dir, mark)));

/** A model, a pipeline, or a folder of pipelines: what a conversion writes, and so may replace. */
function holdsModel(dir: string): boolean {
  const folders = readdirSync(dir, { withFileTypes: true }).filter(entry => entry.isDirectory());
  return holdsMark(dir) || folders.some(({ name }) => holdsMark(join(dir, name)));
}

/** @throws InputError when `out` must not be written: it holds something, or lies in `source` or around it */
export function checkOutput(out: string, source: string, { force = false }: OutputOptions = {}): void {
  const fail = (problem: string) => new InputError(`${out} ${problem}`, { code: 'convert.output', out, source });
  if (out.trim() === '')
    throw new InputError('OUT is empty; give the folder to write', { code: 'convert.output', out });
  const [to, from] = [real(out) + sep, real(source) + sep];
  if (to === from) throw fail('is the folder to read: give another one to write, and remove the old one afterwards.');
  if (to.startsWith(from)) throw fail(`lies inside ${source}, which is read: give a folder outside of it.`);
  if (from.startsWith(to)) throw fail(`holds ${source}, which is read: give a folder beside it.`);
  const stat = statSync(out, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isDirectory()) throw fail('is a file; give a folder that does not exist yet.');
  if (readdirSync(out).length === 0) return;
  if (!force) throw fail('is not empty: give another folder, or --force to replace it.');
  if (!holdsModel(out)) {
    throw fail('holds no model (config.json or model_index.json), so --force does not replace it: remove it yourself.');
  }
}

/** The path without links, also of what does not exist yet. */
function real(path: string): string {
  const full = resolve(path);
  return existsSync(full) || dirname(full) === full ? realpathSync(full) : join(real(dirname(full)), basename(full));
}

const systemFree = async (dir: string): Promise<number> => {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
};

/**
 * Has `fill` write a new folder beside `out` and renames it to `out`; call `checkOutput` first. Whatever stops `fill`,
 * the new folder is removed and `out` is as it was.
 * @param bytes what is going to be written, about
 * @throws WorkError when the disk is full or refuses, and whatever `fill` throws
 */
export async function writeFolder<T>(
  out: string,
  bytes: number,
  { freeBytes = systemFree }: OutputOptions,
  fill: (dir: string) => Promise<T>,
): Promise<T> {
  const parent = dirname(resolve(out));
  const temporary = join(parent, `.${basename(resolve(out))}.writing-${process.pid}`);
  try {
    await mkdir(parent, { recursive: true });
    const free = await freeBytes(parent);
    if (free < bytes) throw diskFull(out, bytes, free);
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary);
    const result = await fill(temporary);
    await replace(out, temporary);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw explain(error as Error, out, bytes);
  }
}

async function replace(out: string, temporary: string): Promise<void> {
  const old = `${temporary}-old`;
  if (!existsSync(out)) return rename(temporary, out);
  await rename(out, old);
  try {
    await rename(temporary, out);
  } catch (error) {
    await rename(old, out);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

const diskFull = (out: string, bytes: number, free?: number, cause?: unknown) =>
  new WorkError(
    `The disk of ${out} is full: about ${formatBytes(bytes)} are needed${free === undefined ? '' : `, ${formatBytes(free)} are free`}. ` +
      'Make room or give a folder on another disk.',
    { code: 'convert.disk-full', out, bytes, free },
    cause,
  );

function explain(error: NodeJS.ErrnoException, out: string, bytes: number): Error {
  const system = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.code;
  if (system === 'ENOSPC' || system === 'EDQUOT') return diskFull(out, bytes, undefined, error);
  if (error instanceof Show1Error || !error.syscall) return error;
  return new WorkError(`Cannot write ${out}: ${error.message}.`, { code: 'convert.write', out }, error);
}
