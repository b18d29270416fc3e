/** Downloads a pinned wheel by pip, checks its hash, and unpacks the few files of it that are needed. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { diskFull, SetupError } from './errors.mjs';
import { run } from './processes.mjs';
import { extractEntry, listZip } from './zip.mjs';

/**
 * One pin of versions.json.
 * @typedef {object} Wheel
 * @property {string} package
 * @property {string} version
 * @property {string} file
 * @property {string} sha256
 * @property {number} size bytes
 * @property {string[]} platforms pip's platform tags
 */

/** What is kept of a wheel: shared libraries, the headers that ops and kernels include, CUDA's tools, licences. */
const KEEP = [
  /^tensorflow\/libtensorflow_(cc|framework)\./,
  /^tensorflow\/include\/(Eigen|absl|google\/protobuf\/(?!_virtual)|ml_dtypes|tsl|unsupported|xla\/tsl|tensorflow\/(c|core|tsl))\b/,
  /^nvidia\/[^/]+\/(bin|lib)\/.*(?<!\.a)$/,
  /^nvidia\/cuda_nvcc\/nvvm\/libdevice\//,
  /\.dist-info\/(METADATA|.*licen[cs]e.*)$/i,
];

/** @param {Wheel} wheel */
const title = wheel => `${wheel.package} ${wheel.version}`;

/**
 * The command that fetches a wheel on another machine.
 * @param {Wheel} wheel
 * @param {string} pythonTag
 */
export function downloadCommand(wheel, pythonTag) {
  const platforms = wheel.platforms.map(p => `--platform ${p}`).join(' ');
  return `python3 -m pip download --no-deps --only-binary=:all: --implementation cp --python-version ${pythonTag} ${platforms} ${wheel.package}==${wheel.version}`;
}

/** @param {string} folder */
async function folderSize(folder) {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    const { size } = await stat(join(entry.parentPath ?? entry.path, entry.name)).catch(() => ({ size: 0 }));
    total += size;
  }
  return total;
}

/**
 * Turns pip's complaint into ours.
 * @param {string} output
 * @param {Wheel} wheel
 * @param {{ executable: string, pythonTag: string }} context
 * @returns {SetupError}
 */
export function explainPip(output, wheel, { executable, pythonTag }) {
  const tail = output.trim().split('\n').slice(-6).join('\n    ');
  if (/No space left on device|ENOSPC|Disk quota exceeded/i.test(output))
    return diskFull(`while downloading ${title(wheel)}`);
  if (/DO NOT MATCH THE HASHES/.test(output)) return hashMismatch(wheel, /Got\s+([0-9a-f]{64})/.exec(output)?.[1]);
  if (/No module named pip/.test(output)) {
    return new SetupError('pip.missing', `${executable} has no pip`, [`${executable} -m ensurepip --user`]);
  }
  const network = /connection|resol|timed? ?out|proxy|certificate|SSL|unreachable|HTTPError|No matching distribution/i;
  return new SetupError(
    network.test(output) ? 'download.failed' : 'pip.failed',
    `pip could not download ${title(wheel)}:\n    ${tail}`,
    [
      'check the network; behind a proxy set HTTPS_PROXY, with an own package index set PIP_INDEX_URL, then npm run setup',
      `or fetch it where there is a network: ${downloadCommand(wheel, pythonTag)}`,
      `and then: SHOW1_TENSORFLOW=/path/to/${wheel.file} npm run setup`,
    ],
  );
}

/**
 * @param {Wheel} wheel
 * @param {string | undefined} got
 */
function hashMismatch(wheel, got) {
  return new SetupError(
    'hash.mismatch',
    `${wheel.file} is not the pinned file: sha256 ${got ?? 'differs'}, expected ${wheel.sha256} (native/versions.json)`,
    ['the download was damaged or replaced on its way: run npm run setup again, and check the package index in use'],
  );
}

/**
 * @param {string} file
 * @param {Wheel} wheel
 * @throws {SetupError} `hash.mismatch`
 */
export async function verifyWheel(file, wheel) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const got = hash.digest('hex');
  if (got !== wheel.sha256) throw hashMismatch(wheel, got);
}

/**
 * Downloads `wheel` into `folder` (made for it) and verifies it.
 * @param {Wheel} wheel
 * @param {{ executable: string, pythonTag: string, folder: string, progress: import('./progress.mjs').Progress,
 *           env: NodeJS.ProcessEnv }} context
 * @returns {Promise<string>} the file
 */
export async function downloadWheel(wheel, { executable, pythonTag, folder, progress, env }) {
  await mkdir(join(folder, 'tmp'), { recursive: true });
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, `${wheel.package}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--require-hashes', '--no-cache-dir'];
  args.push('--progress-bar', 'off', '--disable-pip-version-check', '--implementation', 'cp');
  args.push('--python-version', pythonTag, ...wheel.platforms.flatMap(p => ['--platform', p]));
  args.push('--dest', folder, '--requirement', requirements);

  const bar = progress.bar(`download ${title(wheel)}`, wheel.size, 'MB');
  const timer = setInterval(async () => bar.update(await folderSize(folder)), 250);
  // pip's own temporary files go beside the wheel: the system's may be a small memory disk.
  const pipEnv = { ...env, TMPDIR: join(folder, 'tmp'), PIP_REQUIRE_VIRTUALENV: 'false' };
  const result = await run(executable, args, { env: pipEnv });
  clearInterval(timer);
  const file = join(folder, wheel.file);
  if (result.code !== 0 || !existsSync(file)) {
    throw explainPip(`${result.stdout}\n${result.stderr}`, wheel, { executable, pythonTag });
  }
  await verifyWheel(file, wheel);
  bar.finish(` (${Math.round(wheel.size / 1e6)} MB, hash verified)`);
  await rm(join(folder, 'tmp'), { recursive: true, force: true });
  return file;
}

/**
 * Unpacks what is needed of a wheel into `dest`, laid out as in site-packages, and syncs it.
 * @param {string} file
 * @param {string} dest
 * @param {import('./progress.mjs').Progress} progress
 * @returns {Promise<Record<string, number>>} sizes of the shared libraries by path
 */
export async function unpackWheel(file, dest, progress) {
  const entries = (await listZip(file)).filter(
    e => !e.name.endsWith('/') && KEEP.some(pattern => pattern.test(e.name)),
  );
  const libraries = entries.filter(e => /\.(so[.\d]*|dylib)$/.test(e.name));
  if (libraries.length === 0 && !file.includes('nvcc')) {
    throw new SetupError('wheel.unexpected', `${basename(file)} holds no shared library where one is expected`);
  }
  const total = entries.reduce((sum, e) => sum + e.size, 0);
  const bar = progress.bar(`unpack ${basename(file).split('-').slice(0, 2).join(' ')}`, total, 'MB');
  let done = 0;
  const queue = entries.sort((a, b) => b.size - a.size);
  const worker = async () => {
    for (let entry = queue.shift(); entry; entry = queue.shift()) {
      await extractEntry(file, entry, dest, bytes => {
        done += bytes;
        bar.update(done);
      });
    }
  };
  // All must have ended before a caller can remove the folder.
  const failed = (await Promise.allSettled([worker(), worker(), worker(), worker()])).find(
    r => r.status === 'rejected',
  );
  if (failed) throw failed.reason;
  bar.finish(` (${Math.round(total / 1e6)} MB)`);
  return Object.fromEntries(libraries.map(e => [e.name, e.size]));
}
