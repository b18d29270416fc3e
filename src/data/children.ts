/**
 * Runs child processes from a thread of its own. Training keeps the main thread inside TensorFlow for whole steps, and a child whose
 * pipe nobody empties stands still after 64 KiB: here pipes are read, and the next child is started, all the while.
 */
import { setMaxListeners } from 'node:events';
import { Worker } from 'node:worker_threads';
import { WorkError } from '../errors.js';

export interface ChildRequest {
  command: string;
  args: readonly string[];
  /** Kills the child, or takes it out of the queue. */
  signal?: AbortSignal;
  /** Shares its limit with other requests; default: none, the child starts at once. */
  pool?: ChildPool;
  /** Of the requests that wait, those of the lowest number come first; default 0. */
  priority?: number;
}

export interface ChildResult {
  /** Exit code; null where a signal ended the child. */
  code: number | null;
  signal: string | null;
  stdout: Uint8Array;
  /** Its last 8 KiB. */
  stderr: string;
}

/** At most `max` children at a time, started in the order of their priorities, then of the requests. */
export interface ChildPool {
  readonly id: number;
  readonly max: number;
}

let pools = 0;
export function createChildPool(max: number): ChildPool {
  return { id: ++pools, max };
}

/** Plain JavaScript, because a thread cannot load TypeScript under every runner. */
const THREAD = `
const { spawn } = require('node:child_process');
const { parentPort } = require('node:worker_threads');
const pools = new Map();
const jobs = new Map();
const free = pool => pool.max === 0 || pool.running < pool.max;

function advance(pool) {
  while (pool.waiting.length > 0 && free(pool)) start(pool.waiting.shift());
}

function start(job) {
  job.pool.running++;
  const chunks = [];
  let stderr = '';
  let ended = false;
  const end = result => {
    if (ended) return;
    ended = true;
    jobs.delete(job.id);
    job.pool.running--;
    if (job.pool.max > 0 && job.pool.running === 0 && job.pool.waiting.length === 0) pools.delete(job.pool.id);
    advance(job.pool);
    let size = 0;
    for (const chunk of chunks) size += chunk.length;
    const stdout = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) { stdout.set(chunk, at); at += chunk.length; }
    parentPort.postMessage({ id: job.id, stdout, stderr, ...result }, [stdout.buffer]);
  };
  // In a process group of its own: Ctrl-C asks the trainer to save and stop, and must not spoil the batch that it waits for.
  const detached = process.platform !== 'win32';
  try {
    job.child = spawn(job.command, job.args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true, detached });
  } catch (error) {
    return end({ code: null, signal: null, failure: error.message });
  }
  job.child.stdout.on('data', chunk => chunks.push(chunk));
  job.child.stderr.setEncoding('utf8').on('data', text => { stderr = (stderr + text).slice(-8192); });
  job.child.on('error', error => end({ code: null, signal: null, failure: error.message }));
  job.child.on('close', (code, signal) => end({ code, signal }));
}

parentPort.on('message', ({ kind, ...job }) => {
  if (kind === 'run') {
    let pool = pools.get(job.poolId);
    if (!pool) pools.set(job.poolId, (pool = { id: job.poolId, max: job.max, running: 0, waiting: [] }));
    job.pool = pool;
    jobs.set(job.id, job);
    let place = pool.waiting.length;
    while (place > 0 && pool.waiting[place - 1].priority > job.priority) place--;
    pool.waiting.splice(place, 0, job);
    advance(pool);
    return;
  }
  const known = jobs.get(job.id);
  if (!known) return;
  const place = known.pool.waiting.indexOf(known);
  if (place >= 0) {
    known.pool.waiting.splice(place, 1);
    jobs.delete(job.id);
    parentPort.postMessage({ id: job.id, code: null, signal: 'SIGKILL', stdout: new Uint8Array(0), stderr: '' });
  } else if (known.child) known.child.kill('SIGKILL');
});
`;

interface Reply extends ChildResult {
  id: number;
  /** Why the child could not be started. */
  failure?: string;
}

interface Waiting {
  resolve(result: ChildResult): void;
  reject(error: unknown): void;
}

let thread: Worker | undefined;
let requests = 0;
const waiting = new Map<number, Waiting>();

function startThread(): Worker {
  const worker = new Worker(THREAD, { eval: true, name: 'show1-children', execArgv: [], stdin: false });
  worker.on('message', ({ id, failure, ...result }: Reply) => {
    const job = waiting.get(id);
    waiting.delete(id);
    // An idle thread must not keep the process alive, a busy one must.
    if (waiting.size === 0) worker.unref();
    if (failure === undefined) job?.resolve(result);
    else job?.reject(new WorkError(`a child process could not start: ${failure}`, { code: 'child.failed' }));
  });
  worker.on('error', error => {
    thread = undefined;
    for (const job of waiting.values()) {
      job.reject(
        new WorkError(`the thread of child processes failed: ${error.message}`, { code: 'child.failed' }, error),
      );
    }
    waiting.clear();
  });
  worker.unref();
  return worker;
}

/**
 * Runs a program to its end. A program that fails is no error here; `signal` leads to a result whose `signal` is SIGKILL.
 * @throws WorkError `child.failed` when it cannot be started at all
 */
export function runChild({ command, args, signal, pool, priority = 0 }: ChildRequest): Promise<ChildResult> {
  const id = ++requests;
  if (signal?.aborted) return Promise.resolve({ code: null, signal: 'SIGKILL', stdout: new Uint8Array(0), stderr: '' });
  thread ??= startThread();
  const worker = thread;
  const stop = (): void => worker.postMessage({ kind: 'stop', id });
  if (signal) {
    setMaxListeners(0, signal);
    signal.addEventListener('abort', stop);
  }
  return new Promise<ChildResult>((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.ref();
    const limit = { poolId: pool?.id ?? 0, max: pool?.max ?? 0, priority };
    worker.postMessage({ kind: 'run', id, command, args: [...args], ...limit });
  }).finally(() => signal?.removeEventListener('abort', stop));
}
