/** Child programs, and leaving nothing behind when interrupted: children are ended and temporary paths removed. */
import { spawn } from 'node:child_process';
import { accessSync, constants, rmSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
/** @type {Set<string>} */
const temporaries = new Set();

/**
 * Registers a path that must not outlive an interrupted setup.
 * @param {string} path
 * @returns {() => void} forgets (and does not remove) it
 */
export function removeOnInterrupt(path) {
  temporaries.add(path);
  return () => temporaries.delete(path);
}

/**
 * Runs `work`; SIGINT, SIGTERM and SIGHUP meanwhile end children, remove temporary paths and exit with 130.
 * @template T
 * @param {() => Promise<T>} work
 * @param {(signal: string) => void} onInterrupt
 * @returns {Promise<T>}
 */
export async function interruptible(work, onInterrupt) {
  /** @param {NodeJS.Signals} signal */
  const stop = signal => {
    for (const child of children) child.kill('SIGTERM');
    // A child may still be writing: the second pass catches what it made after the first.
    for (let pass = 0; pass < 2; pass++) {
      for (const path of temporaries) rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    }
    onInterrupt(signal);
    process.exit(130);
  };
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/**
 * @typedef {object} Result
 * @property {number} code exit code; 127 when the program could not be started, 128 + n when signal n ended it
 * @property {string} stdout
 * @property {string} stderr
 * @property {string | undefined} signal
 */

/**
 * Runs a program to its end; never throws.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeout?: number, signal?: AbortSignal }} [options] timeout in ms
 * @returns {Promise<Result>}
 */
export function run(command, args, options = {}) {
  return new Promise(resolve => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', text => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text;
    });
    child.on('error', error => {
      children.delete(child);
      resolve({ code: 127, stdout, stderr: stderr + error.message, signal: undefined });
    });
    child.on('close', (code, signal) => {
      children.delete(child);
      resolve({ code: code ?? 128, stdout, stderr, signal: signal ?? undefined });
    });
  });
}

/**
 * The full path of a program on PATH.
 * @param {string} name a name, or a path that is returned as it is when it can be executed
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export function which(name, env) {
  const candidates = name.includes('/')
    ? [name]
    : (env.PATH ?? '')
        .split(delimiter)
        .filter(Boolean)
        .map(d => join(d, name));
  return candidates.find(path => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}
