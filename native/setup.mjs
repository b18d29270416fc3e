/**
 * Gives TensorFlow.js a modern TensorFlow: finds the library, builds the package's native module against it with our
 * extension, and puts it in node_modules. Safe to run twice, at the same time, and to interrupt.
 *
 *   npm run setup [-- --device auto|cpu|cuda] [--force]
 */
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBinding, readSources, sourcesKey } from './binding.mjs';
import { cacheFolder } from './cache.mjs';
import { describeError, SetupError } from './errors.mjs';
import { processorKey } from './flags.mjs';
import { locateTfjs, ROOT } from './package-paths.mjs';
import { nvidiaGpus, requireSupportedPlatform } from './platform.mjs';
import { interruptible } from './processes.mjs';
import { createProgress } from './progress.mjs';
import { checkState, fileHash } from './state.mjs';
import { findTensorflow } from './tensorflow.mjs';

/**
 * @typedef {object} SetupOptions
 * @property {'auto' | 'cpu' | 'cuda'} [device] which build of TensorFlow to fetch; auto: CUDA where nvidia-smi lists a GPU
 * @property {boolean} [force] build again even when all is in place
 * @property {string} [root] this package
 * @property {NodeJS.ProcessEnv} [env]
 * @property {import('./progress.mjs').Progress} [progress]
 */

/**
 * Does nothing when the native module is in place and current; else runs {@link setup} with progress on stderr.
 * @param {SetupOptions} [options]
 * @returns {Promise<import('./state.mjs').Stamp>}
 * @throws {SetupError} with the remedy
 */
export async function ensureSetup(options = {}) {
  const state = checkState(options.root);
  if (state.ok && !options.force) return state.stamp;
  const { progress = createProgress() } = options;
  if (!state.ok) progress.log(`${state.why}; preparing it (once)`);
  return setup({ ...options, progress });
}

/**
 * @param {SetupOptions} [options]
 * @returns {Promise<import('./state.mjs').Stamp>}
 * @throws {SetupError} with the remedy
 */
export async function setup(options = {}) {
  const { device = 'auto', force = false, root = ROOT, env = process.env, progress = createProgress() } = options;
  const state = checkState(root);
  const gpus = device === 'auto' ? await nvidiaGpus(env) : [];
  const hasCuda = `${process.platform}-${process.arch}` === 'linux-x64';
  const variant = device === 'cuda' || (gpus.length > 0 && hasCuda) ? 'cuda' : 'cpu';
  linkCommand(root);
  // The CUDA build also computes on the CPU: a machine without a GPU at the moment (a login node) keeps it.
  const fits = state.ok && (state.stamp.tensorflow.variant === variant || (device === 'auto' && variant === 'cpu'));
  if (state.ok && fits && !force && !env.SHOW1_TENSORFLOW) {
    progress.log(`in place: TensorFlow ${state.stamp.tensorflow.version}, ${state.stamp.tensorflow.detail}`);
    return state.stamp;
  }

  return interruptible(
    async () => {
      if (gpus.length > 0 && hasCuda)
        progress.log(`found ${gpus.join(', ')}: using the CUDA build (--device cpu for the other)`);
      const pins = JSON.parse(readFileSync(join(root, 'native/versions.json'), 'utf8'));
      if (!env.SHOW1_TENSORFLOW) requireSupportedPlatform({ wheels: pins.wheels });
      const tfjs = locateTfjs(root);
      const sources = readSources(root, tfjs);
      const cache = cacheFolder(env);
      const tensorflow = await findTensorflow({ variant, cache, pins, tfjs: tfjs.folder, progress, env });
      const built = await buildBinding({ root, cache, sources, tensorflow, force, progress, env });
      if (!built.probe.conv.ok) {
        throw new SetupError('binding.broken', `TensorFlow computes a wrong convolution: ${built.probe.conv.error}`, [
          'npm run setup -- --force',
        ]);
      }
      if (built.probe.version !== pins.tensorflow) {
        progress.log(`warning: this is TensorFlow ${built.probe.version}; show1 is tested with ${pins.tensorflow}`);
      }
      /** @type {import('./state.mjs').Stamp} */
      const stamp = {
        sources: sourcesKey(sources),
        processor: processorKey(),
        binding: fileHash(built.file),
        tensorflow: {
          version: built.probe.version,
          variant: tensorflow.variant,
          source: tensorflow.source,
          detail: tensorflow.detail,
          libraries: tensorflow.libraries.map(path => ({ path, size: statSync(path).size })),
        },
        compiler: built.compiler,
      };
      install(built.file, stamp, tfjs);
      progress.log(`TensorFlow ${stamp.tensorflow.version} from ${stamp.tensorflow.detail}`);
      progress.log(`computes on ${built.probe.gpu ? 'the GPU' : 'the CPU'}; a convolution and its gradients are right`);
      return stamp;
    },
    () => progress.log('interrupted; nothing half-made was left behind, and npm run setup continues'),
  );
}

