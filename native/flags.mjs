/** Compiler flags by source, and what the compiled module depends on besides them. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { NAPI } from './package-paths.mjs';

const COMMON = [
  '-std=c++17',
  '-fPIC',
  `-DNAPI_VERSION=${NAPI}`,
  '-DBUILDING_NODE_EXTENSION',
  '-DEIGEN_MAX_ALIGN_BYTES=64',
];

/** Kernels are written for the widest vectors of the machine that compiles them. */
const NATIVE = process.platform === 'darwin' ? '-mcpu=native' : '-march=native';

/**
 * Eigen's half-precision vectors as shipped with TensorFlow 2.21 do not compile (`predux_half_dowto4` is a template that
 * is specialised but declared nowhere). Our kernels use none of them; an undefined macro, unlike `-mno-avx512fp16`, is
 * understood by every compiler.
 */
const WITHOUT_HALF_VECTORS = '-U__AVX512FP16__';

/** @type {[RegExp, string[]][]} the first that matches a source's path in the build folder */
const RULES = [
  [
    /^show1\/kernels\//,
    [
      '-O3',
      NATIVE,
      WITHOUT_HALF_VECTORS,
      '-DNDEBUG',
      '-fno-math-errno',
      '-fno-trapping-math',
      '-ffp-contract=fast',
      '-Wno-psabi',
    ],
  ],
  [/./, ['-O2']],
];

/**
 * @param {string} source e.g. `binding/tfjs_backend.cc`, `show1/kernels/group_norm.cc`
 * @returns {string[]}
 */
export function flagsFor(source) {
  const rule = RULES.find(([pattern]) => pattern.test(source));
  return [...COMMON, ...(rule?.[1] ?? [])];
}

/**
 * The processor's instruction sets as one short word: code for the machine itself runs only where these are the same.
 * @returns {string}
 */
export function processorKey() {
  let text = '';
  try {
    const file = openSync('/proc/cpuinfo', 'r');
    const buffer = Buffer.alloc(16_384); // the first processor's entry
    text = buffer.toString('latin1', 0, readSync(file, buffer));
    closeSync(file);
  } catch {
    // No such file on this system: the model's name stands for its instruction sets.
  }
  const features = /^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/).sort().join(' ');
  const what = features ?? cpus()[0]?.model ?? '';
  return createHash('sha256').update(`${arch()} ${what}`).digest('hex').slice(0, 12);
}
