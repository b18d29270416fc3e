/** Finds and opens reference fixtures: folders of `config.json`, `io.safetensors` and mostly `weights.safetensors`. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parsePythonJson } from '../diffusion/python-json.js';
import { InputError } from '../errors.js';
import { readJsonObject } from '../models/weights/pretrained.js';
import { openSafetensors } from '../models/weights/safetensors.js';
import type { Tolerance } from './compare.js';
import type { Fixture, TensorValue } from './types.js';

/** Tolerance of a kind where `index.json` does not name the fixture. */
const DEFAULT_TOLERANCE: Readonly<Record<string, Tolerance>> = {
  ops: { atol: 2e-5, rtol: 1e-3 },
  piece: { atol: 5e-5, rtol: 1e-3 },
  t5_encoder: { atol: 1e-4, rtol: 1e-3 },
  trajectory: { atol: 1e-3, rtol: 2e-3 },
};
const COMMON_TOLERANCE: Tolerance = { atol: 2e-4, rtol: 1e-3 };

/** What a folder of fixtures holds. */
export interface Listing {
  /** Fixture names in order, with their folders (which may be missing where only `index.json` names them). */
  fixtures: { name: string; dir: string }[];
  /** Full-size manifests: `manifests/<name>.json.gz`. */
  manifests: { name: string; file: string }[];
  /** Tolerances from `index.json`. */
  tolerances: ReadonlyMap<string, Tolerance>;
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
const isFixture = (dir: string) => existsSync(join(dir, 'config.json')) || existsSync(join(dir, 'io.safetensors'));

/**
 * Lists `path`: a fixture, or a folder of fixtures.
 * @throws InputError when it is neither, or its `index.json` cannot be read
 */
export function listFixtures(path: string): Listing {
  const dir = resolve(path);
  if (!isFolder(dir)) throw new InputError(`There is no folder ${path}.`, { code: 'verify.no-folder', path });
  if (isFixture(dir)) {
    return { fixtures: [{ name: basename(dir), dir }], manifests: [], tolerances: readTolerances(dirname(dir)) };
  }
  const tolerances = readTolerances(dir);
  const names = readdirSync(dir).filter(name => isFolder(join(dir, name)) && isFixture(join(dir, name)));
  const fixtures = [...new Set([...names, ...tolerances.keys()])].sort().map(name => ({ name, dir: join(dir, name) }));
  const manifestDir = join(dir, 'manifests');
  const manifests = (isFolder(manifestDir) ? readdirSync(manifestDir) : [])
    .filter(name => /\.json(\.gz)?$/.test(name))
    .sort()
    .map(name => ({ name: `manifests/${name.replace(/\.json(\.gz)?$/, '')}`, file: join(manifestDir, name) }));
  if (fixtures.length + manifests.length === 0) {
    throw new InputError(
      `${path} holds no fixtures: neither it nor a folder in it has a config.json or io.safetensors.`,
      { code: 'verify.no-fixtures', path },
    );
  }
  return { fixtures, manifests, tolerances };
}

function readTolerances(dir: string): ReadonlyMap<string, Tolerance> {
  const file = join(dir, 'index.json');
  if (!existsSync(file)) return new Map();
  const entries = (readJsonObject(file, "the fixtures' index").fixtures ?? {}) as Record<
    string,
    { tolerance?: unknown }
  >;
  const tolerances = new Map<string, Tolerance>();
  for (const [name, entry] of Object.entries(entries)) {
    const { atol, rtol } = (entry?.tolerance ?? {}) as Partial<Tolerance>;
    if (typeof atol !== 'number' || typeof rtol !== 'number') {
      throw new InputError(`${file}: fixture "${name}" needs a tolerance { atol, rtol } of two numbers.`, {
        code: 'verify.index',
        file,
        name,
      });
    }
    tolerances.set(name, { atol, rtol });
  }
  return tolerances;
}

export const toleranceFor = (name: string, kind: string, listed: Listing['tolerances']): Tolerance =>
  listed.get(name) ?? DEFAULT_TOLERANCE[kind] ?? COMMON_TOLERANCE;

/** The `kind` and the config of a fixture. @throws InputError when the config cannot be read or names no kind */
export function readFixtureConfig(dir: string): { kind: string; config: Record<string, unknown> } {
  if (!isFolder(dir)) {
    throw new InputError(`There is no folder ${dir}, though index.json names it.`, { code: 'verify.no-folder', dir });
  }
  const file = join(dir, 'config.json');
  const config = readJsonObject(file, "the fixture's config", parsePythonJson); // schedulers hold -Infinity
  const kind = (config._fixture as { kind?: unknown } | undefined)?.kind;
  if (typeof kind !== 'string') {
    throw new InputError(`${file} has no "_fixture": {"kind": …}, which tells what to check.`, {
      code: 'verify.no-kind',
      file,
    });
  }
  return { kind, config };
}

/**
 * Opens a fixture: reads `io.safetensors` whole and the header of `weights.safetensors`.
 * @param needsWeights a missing `weights.safetensors` is an error
 * @throws InputError when a file is missing or broken
 */
export async function openFixture(
  name: string,
  dir: string,
  kind: string,
  config: Record<string, unknown>,
  needsWeights: boolean,
): Promise<Fixture> {
  const reader = openSafetensors(join(dir, 'io.safetensors'));
  const io = new Map<string, TensorValue>();
  try {
    for (const tensor of reader.names()) {
      io.set(tensor, { shape: reader.info(tensor).shape, data: await reader.read(tensor) });
    }
  } finally {
    reader.close();
  }
  const weightsFile = join(dir, 'weights.safetensors');
  const weights = needsWeights || existsSync(weightsFile) ? openSafetensors(weightsFile) : undefined;
  return { name, dir, kind, config, meta: config._fixture as Record<string, unknown>, io, weights };
}
