/** The npm package's own libtensorflow download: older than the pinned version, without CUDA, and its host is often unreachable. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { publishFolder, readJson, removeLeftovers } from './cache.mjs';
import { withLock } from './lock.mjs';
import { LIBRARY_NAMES } from './platform.mjs';
import { removeOnInterrupt, run } from './processes.mjs';

const START_WITHIN_MS = 30_000;

/**
 * Runs the package's script in a copy of it (it edits its own package.json), stopping before it builds anything.
 * @param {{ cache: string, tfjs: string, progress: import('./progress.mjs').Progress, env: NodeJS.ProcessEnv }} context
 * @returns {Promise<{ folder: string, version: string } | { failed: string }>}
 */
export async function downloadOwn({ cache, tfjs, progress, env }) {
  const constants = readFileSync(join(tfjs, 'scripts/deps-constants.js'), 'utf8');
  const version = /LIBTENSORFLOW_VERSION = '([\d.]+)'/.exec(constants)?.[1];
  if (!version) return { failed: 'its scripts name no version' };
  const folder = join(cache, `tensorflow-package-${version}`);
  const isComplete = () => readJson(join(folder, 'manifest.json')) !== undefined;
  if (isComplete()) return { folder, version };
  await mkdir(cache, { recursive: true });
  /** @type {string | undefined} */
  let failed;
  await withLock(`${folder}.lock`, async () => {
    if (isComplete()) return;
    await removeLeftovers(folder);
    const temporary = `${folder}.tmp.${process.pid}`;
    const forget = removeOnInterrupt(temporary);
    try {
      await cp(join(tfjs, 'scripts'), join(temporary, 'scripts'), { recursive: true });
      await cp(join(tfjs, 'package.json'), join(temporary, 'package.json'));
      const bar = progress.bar(`download libtensorflow ${version}`, 1, 'steps');
      failed = await runScript(temporary, tfjs, env);
      if (failed) return;
      bar.finish();
      const unpacked = join(temporary, 'deps');
      await writeFile(join(unpacked, 'manifest.json'), JSON.stringify({ version }), { flush: true });
      await publishFolder(unpacked, folder);
    } finally {
      await rm(temporary, { recursive: true, force: true });
      forget();
    }
  });
  return failed ? { failed } : { folder, version };
}

/**
 * @param {string} folder the copy
 * @param {string} tfjs
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string | undefined>} why it failed
 */
async function runScript(folder, tfjs, env) {
  const unpacked = join(folder, 'deps');
  const hasBegun = () => existsSync(unpacked) && readdirSync(unpacked).length > 0;
  // A host behind a firewall may simply never answer.
  const abort = new AbortController();
  const timer = setTimeout(() => hasBegun() || abort.abort(), START_WITHIN_MS);
  // Its modules are found through NODE_PATH; with an empty PATH its build step cannot start.
  const modules = [join(tfjs, 'node_modules'), join(tfjs, '..', '..')].join(delimiter);
  const result = await run(process.execPath, ['scripts/install.js', 'cpu', 'download'], {
    cwd: folder,
    env: { ...env, NODE_PATH: modules, PATH: '' },
    timeout: 30 * 60_000,
    signal: abort.signal,
  });
  clearTimeout(timer);
  if (existsSync(join(unpacked, 'lib', LIBRARY_NAMES.framework))) return undefined;
  if (abort.signal.aborted) return `no answer from its host within ${START_WITHIN_MS / 1000} s`;
  return /(getaddrinfo|connect|read|socket|Error:)[^\n]*/.exec(result.stderr)?.[0] ?? 'it unpacked no library';
}
