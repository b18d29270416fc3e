/** Builds the native module: the npm package's sources, our edits and native/*.cc, against the TensorFlow that was found. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { publishFolder, readJson, removeLeftovers, removeUnused } from './cache.mjs';
import { compile, findCompiler } from './compile.mjs';
import { flagsFor, processorKey } from './flags.mjs';
import { withLock } from './lock.mjs';
import { applyEdits } from './patch.mjs';
import { probe } from './probe.mjs';
import { removeOnInterrupt } from './processes.mjs';

/** @param {string} text */
const sha256 = text => createHash('sha256').update(text).digest('hex');

/**
 * The sources to compile, patched.
 * @param {string} root
 * @param {import('./package-paths.mjs').Tfjs} tfjs
 * @returns {Map<string, string>} by path inside the build folder: binding/*, show1/** (native/** here)
 */
export function readSources(root, tfjs) {
  const stock = join(tfjs.folder, 'binding');
  const originals = new Map(readdirSync(stock).map(name => [name, readFileSync(join(stock, name), 'utf8')]));
  const patched = applyEdits(originals, tfjs.version);
  const own = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' }).filter(name =>
    /\.(cc|h)$/.test(name),
  );
  return new Map([
    ...[...patched].map(([name, text]) => /** @type {[string, string]} */ ([`binding/${name}`, text])),
    ...own.map(
      name => /** @type {[string, string]} */ ([`show1/${name}`, readFileSync(join(root, 'native', name), 'utf8')]),
    ),
  ]);
}

/**
 * Identifies what is compiled and how; another value means that the module must be built again.
 * @param {Map<string, string>} sources
 */
export function sourcesKey(sources) {
  const parts = [...sources].sort().map(([name, text]) => [name, text, flagsFor(name)]);
  return sha256(JSON.stringify(parts)).slice(0, 16);
}

/**
 * The native module for these sources and this TensorFlow, from the cache or compiled now; it has been tried.
 * @param {object} context
 * @param {string} context.root
 * @param {string} context.cache
 * @param {Map<string, string>} context.sources
 * @param {import('./tensorflow.mjs').Tensorflow} context.tensorflow
 * @param {boolean} context.force
 * @param {import('./progress.mjs').Progress} context.progress
 * @param {NodeJS.ProcessEnv} context.env
 * @returns {Promise<{ file: string, compiler: string, probe: import('./probe.mjs').ProbeReport }>}
 */
export async function buildBinding({ root, cache, sources, tensorflow, force, progress, env }) {
  const identity = [sourcesKey(sources), processorKey(), tensorflow.id, tensorflow.libraries, process.platform];
  const folder = join(cache, `binding-${sha256(JSON.stringify(identity)).slice(0, 16)}`);
  const file = join(folder, 'tfjs_binding.node');
  const recorded = () => readJson(join(folder, 'build.json'))?.compiler;
  if (!force && existsSync(file) && recorded()) {
    const report = await probe(file, env).catch(() => undefined); // a system update can break an old build
    if (report) {
      utimesSync(folder, new Date(), new Date());
      return { file, compiler: recorded(), probe: report };
    }
  }
  await mkdir(cache, { recursive: true });
  const started = Date.now();
  /** @param {string} owner */
  const onWait = owner => progress.log(`another setup (${owner}) is compiling the binding; waiting for it`);
  return withLock(
    `${folder}.lock`,
    async () => {
      const built = readJson(join(folder, 'build.json'));
      if (built?.at > started) return { file, compiler: built.compiler, probe: await probe(file, env) };
      await removeLeftovers(folder);
      await removeUnused(cache, /^binding-[0-9a-f]{16}$/);
      const compiler = await findCompiler(env);
      const temporary = `${folder}.tmp.${process.pid}`;
      const forget = removeOnInterrupt(temporary);
      try {
        await compile({ root, cache, folder: temporary, sources, tensorflow, compiler, force, progress, env });
        const report = await probe(join(temporary, 'tfjs_binding.node'), env);
        const record = JSON.stringify({ compiler: compiler.version, at: Date.now() });
        await writeFile(join(temporary, 'build.json'), record, { flush: true });
        await publishFolder(temporary, folder);
        return { file, compiler: compiler.version, probe: report };
      } finally {
        await rm(temporary, { recursive: true, force: true });
        forget();
      }
    },
    { onWait },
  );
}
