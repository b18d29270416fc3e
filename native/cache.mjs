/** The cache folder that all clones on this machine share, and renames that survive a crash. */
import { readFileSync } from 'node:fs';
import { open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { diskFull } from './errors.mjs';

/**
 * `SHOW1_CACHE`, else `show1` under `XDG_CACHE_HOME`, else under `~/.cache`.
 * @param {NodeJS.ProcessEnv} [env]
 */
export function cacheFolder(env = process.env) {
  if (env.SHOW1_CACHE) return resolve(env.SHOW1_CACHE, 'show1');
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'show1');
}

/** @param {string} path file or folder */
export async function syncPath(path) {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch {
    // Some file systems cannot sync a folder; the rename is still atomic.
  } finally {
    await handle.close();
  }
}

/**
 * Puts a finished folder in its place; what was there before goes away.
 * @param {string} from
 * @param {string} to
 */
export async function publishFolder(from, to) {
  await syncPath(from);
  const old = `${to}.old.${process.pid}`;
  await rename(to, old).catch(error => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(from, to);
  await syncPath(dirname(to));
  await rm(old, { recursive: true, force: true });
}

/**
 * Removes what interrupted setups left beside `folder`; call it only while holding the folder's lock.
 * @param {string} folder
 */
export async function removeLeftovers(folder) {
  const prefix = `${folder.slice(dirname(folder).length + 1)}.`;
  for (const name of await readdir(dirname(folder)).catch(() => [])) {
    if (name.startsWith(`${prefix}tmp.`) || name.startsWith(`${prefix}old.`)) {
      await rm(join(dirname(folder), name), { recursive: true, force: true });
    }
  }
}

const UNUSED_AFTER_MS = 30 * 24 * 3600_000;

/**
 * Removes what nobody has used for a month: builds of old sources.
 * @param {string} folder
 * @param {RegExp} [pattern] of names
 */
export async function removeUnused(folder, pattern = /./) {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const info = pattern.test(name) ? await stat(path).catch(() => undefined) : undefined;
    if (info && Date.now() - info.mtimeMs > UNUSED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

/**
 * @param {string} file
 * @returns {any} undefined when the file is missing or is not JSON
 */
export function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * @param {string} folder an existing folder on the disk in question
 * @param {number} bytes
 * @param {string} what
 */
export async function requireSpace(folder, bytes, what) {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const gb = (/** @type {number} */ n) => (n / 1e9).toFixed(1);
  throw diskFull(`${what} needs ${gb(bytes)} GB in ${folder}, where ${gb(free)} GB are free`);
}
