/** What a folder holds: weights in any of its folders, and files that go along unchanged. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { readJsonObject } from '../models/weights/pretrained.js';
import { isPickleName, pickleError } from '../models/weights/refuse.js';
import { isWeightFile, requireVariant, weightSet } from './weight-files.js';

export interface FolderContents {
  kind: 'model' | 'pipeline' | 'cascade';
  /** Folders with safetensors, relative to the whole ('' is the whole), and the stem of their files. */
  models: { folder: string; stem: string }[];
  /** Other files, relative to the whole. */
  files: string[];
  /** Weights that are not converted, relative to the whole. */
  leftOut: string[];
}

const INDEX = 'model_index.json';

/**
 * Looks through a model, a pipeline or a cascade (a folder of pipelines). Hidden files are passed over.
 * @param variant prefer `<stem>.<variant>.safetensors`
 * @throws InputError when it is none of these, when a part has no safetensors, when a shard is missing, or when nothing is of
 *   the variant
 */
export function scanFolder(dir: string, variant?: string): FolderContents {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InputError(`There is no folder ${dir}.`, { code: 'convert.no-folder', dir });
  }
  refuseRun(dir);
  const kind = kindOf(dir);
  const found: FolderContents = { kind, models: [], files: [], leftOut: [] };
  const read: string[] = [];
  walk(dir, '', true, { found, variant, read, seen: new Set() });
  if (found.models.length === 0) throw noModel(dir);
  requireVariant(dir, read, variant);
  return found;
}

function refuseRun(dir: string): void {
  if (!existsSync(join(dir, 'state.json')) && !existsSync(join(dir, 'config.yaml'))) return;
  throw new InputError(`${dir} is a training run or a checkpoint of one: use show1 convert export for it.`, {
    code: 'convert.run',
    dir,
  });
}

const isPipeline = (dir: string) => existsSync(join(dir, INDEX)) || existsSync(join(dir, 'unet', 'config.json'));

function kindOf(dir: string): FolderContents['kind'] {
  if (isPipeline(dir)) return 'pipeline';
  if (existsSync(join(dir, 'config.json'))) return 'model';
  if (readdirSync(dir).some(name => isPipeline(join(dir, name)))) return 'cascade';
  throw noModel(dir);
}

const noModel = (dir: string) =>
  new InputError(
    `${dir} holds no weights to convert: neither a model (config.json beside safetensors), nor a pipeline (${INDEX}), ` +
      'nor a folder of pipelines.',
    { code: 'convert.no-model', dir },
  );

interface Walk {
  found: FolderContents;
  variant?: string;
  /** Names of the weight files that are converted. */
  read: string[];
  /** Real paths, against links that lead back. */
  seen: Set<string>;
}

/** @param needed the folder's weights must be convertible: an index names it, or it is what was asked for */
function walk(dir: string, folder: string, needed: boolean, state: Walk): void {
  const { found, variant, read, seen } = state;
  const real = realpathSync(dir);
  if (seen.has(real)) return;
  seen.add(real);
  const names = readdirSync(dir)
    .filter(name => !name.startsWith('.'))
    .sort();
  const isFolder = (name: string) => statSync(join(dir, name), { throwIfNoEntry: false })?.isDirectory() === true;
  const at = (name: string) => (folder ? `${folder}/${name}` : name);
  const files = names.filter(name => !isFolder(name));
  const weights = files.filter(name => isWeightFile(name));
  found.files.push(...files.filter(name => !weights.includes(name)).map(at));

  const parts = partsOf(dir);
  const hasSafetensors = weights.some(name => name.endsWith('.safetensors'));
  const pickle = weights.find(isPickleName);
  // A pipeline's weights are in its parts; files beside its index are the same weights in another form.
  if (hasSafetensors && !parts) {
    const { stem, files: used } = weightSet(dir, variant);
    found.models.push({ folder, stem });
    read.push(...used);
    found.leftOut.push(...weights.filter(name => !used.includes(name)).map(at));
  } else if (pickle && needed && !parts) throw pickleError(join(dir, pickle));
  else found.leftOut.push(...weights.map(at));

  for (const name of names.filter(isFolder)) {
    const inside = join(dir, name);
    const isPart = parts?.has(name) ?? (isPipeline(dir) && existsSync(join(inside, 'config.json')));
    walk(inside, at(name), isPart || isPipeline(inside), state);
  }
}

/** Names of the parts that a pipeline's index gives a class; null where there is no index. */
function partsOf(dir: string): Set<string> | null {
  if (!existsSync(join(dir, INDEX))) return null;
  const index = readJsonObject(join(dir, INDEX), "the pipeline's list of parts");
  const named = Object.entries(index).filter(([, entry]) => Array.isArray(entry) && entry[0] !== null);
  return new Set(named.map(([name]) => name));
}