/**
 * Puts the module in place by a rename: programs that use the old one keep it.
 * @param {string} file
 * @param {import('./state.mjs').Stamp} stamp
 * @param {import('./package-paths.mjs').Tfjs} tfjs
 */
function install(file, stamp, tfjs) {
  mkdirSync(dirname(tfjs.binding), { recursive: true });
  const temporary = `${tfjs.binding}.${process.pid}.tmp`;
  const temporaryStamp = `${tfjs.stamp}.${process.pid}.tmp`;
  try {
    copyFileSync(file, temporary);
    writeFileSync(temporaryStamp, `${JSON.stringify(stamp, null, 2)}\n`);
    renameSync(temporary, tfjs.binding);
    renameSync(temporaryStamp, tfjs.stamp);
  } finally {
    rmSync(temporary, { force: true });
    rmSync(temporaryStamp, { force: true });
  }
}

/**
 * npm does not link a package's own command into its node_modules/.bin, where `npx show1` looks first.
 * @param {string} root
 */
function linkCommand(root) {
  if (process.platform === 'win32') return;
  const link = join(root, 'node_modules', '.bin', 'show1');
  try {
    symlinkSync('../../bin/show1.js', link);
  } catch {
    // It is there already, or show1 is installed as a dependency and npm has linked it.
  }
}

const USAGE = `usage: npm run setup [-- --device auto|cpu|cuda] [--force]

  --device  build of TensorFlow to use; auto takes CUDA where nvidia-smi lists a GPU
  --force   build again even when all is in place

  SHOW1_TENSORFLOW  a TensorFlow folder, a pinned wheel or a folder of pinned wheels to use
  SHOW1_CACHE       where libraries and builds are kept (default: ~/.cache/show1)
  SHOW1_PYTHON      the Python whose pip downloads;  CXX  the C++ compiler`;

/** @returns {{ device: 'auto' | 'cpu' | 'cuda', force?: boolean, help?: boolean }} */
function readArguments() {
  try {
    const options = /** @type {const} */ ({
      device: { type: 'string', default: 'auto' },
      force: { type: 'boolean' },
      help: { type: 'boolean' },
    });
    const { device, force, help } = parseArgs({ options }).values;
    if (device === 'auto' || device === 'cpu' || device === 'cuda') return { device, force, help };
    throw new Error(`--device ${device}: allowed are auto, cpu, cuda`);
  } catch (error) {
    throw new SetupError('argument', /** @type {Error} */ (error).message, [USAGE.split('\n')[0]?.slice(7) ?? '']);
  }
}

/** @returns {Promise<number>} exit code */
async function main() {
  try {
    const { device, force, help } = readArguments();
    if (help) {
      console.log(USAGE);
      return 0;
    }
    await setup({ device, force });
    return 0;
  } catch (error) {
    console.error(describeError(error));
    return 1;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await main();
