/** Where things are: this package, the npm package with the binding, the Node-API headers. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJson } from './cache.mjs';
import { SetupError } from './errors.mjs';

/** The folder of this package. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The Node-API version that the binding is built for; Node 20 and later have it. */
export const NAPI = 8;

/**
 * @typedef {object} Tfjs
 * @property {string} folder
 * @property {string} version
 * @property {string} binding where the package expects its native module
 * @property {string} stamp our record of how it was built
 */

/**
 * @param {string} [root]
 * @returns {Tfjs}
 * @throws {SetupError} `npm.missing`
 */
export function locateTfjs(root = ROOT) {
  const folder = packageFolder('@tensorflow/tfjs-node-gpu', root);
  const lib = join(folder, 'lib', `napi-v${NAPI}`);
  const { version } = readJson(join(folder, 'package.json'));
  return { folder, version, binding: join(lib, 'tfjs_binding.node'), stamp: join(lib, 'show1.json') };
}

/**
 * The Node-API headers of the npm package node-api-headers: the same for every Node, and always there.
 * @param {string} [root]
 */
export function napiHeaders(root = ROOT) {
  const include = join(packageFolder('node-api-headers', root), 'include');
  if (existsSync(join(include, 'node_api.h'))) return include;
  throw new SetupError('npm.missing', `${include} has no node_api.h`, ['npm ci']);
}

/**
 * @param {string} name
 * @param {string} root
 */
function packageFolder(name, root) {
  try {
    return dirname(createRequire(join(root, 'package.json')).resolve(`${name}/package.json`));
  } catch {
    throw new SetupError('npm.missing', `the npm package ${name} is not installed in ${root}`, [
      `cd ${root} && npm ci`,
    ]);
  }
}
