/** Compiles and links the native module. Objects are kept in the cache, so that a changed source costs only itself. */
import { createHash } from 'node:crypto';
import { existsSync, utimesSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { removeUnused } from './cache.mjs';
import { diskFull, SetupError } from './errors.mjs';
import { flagsFor, processorKey } from './flags.mjs';
import { installHint } from './hints.mjs';
import { napiHeaders } from './package-paths.mjs';
import { run, which } from './processes.mjs';

/**
 * @typedef {object} Compiler
 * @property {string} command
 * @property {string[]} args
 * @property {string} version
 *
 * @typedef {object} Job
 * @property {string} root
 * @property {string} cache
 * @property {string} folder to work in
 * @property {Map<string, string>} sources
 * @property {import('./tensorflow.mjs').Tensorflow} tensorflow
 * @property {Compiler} compiler
 * @property {boolean} force compile objects that the cache has, too
 * @property {import('./progress.mjs').Progress} progress
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * @param {NodeJS.ProcessEnv} env `CXX` names the compiler, words after the first are arguments
 * @returns {Promise<Compiler>}
 * @throws {SetupError} `compiler.missing`
 */
export async function findCompiler(env = process.env) {
  const names = env.CXX ? [env.CXX] : process.platform === 'darwin' ? ['clang++', 'g++'] : ['g++', 'c++', 'clang++'];
  for (const name of names) {
    const [program = '', ...args] = name.split(' ').filter(Boolean);
    const command = which(program, env);
    if (!command) continue;
    const result = await run(command, [...args, '--version'], { env, timeout: 30_000 });
    if (result.code === 0) return { command, args, version: result.stdout.split('\n')[0] ?? '' };
  }
  const named = env.CXX ? `CXX=${env.CXX} does not run` : `none of ${names.join(', ')} is on PATH or runs`;
  throw new SetupError('compiler.missing', `no C++ compiler: ${named}`, installHint('compiler'));
}

/** @param {string} name */
const isKernel = name => name.startsWith('show1/kernels/');

/**
 * Leaves `tfjs_binding.node` in the job's folder.
 * @param {Job} job
 * @throws {SetupError} `compile.failed`, `disk.full`
 */
export async function compile(job) {
  const { cache, folder, sources, tensorflow, progress } = job;
  const hasKernelApi = existsSync(join(tensorflow.include, 'tensorflow/core/framework/op_kernel.h'));
  if (!hasKernelApi && [...sources.keys()].some(isKernel)) {
    progress.log('this TensorFlow has no headers for own kernels: building without native/kernels (slower)');
  }
  for (const [name, text] of sources) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const shelf = join(cache, 'objects');
  await mkdir(shelf, { recursive: true });
  await removeUnused(shelf);
  const units = [...sources.keys()].filter(name => name.endsWith('.cc') && (hasKernelApi || !isKernel(name)));
  const bar = progress.bar('compile the native binding', units.length + 1, 'steps');
  let done = 0;
  const objects = units.map(unit => join(shelf, `${objectKey(unit, job)}.o`));
  const queue = units.map((unit, i) => ({ unit, object: /** @type {string} */ (objects[i]) }));
  const worker = async () => {
    try {
      for (let next = queue.shift(); next; next = queue.shift()) {
        await compileUnit(next.unit, next.object, job);
        bar.update(++done);
      }
    } finally {
      queue.length = 0; // after a failure nothing more is begun
    }
  };
  const workers = Array.from({ length: Math.min(availableParallelism(), units.length) }, worker);
  // All must have ended before the folder can go away.
  const failed = (await Promise.allSettled(workers)).find(result => result.status === 'rejected');
  if (failed) throw failed.reason;
  await execute([...objects, '-o', 'tfjs_binding.node', ...(await linkArguments(job))], job);
  await rm(join(folder, 'stubs'), { recursive: true, force: true });
  bar.finish();
}

/**
 * Names an object by everything that goes into it.
 * @param {string} unit
 * @param {Job} job
 */
function objectKey(unit, { sources, tensorflow, compiler }) {
  const headers = [...sources].filter(([name]) => name.endsWith('.h'));
  const compilerId = [compiler.command, compiler.args, compiler.version, process.platform, processorKey()];
  const parts = [unit, sources.get(unit), headers, flagsFor(unit), compilerId, tensorflow.id, tensorflow.include];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24);
}

/**
 * @param {string} unit
 * @param {string} object
 * @param {Job} job
 */
async function compileUnit(unit, object, job) {
  if (existsSync(object) && !job.force) {
    utimesSync(object, new Date(), new Date());
    return;
  }
  const includes = [`-I${napiHeaders(job.root)}`, '-I.', '-Ishow1', `-isystem${job.tensorflow.include}`];
  const temporary = basename(object);
  await execute([...flagsFor(unit), ...includes, '-c', unit, '-o', temporary], job);
  await rename(join(job.folder, temporary), object);
}

/**
 * @param {string[]} args
 * @param {Job} job
 */
async function execute(args, { compiler, folder, env }) {
  const options = { cwd: folder, env: { ...env, LC_ALL: 'C' } };
  const result = await run(compiler.command, [...compiler.args, ...args], options);
  if (result.code !== 0) throw explainCompiler(`${result.stdout}\n${result.stderr}`, compiler);
}

/**
 * On Linux the link is made against empty libraries of the same names: reading the real one's symbols (800 MB) takes
 * seconds. Missing symbols are found by the probe, which binds them all when it loads the module.
 * @param {Job} job
 */
async function linkArguments(job) {
  const { folder, tensorflow } = job;
  const rpath = `-Wl,-rpath,${dirname(/** @type {string} */ (tensorflow.libraries[0]))}`;
  if (process.platform === 'darwin') return ['-bundle', '-undefined', 'dynamic_lookup', ...tensorflow.libraries, rpath];
  await mkdir(join(folder, 'stubs'), { recursive: true });
  await writeFile(join(folder, 'stubs', 'empty.cc'), '');
  const stubs = [];
  for (const library of tensorflow.libraries) {
    const name = basename(library);
    await execute(['-shared', '-fPIC', 'stubs/empty.cc', `-Wl,-soname,${name}`, '-o', `stubs/${name}`], job);
    stubs.push(`stubs/${name}`);
  }
  return ['-shared', '-Wl,--no-as-needed', ...stubs, rpath];
}

/**
 * @param {string} output
 * @param {Compiler} compiler
 */
function explainCompiler(output, compiler) {
  if (/No space left on device/.test(output)) return diskFull('while compiling the native binding');
  const lines = output.trim().split('\n');
  const first = Math.max(0, lines.findIndex(line => /error/i.test(line)) - 1);
  return new SetupError(
    'compile.failed',
    `${compiler.command} (${compiler.version}) could not build the binding:\n    ${lines.slice(first, first + 12).join('\n    ')}`,
    [
      'C++17 is needed (g++ 8, clang 7 or newer); name another compiler with CXX=/path/to/g++ npm run setup',
      ...installHint('compiler'),
    ],
  );
}
