/**
 * Runs a command and stops it when it has been silent for too long. TensorFlow's thread pool has been seen to lose a task on a
 * machine under heavy load: the process then waits for ever, where no test's own time limit reaches it.
 */
import { spawn } from 'node:child_process';

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{cwd: string, silenceMs: number}} options
 * @returns {Promise<{status: number, silent: boolean}>} `silent`: it was stopped
 */
export function watchedRun(command, args, { cwd, silenceMs }) {
  return new Promise(resolve => {
    // A process group of its own, so that its workers end with it.
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let silent = false;
    const stop = (/** @type {NodeJS.Signals} */ signal) => {
      try {
        if (child.pid) process.kill(-child.pid, signal);
      } catch {
        // gone already
      }
    };
    const expire = () => {
      silent = true;
      stop('SIGKILL');
    };
    const timer = setTimeout(expire, silenceMs);
    for (const [from, to] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])) {
      from.on('data', chunk => {
        to.write(chunk);
        timer.refresh();
      });
    }
    const onSignal = (/** @type {NodeJS.Signals} */ signal) => stop(signal);
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, onSignal);
    child.on('error', () => finish(1));
    child.on('close', code => finish(code ?? 1));
    const finish = (/** @type {number} */ status) => {
      clearTimeout(timer);
      for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.off(signal, onSignal);
      resolve({ status, silent });
    };
  });
}
