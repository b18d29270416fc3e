/**
 * A lock file, so that two setups at once do the work once. It only saves work: everything it guards is made in a
 * temporary place and renamed, so a lock that is broken wrongly harms nothing.
 */
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeOnInterrupt } from './processes.mjs';

/**
 * @typedef {object} LockOptions
 * @property {(owner: string) => void} [onWait] called once when somebody else holds the lock
 * @property {number} [heartbeatMs] how often the holder renews it
 * @property {number} [staleMs] a lock not renewed for this long belongs to nobody
 * @property {number} [pollMs]
 */

/** @param {string} text */
function parseOwner(text) {
  const [token = '', host = '', pid = ''] = text.split(' ');
  return { token, host, pid: Number(pid) };
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Whether nobody holds the lock any more: its process is gone (same machine), or it was not renewed in time.
 * @param {string} text
 * @param {number} ageMs
 * @param {number} staleMs
 */
export function isStale(text, ageMs, staleMs) {
  const owner = parseOwner(text);
  if (ageMs > staleMs) return true;
  if (text === '') return ageMs > 2000; // created, but its owner died before writing into it
  return owner.host === hostname() && Number.isInteger(owner.pid) && owner.pid > 0 && !isAlive(owner.pid);
}

/**
 * Removes a stale lock without removing one that somebody took in between.
 * @param {string} path
 * @param {string} staleText
 */
function breakLock(path, staleText) {
  const aside = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else was quicker
  }
  try {
    if (readFileSync(aside, 'utf8') !== staleText) linkSync(aside, path);
  } catch {
    // The place is taken again: that lock is the one that counts.
  } finally {
    unlinkSync(aside);
  }
}

/**
 * Runs `work` while holding the lock file at `path`, waiting for it as long as its holder is alive.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @param {LockOptions} [options]
 * @returns {Promise<T>}
 */
export async function withLock(path, work, options = {}) {
  const { onWait = () => {}, heartbeatMs = 2000, staleMs = 60_000, pollMs = 200 } = options;
  const text = `${Math.random().toString(36).slice(2)} ${hostname()} ${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  let announced = false;
  for (;;) {
    try {
      writeFileSync(path, text, { flag: 'wx' });
      break;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    }
    try {
      const held = readFileSync(path, 'utf8');
      if (isStale(held, Date.now() - statSync(path).mtimeMs, staleMs)) {
        breakLock(path, held);
        continue;
      }
      if (!announced) onWait(`process ${parseOwner(held).pid} on ${parseOwner(held).host}`);
      announced = true;
    } catch {
      continue; // released between the two calls
    }
    await sleep(pollMs);
  }
  const forget = removeOnInterrupt(path);
  const heartbeat = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date());
    } catch {
      // The lock was broken by somebody who thought us dead; the work itself is safe without it.
    }
  }, heartbeatMs);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    forget();
    try {
      if (readFileSync(path, 'utf8') === text) unlinkSync(path);
    } catch {
      // Already gone.
    }
  }
}
