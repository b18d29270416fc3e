/** Finds Python interpreters: one with pip downloads the wheel, one with TensorFlow installed makes that unneeded. */
import { run, which } from './processes.mjs';

const NAMES = ['python3', 'python', 'python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3.9', 'py'];

// Reads metadata only: importing TensorFlow would take seconds.
const FACTS = `
import importlib.util, json, sys
tensorflow = []
try:
    from importlib import metadata
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            d = metadata.distribution(name)
            tensorflow.append({"name": name, "version": d.version, "folder": str(d.locate_file("tensorflow"))})
        except Exception:
            pass
except ImportError:
    pass
print(json.dumps({"executable": sys.executable, "version": sys.version.split()[0],
                  "pip": importlib.util.find_spec("pip") is not None, "tensorflow": tensorflow}))
`;

/**
 * @typedef {object} Python
 * @property {string} executable
 * @property {string} version
 * @property {boolean} pip
 * @property {{ name: string, version: string, folder: string }[]} tensorflow
 */

/**
 * Every working Python 3 on PATH, in the order of {@link NAMES}, each once.
 * @param {NodeJS.ProcessEnv} [env] `SHOW1_PYTHON` names one to use alone
 * @returns {Promise<Python[]>}
 */
export async function findPythons(env = process.env) {
  const names = env.SHOW1_PYTHON ? [env.SHOW1_PYTHON] : NAMES;
  const paths = [...new Set(names.map(name => which(name, env)).filter(path => path !== undefined))];
  const facts = await Promise.all(
    paths.map(async path => {
      const result = await run(path, ['-c', FACTS], { env, timeout: 30_000 });
      try {
        return /** @type {Python} */ (JSON.parse(result.stdout));
      } catch {
        return undefined; // a version manager's shim without its version, a stub, Python 2
      }
    }),
  );
  /** @type {Map<string, Python>} */
  const found = new Map();
  for (const python of facts) if (python && !found.has(python.executable)) found.set(python.executable, python);
  return [...found.values()].filter(python => !python.version.startsWith('2.'));
}
