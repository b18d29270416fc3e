/** Whether the native module in node_modules is the one that this checkout needs; quick, and changes nothing. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readSources, sourcesKey } from './binding.mjs';
import { readJson } from './cache.mjs';
import { processorKey } from './flags.mjs';
import { locateTfjs, ROOT } from './package-paths.mjs';

/**
 * The record that setup leaves beside the native module.
 * @typedef {object} Stamp
 * @property {string} sources key of the compiled sources
 * @property {string} processor key of the processor that it was compiled for
 * @property {string} binding sha256 of the module
 * @property {{ version: string, variant: 'cpu' | 'cuda', source: string, detail: string,
 *              libraries: { path: string, size: number }[] }} tensorflow
 * @property {string} compiler
 *
 * @typedef {{ ok: true, stamp: Stamp, file: string } | { ok: false, why: string, stamp?: Stamp, file?: string }} State
 */

/** @param {string} file */
export const fileHash = file => createHash('sha256').update(readFileSync(file)).digest('hex');

/**
 * @param {string} [root]
 * @returns {State}
 * @throws {import('./errors.mjs').SetupError} when npm packages are missing or do not fit the patch
 */
export function checkState(root = ROOT) {
  const tfjs = locateTfjs(root);
  const file = tfjs.binding;
  /** @type {Stamp | undefined} */
  const stamp = readJson(tfjs.stamp);
  if (!existsSync(file)) return { ok: false, why: 'the native binding has not been built', stamp };
  if (!stamp) return { ok: false, why: 'the native binding was not built by npm run setup', file };
  if (stamp.binding !== fileHash(file)) return { ok: false, why: 'the native binding was replaced', stamp, file };
  if (stamp.sources !== sourcesKey(readSources(root, tfjs))) {
    return { ok: false, why: 'the sources of the native binding have changed since it was built', stamp, file };
  }
  if (stamp.processor !== processorKey()) {
    return { ok: false, why: 'the native binding was compiled for another processor', stamp, file };
  }
  const lost = stamp.tensorflow.libraries.find(({ path, size }) => !existsSync(path) || statSync(path).size !== size);
  if (lost) return { ok: false, why: `TensorFlow's library ${lost.path} is gone or has changed`, stamp, file };
  return { ok: true, stamp, file };
}
