/** One writer a folder: two would give their shards the same names. */
import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.js';

/** Whether a process of this machine is there. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Takes `dir/.lock` for the time of `work`; one that a killed process left is taken over.
 * @throws InputError `cache.locked` when another process is at work there
 */
export async function withLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const file = path.join(dir, '.lock');
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid)).finally(() => handle.close());
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 2) throw error;
      const pid = Number(await readFile(file, 'utf8').catch(() => ''));
      if (pid > 0 && pid !== process.pid && isRunning(pid)) {
        throw new InputError(
          `process ${pid} is writing to ${dir}. Wait for it, or choose another folder with --out. (If it is no show1 process, delete ${file}.)`,
          { code: 'cache.locked', dir, pid },
        );
      }
      await rm(file, { force: true });
    }
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}
