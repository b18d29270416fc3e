/**
 * Finds TensorFlow's C library and headers, in this order: a folder (or wheels) that the user names in SHOW1_TENSORFLOW,
 * an installed Python package of the pinned version, the pinned pip wheels, the npm package's own (older) download. Wheels
 * that an earlier setup has unpacked are used before Python is asked.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { SetupError } from './errors.mjs';
import { downloadOwn } from './own-download.mjs';
import { LIBRARY_NAMES, platformKey } from './platform.mjs';
import { findPythons } from './python.mjs';
import { installWheels, isComplete, wheelsFolder } from './wheels.mjs';

/**
 * @typedef {'cpu' | 'cuda'} Variant
 *
 * @typedef {object} Tensorflow
 * @property {'folder' | 'python' | 'wheel' | 'package'} source
 * @property {string} detail the source in words
 * @property {string | undefined} version as far as known before it is loaded
 * @property {Variant} variant
 * @property {string[]} libraries full paths: main library, framework library
 * @property {string} include
 * @property {string} id changes when the libraries do
 *
 * @typedef {object} Pins versions.json
 * @property {string} tensorflow
 * @property {string} pythonTag
 * @property {Record<string, import('./wheel.mjs').Wheel[]>} wheels
 *
 * @typedef {object} Context
 * @property {Variant} variant
 * @property {string} cache
 * @property {Pins} pins
 * @property {string} tfjs folder of the npm package
 * @property {import('./progress.mjs').Progress} progress
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * Looks for the libraries and headers in a folder: TensorFlow's Python package, its parent, or a C release (lib/, include/).
 * @param {string} folder
 * @returns {{ libraries: string[], include: string } | { missing: string }}
 */
export function inspectFolder(folder) {
  const bases = [folder, join(folder, 'tensorflow'), join(folder, 'lib')];
  for (const base of bases) {
    const main = LIBRARY_NAMES.main.map(name => join(base, name)).find(path => existsSync(path));
    const framework = join(base, LIBRARY_NAMES.framework);
    if (!main || !existsSync(framework)) continue;
    const include = [join(base, 'include'), join(dirname(base), 'include')].find(path =>
      existsSync(join(path, 'tensorflow/c/eager/c_api.h')),
    );
    if (!include) return { missing: `${base} has the libraries but no include/tensorflow/c/eager/c_api.h` };
    return { libraries: [main, framework], include };
  }
  return { missing: `${folder} has no ${LIBRARY_NAMES.main.join(' or ')} with ${LIBRARY_NAMES.framework} beside it` };
}

/** @param {string[]} libraries */
function fileIdentity(libraries) {
  return libraries
    .map(path => {
      const { size, mtimeMs } = statSync(path);
      return `${realpathSync(path)}:${size}:${mtimeMs}`;
    })
    .join('|');
}

/**
 * @param {Context} context
 * @returns {Promise<Tensorflow | undefined>}
 */
async function fromUser(context) {
  const named = context.env.SHOW1_TENSORFLOW;
  if (!named) return undefined;
  const path = resolve(named);
  const fix = ['point SHOW1_TENSORFLOW at a TensorFlow folder, or at the pinned wheel, or unset it'];
  if (!existsSync(path)) throw new SetupError('tensorflow.folder', `SHOW1_TENSORFLOW=${named} does not exist`, fix);
  const isFile = statSync(path).isFile();
  if (isFile || readdirSync(path).some(name => name.endsWith('.whl'))) {
    const folder = isFile ? dirname(path) : path;
    const variant = wheelVariant(isFile ? basename(path) : undefined, folder, context);
    return fromWheels({ ...context, variant }, folder);
  }
  const found = inspectFolder(path);
  if ('missing' in found) throw new SetupError('tensorflow.folder', `SHOW1_TENSORFLOW=${named}: ${found.missing}`, fix);
  const variant =
    existsSync(join(dirname(path), 'nvidia')) || existsSync(join(path, 'nvidia')) ? 'cuda' : context.variant;
  const id = fileIdentity(found.libraries);
  return { source: 'folder', detail: `folder ${path} (SHOW1_TENSORFLOW)`, version: undefined, variant, ...found, id };
}

