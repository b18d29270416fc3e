/** Which machine this is, as far as prebuilt TensorFlow libraries care. */
import { SetupError } from './errors.mjs';
import { run, which } from './processes.mjs';

/** File names of the two shared libraries in TensorFlow's own packages, by system. */
export const LIBRARY_NAMES =
  process.platform === 'darwin'
    ? { main: ['libtensorflow_cc.2.dylib', 'libtensorflow.2.dylib'], framework: 'libtensorflow_framework.2.dylib' }
    : { main: ['libtensorflow_cc.so.2', 'libtensorflow.so.2'], framework: 'libtensorflow_framework.so.2' };

/** @returns {string} e.g. `linux-x64` */
export const platformKey = () => `${process.platform}-${process.arch}`;

/** @returns {string | undefined} glibc's version; undefined with another C library (musl) or another system */
export function glibcVersion() {
  if (process.platform !== 'linux' || !process.report) return undefined;
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return report.header?.glibcVersionRuntime;
}

/**
 * Refuses systems for which no TensorFlow library of the pinned version exists.
 * @param {{ key?: string, glibc?: string | undefined, wheels: Record<string, unknown> }} system
 */
export function requireSupportedPlatform({ key = platformKey(), glibc = glibcVersion(), wheels }) {
  const own = 'or build TensorFlow yourself and name its folder: SHOW1_TENSORFLOW=/path/to/tensorflow npm run setup';
  if (key.startsWith('win32')) {
    throw new SetupError('platform.unsupported', 'Windows has no TensorFlow library that this binding can link to', [
      'run show1 inside WSL 2 (wsl --install), which is Linux and can use NVIDIA GPUs',
    ]);
  }
  const known = Object.keys(wheels).some(name => name.startsWith(`${key}-`));
  if (!known) {
    const names = [...new Set(Object.keys(wheels).map(name => name.replace(/-\w+$/, '')))].join(', ');
    throw new SetupError(
      'platform.unsupported',
      `no TensorFlow library is published for ${key} (there is for ${names})`,
      [own],
    );
  }
  if (!key.startsWith('linux')) return;
  const [major = 0, minor = 0] = (glibc ?? '0').split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 27)) {
    const found = glibc ? `glibc ${glibc}` : 'no glibc (Alpine and other musl systems)';
    throw new SetupError(
      'platform.unsupported',
      `TensorFlow's library needs glibc 2.27 or newer; this system has ${found}`,
      ['use a Debian, Ubuntu or Fedora based system or container image, such as node:20-bookworm', own],
    );
  }
}

/**
 * NVIDIA GPUs by name, as nvidia-smi lists them; empty without a working driver.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<string[]>}
 */
export async function nvidiaGpus(env = process.env) {
  const program = which('nvidia-smi', env);
  if (!program) return [];
  const result = await run(program, ['--query-gpu=name', '--format=csv,noheader'], { env, timeout: 20_000 });
  return result.code === 0
    ? result.stdout
        .split('\n')
        .map(line => line.trim())
        .filter(Boolean)
    : [];
}
