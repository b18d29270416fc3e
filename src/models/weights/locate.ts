/** Finds the safetensors files that a file name or a folder stands for. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { InputError } from '../../errors.js';
import { isPickleName, pickleError } from './refuse.js';

/** Which weights to open: one file, or shards with the file each tensor is said to be in. */
export type Located = { file: string } | { shards: string[]; index?: { file: string; map: Map<string, string> } };

/** Base names of weight files in model folders, diffusers' first, then transformers'. */
const STEMS = ['diffusion_pytorch_model', 'model'];

/** File names looked for in a model folder, in this order; a variant (as `fp16`) comes before the plain file when asked for. */
export function weightFileNames(variant?: string): string[] {
  const plain = STEMS.flatMap(stem => [`${stem}.safetensors.index.json`, `${stem}.safetensors`]);
  const varied = (v: string) =>
    STEMS.flatMap(stem => [`${stem}.safetensors.index.${v}.json`, `${stem}.${v}.safetensors`]);
  return variant ? [...varied(variant), ...plain] : [...plain, ...varied('fp16')];
}

/**
 * @param path a `.safetensors` file, a `.safetensors.index.json` file, or a folder holding either
 * @param variant prefer `diffusion_pytorch_model.<variant>.safetensors`
 * @throws InputError when nothing fits or more than one file does
 */
export function locateWeights(path: string, variant?: string): Located {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) {
    throw new InputError(`There are no weights at ${path}: no such file or folder.`, { code: 'weights.open', path });
  }
  if (!stat.isDirectory()) return path.endsWith('.json') ? readIndex(path) : { file: path };

  const wanted = weightFileNames(variant);
  for (const name of wanted) {
    const file = join(path, name);
    if (existsSync(file)) return name.endsWith('.json') ? readIndex(file) : { file };
  }
  const names = readdirSync(path).sort();
  const index = names.filter(name => /\.safetensors\.index(\.\w+)?\.json$/.test(name));
  if (index.length === 1) return readIndex(join(path, index[0]!));
  const files = names.filter(name => name.endsWith('.safetensors'));
  if (files.length === 1 && index.length === 0) return { file: join(path, files[0]!) };
  const shards = shardSet(path, files);
  if (shards && index.length === 0) return { shards };
  const pickle = files.length === 0 && names.find(isPickleName);
  if (pickle) throw pickleError(join(path, pickle));
  throw new InputError(
    `No weights found in ${path}. Looked for ${wanted.join(', ')}; ` +
      (files.length > 1
        ? `it holds several other files (${files.join(', ')}): give the one to use.`
        : `the folder holds ${names.length === 0 ? 'nothing' : names.slice(0, 12).join(', ')}.`),
    { code: 'weights.not-found', path },
  );
}

/** `x-00001-of-00003.safetensors` … without an index: all of one set, or null when the files are something else. */
function shardSet(dir: string, files: string[]): string[] | null {
  const parts = files.map(name => /^(.*)-(\d+)-of-(\d+)\.safetensors$/.exec(name));
  const [first] = parts;
  if (!first || parts.some(part => part?.[1] !== first[1] || part?.[3] !== first[3])) return null;
  const have = new Set(parts.map(part => Number(part![2])));
  for (let i = 1; i <= Number(first[3]); i++) {
    if (have.has(i)) continue;
    const missing = `${first[1]}-${String(i).padStart(first[2]!.length, '0')}-of-${first[3]}.safetensors`;
    throw missingShard(dir, missing, `the other ${files.length} files of the set`);
  }
  return files.map(name => join(dir, name));
}

const missingShard = (dir: string, shard: string, namedBy: string) =>
  new InputError(
    `${join(dir, shard)} is missing: ${namedBy} in ${dir} tell that it belongs to the weights. Download it too.`,
    { code: 'weights.missing-shard', shard, dir },
  );

/** Reads a `*.safetensors.index.json`: `{ metadata, weight_map: { tensor: file } }`. */
function readIndex(file: string): Located {
  const fail = (what: string) => {
    const again = 'Download it again, or delete it if one file holds all the weights.';
    return new InputError(`${file}: ${what} ${again}`, { code: 'weights.index', file });
  };
  let json: { weight_map?: unknown } | null;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw fail(`not a JSON file (${(cause as Error).message}).`);
  }
  const entries = Object.entries((json?.weight_map ?? {}) as Record<string, unknown>);
  if (entries.length === 0) throw fail('it has no "weight_map" object of tensor name to file name.');
  const dir = join(file, '..');
  const map = new Map<string, string>();
  for (const [name, shard] of entries) {
    if (typeof shard !== 'string' || shard === '' || basename(shard) !== shard || shard === '..') {
      throw fail(`tensor "${name}" is mapped to ${JSON.stringify(shard)}; a file name in the same folder is needed.`);
    }
    map.set(name, join(dir, shard));
  }
  const shards = [...new Set(map.values())].sort();
  for (const shard of shards) {
    if (isPickleName(shard)) throw pickleError(shard);
    if (!existsSync(shard)) throw missingShard(dir, basename(shard), basename(file));
  }
  return { shards, index: { file, map } };
}
