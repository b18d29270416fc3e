/** Tries a native module in a process of its own: a module that crashes must not take its caller down. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from './errors.mjs';
import { run } from './processes.mjs';

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'probe-child.cjs');

/**
 * @typedef {object} ProbeReport
 * @property {string} version TensorFlow's
 * @property {boolean} gpu whether TensorFlow computes on a GPU
 * @property {string[]} devices TensorFlow's device names
 * @property {boolean} extension whether native/*.cc are built in
 * @property {{ ok: boolean, error?: string }} conv forward and both gradients of a convolution, against known numbers
 * @property {Record<string, { ok: boolean, ms?: number, error?: string }>} dtypes matrix products: right, and how fast
 * @property {string[]} log what TensorFlow itself said about GPUs
 */

/**
 * @param {string} file the native module
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<ProbeReport>}
 * @throws {SetupError} `binding.broken`
 */
export async function probe(file, env = process.env) {
  const childEnv = { ...env, LD_BIND_NOW: '1', TF_CPP_MIN_LOG_LEVEL: '0', TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
  const result = await run(process.execPath, [SCRIPT, file], { env: childEnv, timeout: 300_000 });
  if (result.code !== 0) throw explainCrash(file, result);
  const report = /** @type {ProbeReport} */ (JSON.parse(result.stdout));
  report.log = result.stderr
    .split('\n')
    .filter(line => /cuda|gpu|nvidia|cudnn|dlopen/i.test(line))
    .map(cleanLog);
  return report;
}

/**
 * Drops the time, thread and source position from a line of TensorFlow's log.
 * @param {string} line
 */
const cleanLog = line => line.replace(/^.*?\]\s+/, '').trim();

/**
 * @param {string} file
 * @param {import('./processes.mjs').Result} result
 */
function explainCrash(file, result) {
  const fix = ['npm run setup -- --force'];
  if (result.signal === 'SIGILL') {
    return new SetupError(
      'binding.broken',
      "TensorFlow uses CPU instructions (AVX) that this machine's processor lacks",
      ['use a machine with AVX, or build TensorFlow yourself: SHOW1_TENSORFLOW=/path/to/tensorflow npm run setup'],
    );
  }
  const lines = result.stderr.trim().split('\n');
  const cause =
    lines.find(line => /Error:|cannot open shared object|undefined symbol|GLIBC/.test(line)) ?? lines.at(-1);
  const how = result.signal ? `was ended by ${result.signal}` : `ended with exit code ${result.code}`;
  return new SetupError('binding.broken', `loading ${file} and running an op ${how}: ${cause ?? 'no output'}`, fix);
}
