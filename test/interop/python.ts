/** Python with diffusers, where there is one: runs test/reference/diffusers_folder.py and diffusers_load.py. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import type { TensorValue } from '../../src/verify/types.js';

/** SHOW1_TEST_PYTHON names a Python in a virtual environment. */
const PYTHON = process.env.SHOW1_TEST_PYTHON ?? 'python3';
const SCRIPTS = resolve(import.meta.dirname, '../reference');
const MODULES = ['torch', 'diffusers', 'transformers', 'safetensors', 'PIL'];

/** What is missing for the comparison with Python, or null. Importing all of it would take long. */
export function pythonLacks(): string | null {
  const find = `import importlib.util as u; print(*[n for n in ${JSON.stringify(MODULES)} if not u.find_spec(n)])`;
  const { status, stdout, error } = spawnSync(PYTHON, ['-c', find], { encoding: 'utf8' });
  if (status !== 0) return `no Python (${PYTHON}: ${error?.message ?? `exit ${status}`})`;
  return stdout.trim() === '' ? null : `${PYTHON} lacks ${stdout.trim().split(' ').join(', ')}`;
}

/** @throws Error with what the script printed */
function run(script: string, args: string[], input?: string): string {
  const options = { input, encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
  const { status, stdout, stderr } = spawnSync(PYTHON, [join(SCRIPTS, script), ...args], options);
  if (status !== 0) throw new Error(`${script}: ${stderr}\n${stdout}`);
  return stdout;
}

export interface VideoRun {
  steps: number;
  strength: number;
  guidance: number;
  timesteps: number[];
}

/** report.json of diffusers_folder.py. */
export interface Report {
  diffusers: string;
  seed: number;
  transformers: string;
  prompt: string;
  negative: string;
  cases: Record<'ddim' | 'dpm-fp16' | 'ddpm-sharded', VideoRun> & {
    'if-sr': { steps: number; guidance: number; noise_level: number; height: number; width: number };
    schedulers: { names: string[] };
  };
  /** Constructor defaults by class. */
  defaults: Record<string, Record<string, unknown>>;
}

/** Writes all folders into `out`. */
export function writePythonFolders(out: string, seed: number): Report {
  run('diffusers_folder.py', [out, '--seed', String(seed)]);
  return readReport(out);
}

export const readReport = (out: string) => JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report;

/** Tensors of a safetensors file. */
export function readTensors(file: string): Map<string, TensorValue> {
  const source = openSafetensors(file);
  try {
    return new Map(source.names().map(name => [name, { shape: source.info(name).shape, data: source.readSync(name) }]));
  } finally {
    source.close();
  }
}

type Differences = Record<string, [original: unknown, ours: unknown]>;

export interface LoadedModel {
  missing_keys: string[];
  unexpected_keys: string[];
  mismatched_keys: string[];
  /** Number of tensors in the original. */
  tensors: number;
  /** Names of those that are not equal to the last bit. */
  different: string[];
  dtypes: string[];
  config: Differences;
  /** Options in our config.json that the class does not have. */
  unknown_options: string[];
}

export interface LoadedScheduler {
  classes: [string, string];
  same_timesteps: boolean;
  same_betas: boolean;
  config: Differences;
}

export interface LoadJob {
  models?: { library: 'diffusers' | 'transformers'; class: string; dir: string; original: string; variant?: string }[];
  schedulers?: { dir: string; original: string }[];
  pipelines?: { class: string; dir: string; options?: Record<string, unknown> }[];
}

/** Loads our folders in Python and compares them with the originals. */
export function loadInPython(job: LoadJob): {
  models: LoadedModel[];
  schedulers: LoadedScheduler[];
  /** Class of each part. */
  pipelines: Record<string, string>[];
} {
  return JSON.parse(run('diffusers_load.py', [], JSON.stringify(job)).trim().split('\n').at(-1)!);
}