/**
 * Which set of pinned wheels a folder holds.
 * @param {string | undefined} file
 * @param {string} folder
 * @param {Context} context
 * @returns {Variant}
 */
function wheelVariant(file, folder, { pins, variant }) {
  /** @type {Variant[]} */
  const order = variant === 'cuda' ? ['cuda', 'cpu'] : ['cpu', 'cuda'];
  const match = order.find(v => {
    const main = pins.wheels[`${platformKey()}-${v}`]?.[0];
    return main && (file ? main.file === file : existsSync(join(folder, main.file)));
  });
  if (match) return match;
  const names = order.map(v => pins.wheels[`${platformKey()}-${v}`]?.[0]?.file).filter(Boolean);
  throw new SetupError('tensorflow.folder', `SHOW1_TENSORFLOW names ${file ?? folder}, not a pinned wheel`, [
    `it must be ${names.join(' or ')}`,
  ]);
}

/**
 * @param {Context} context
 * @param {import('./python.mjs').Python[]} pythons
 * @returns {Tensorflow | undefined}
 */
function fromPython({ variant, pins }, pythons) {
  for (const python of pythons) {
    for (const { name, version, folder } of python.tensorflow) {
      if (version !== pins.tensorflow) continue;
      const found = inspectFolder(folder);
      const hasCuda = existsSync(join(dirname(folder), 'nvidia', 'cudnn'));
      if ('missing' in found || (variant === 'cuda' && !hasCuda)) continue;
      const detail = `Python package ${name} ${version} in ${folder}`;
      return { source: 'python', detail, version, variant, ...found, id: fileIdentity(found.libraries) };
    }
  }
  return undefined;
}

/**
 * @param {Context} context
 * @param {string} [localFolder] where the wheels lie already
 * @param {import('./python.mjs').Python[]} [pythons]
 * @returns {Promise<Tensorflow>}
 */
async function fromWheels(context, localFolder, pythons = []) {
  const wheels = context.pins.wheels[`${platformKey()}-${context.variant}`];
  if (!wheels) {
    throw new SetupError('platform.unsupported', `no CUDA build of TensorFlow is pinned for ${platformKey()}`, [
      'use the CPU: npm run setup -- --device cpu',
    ]);
  }
  const folder = await installWheels({ ...context, wheels, localFolder, pythons });
  const found = inspectFolder(folder);
  if ('missing' in found) throw new SetupError('wheel.unexpected', found.missing, ['npm run setup -- --force']);
  const main = /** @type {import('./wheel.mjs').Wheel} */ (wheels[0]);
  const detail = `pip wheel ${main.package} ${main.version}, unpacked in ${folder}`;
  return { source: 'wheel', detail, version: main.version, variant: context.variant, ...found, id: basename(folder) };
}

/**
 * @param {Context} context
 * @returns {Promise<Tensorflow>}
 * @throws {SetupError} when no source works; the message names the first obstacle
 */
export async function findTensorflow(context) {
  const named = await fromUser(context);
  if (named) return named;
  const pinned = context.pins.wheels[`${platformKey()}-${context.variant}`];
  // What an earlier setup unpacked is the pinned version, too, and asks no Python.
  if (pinned && isComplete(wheelsFolder(context.cache, context.variant, pinned))) return fromWheels(context);
  const pythons = await findPythons(context.env);
  const installed = fromPython(context, pythons);
  if (installed) return installed;
  try {
    return await fromWheels(context, undefined, pythons);
  } catch (error) {
    const worthTrying = ['python.missing', 'pip.missing', 'download.failed', 'pip.failed'];
    if (!(error instanceof SetupError) || !worthTrying.includes(error.code) || context.variant === 'cuda') throw error;
    context.progress.log(`${error.message.split('\n')[0]}; trying the npm package's own download`);
    const own = await downloadOwn(context);
    if ('failed' in own) {
      error.message += `\n  (the npm package's own download failed too: ${own.failed})`;
      throw error;
    }
    const found = inspectFolder(own.folder);
    if ('missing' in found) throw error;
    const detail = `the npm package's own download, TensorFlow ${own.version}, in ${own.folder}`;
    return { source: 'package', detail, version: own.version, variant: 'cpu', ...found, id: basename(own.folder) };
  }
}
