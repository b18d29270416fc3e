/** Brings a set of pinned wheels into the cache, unpacked side by side as in site-packages, once for all clones. */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { publishFolder, readJson, removeLeftovers, requireSpace } from './cache.mjs';
import { SetupError } from './errors.mjs';
import { installHint } from './hints.mjs';
import { withLock } from './lock.mjs';
import { removeOnInterrupt } from './processes.mjs';
import { downloadCommand, downloadWheel, unpackWheel, verifyWheel } from './wheel.mjs';

/** Room that a wheel needs at most while it is brought: pip keeps two copies, and unpacked it is about 3.3 times larger. */
const ROOM = 5.5;

/**
 * Where a set of wheels is unpacked, e.g. `<cache>/tensorflow-cpu-2.21.0-dcc8afd3`.
 * @param {string} cache
 * @param {string} variant
 * @param {import('./wheel.mjs').Wheel[]} wheels
 */
export function wheelsFolder(cache, variant, wheels) {
  const hashes = wheels.map(w => w.sha256);
  const id = hashes.length === 1 ? hashes[0] : createHash('sha256').update(hashes.join()).digest('hex');
  return join(cache, `tensorflow-${variant}-${wheels[0]?.version}-${id?.slice(0, 8)}`);
}

/**
 * Whether the folder holds every library in its full size.
 * @param {string} folder
 */
export function isComplete(folder) {
  const manifest = readJson(join(folder, 'manifest.json'));
  if (!manifest?.libraries) return false;
  return Object.entries(manifest.libraries).every(([name, size]) => {
    const file = join(folder, name);
    return existsSync(file) && statSync(file).size === size;
  });
}

/**
 * @param {object} context
 * @param {string} context.cache
 * @param {string} context.variant
 * @param {import('./wheel.mjs').Wheel[]} context.wheels
 * @param {{ pythonTag: string }} context.pins
 * @param {string} [context.localFolder] take the wheels from here instead of downloading them
 * @param {import('./python.mjs').Python[]} context.pythons
 * @param {import('./progress.mjs').Progress} context.progress
 * @param {NodeJS.ProcessEnv} context.env
 * @returns {Promise<string>} the folder
 */
export async function installWheels(context) {
  const { cache, variant, wheels, progress } = context;
  const folder = wheelsFolder(cache, variant, wheels);
  if (isComplete(folder)) return folder;
  await mkdir(cache, { recursive: true });
  /** @param {string} owner */
  const onWait = owner => progress.log(`another setup (${owner}) is fetching TensorFlow; waiting for it`);
  await withLock(
    `${folder}.lock`,
    async () => {
      if (isComplete(folder)) return;
      await removeLeftovers(folder);
      const staging = `${folder}.partial`;
      await mkdir(staging, { recursive: true });
      // A set of several wheels is worth continuing where it was interrupted; half of one is worth nothing.
      const isResumable = wheels.length > 1;
      const forget = isResumable ? () => {} : removeOnInterrupt(staging);
      try {
        const libraries = await bringAll(staging, `${folder}.tmp.${process.pid}`, context);
        const sources = wheels.map(({ file, sha256 }) => ({ file, sha256 }));
        await writeFile(join(staging, 'manifest.json'), JSON.stringify({ sources, libraries }, null, 2), {
          flush: true,
        });
        await publishFolder(staging, folder);
      } finally {
        if (!isResumable) await rm(staging, { recursive: true, force: true });
        forget();
      }
    },
    { onWait },
  );
  return folder;
}

/**
 * @param {string} staging
 * @param {string} temporary
 * @param {Parameters<typeof installWheels>[0]} context
 */
async function bringAll(staging, temporary, context) {
  /** @type {Record<string, number>} */
  const libraries = {};
  for (const wheel of context.wheels) Object.assign(libraries, await bring(wheel, staging, temporary, context));
  return libraries;
}

/**
 * Brings one wheel; one that an interrupted setup brought completely is not fetched again.
 * @param {import('./wheel.mjs').Wheel} wheel
 * @param {string} staging
 * @param {string} temporary folder to download into
 * @param {Parameters<typeof installWheels>[0]} context
 * @returns {Promise<Record<string, number>>}
 */
async function bring(wheel, staging, temporary, context) {
  const { pins, localFolder, progress, env } = context;
  const marker = join(staging, `${wheel.file}.json`);
  const done = readJson(marker);
  if (done) return done;
  const local = localFolder && join(localFolder, wheel.file);
  if (local && !existsSync(local)) {
    throw new SetupError('tensorflow.folder', `SHOW1_TENSORFLOW: ${local} is missing`, [
      `fetch it there: ${downloadCommand(wheel, pins.pythonTag)}`,
    ]);
  }
  await requireSpace(staging, wheel.size * ROOM, `${wheel.package} ${wheel.version}`);
  const forget = removeOnInterrupt(temporary);
  try {
    if (local) await verifyWheel(local, wheel);
    const file =
      local ??
      (await downloadWheel(wheel, {
        executable: pythonWithPip(context.pythons),
        pythonTag: pins.pythonTag,
        folder: temporary,
        progress,
        env,
      }));
    const libraries = await unpackWheel(file, staging, progress);
    await writeFile(marker, JSON.stringify(libraries), { flush: true });
    return libraries;
  } finally {
    await rm(temporary, { recursive: true, force: true });
    forget();
  }
}

/** @param {import('./python.mjs').Python[]} pythons */
function pythonWithPip(pythons) {
  const python = pythons.find(p => p.pip);
  if (python) return python.executable;
  const first = pythons[0];
  if (first)
    throw new SetupError('pip.missing', `${first.executable} (Python ${first.version}) has no pip`, installHint('pip'));
  throw new SetupError('python.missing', 'no Python 3 on PATH; its pip downloads the TensorFlow library', [
    ...installHint('python'),
    'or name a TensorFlow folder: SHOW1_TENSORFLOW=/path/to/tensorflow npm run setup',
  ]);
}
