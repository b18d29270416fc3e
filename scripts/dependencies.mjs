/** Makes a fresh clone ready: npm packages as the lock file says, then TensorFlow's native binding. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this checkout. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * Packages that package.json names and node_modules lacks, or has in another version. All versions are exact there.
 * @param {string} [root]
 * @returns {string[]} `name@version`
 */
export function missingPackages(root = ROOT) {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([name, version]) => {
      const file = join(root, 'node_modules', name, 'package.json');
      return !existsSync(file) || JSON.parse(readFileSync(file, 'utf8')).version !== version;
    })
    .map(([name, version]) => `${name}@${version}`);
}

/**
 * Runs `npm ci` when something is missing.
 * @param {string} [root]
 * @returns {boolean} false when it failed; it has said why
 */
export function ensurePackages(root = ROOT) {
  const missing = missingPackages(root);
  if (missing.length === 0) return true;
  const names = `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`;
  console.error(`installing npm packages (missing: ${names})`);
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const [command = 'npm', ...args] = npm;
  const { status } = spawnSync(command, [...args, 'ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2], // npm's report is no result of the caller
  });
  if (status === 0) return true;
  console.error('npm ci failed (see above)\n  fix: check the network and the npm registry in use, then npm ci');
  return false;
}

/**
 * npm packages, then the native binding.
 * @param {string} [root]
 * @returns {Promise<boolean>} false when one is not to be had; the reason and the remedy are printed
 */
export async function ensureReady(root = ROOT) {
  if (!ensurePackages(root)) return false;
  const { ensureSetup } = await import('../native/setup.mjs');
  const { describeError } = await import('../native/errors.mjs');
  try {
    await ensureSetup({ root });
    return true;
  } catch (error) {
    console.error(describeError(error));
    return false;
  }
}
