/** Opens the networks of evaluation from folders that `show1 convert metrics` wrote. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../errors.js';
import { CLIPModel } from '../clip/index.js';
import type { Model } from '../layers/model.js';
import { locateWeights } from '../weights/locate.js';
import { type JsonObject, readModelConfig } from '../weights/pretrained.js';
import { isPickleName, pickleError } from '../weights/refuse.js';
import { openSafetensors } from '../weights/safetensors.js';
import { C3D } from './c3d.js';
import type { WeightOrigin } from './config.js';
import { InceptionI3d } from './i3d.js';
import { InceptionV3 } from './inception-v3.js';

export const METRIC_KINDS = ['i3d', 'c3d', 'inception-v3', 'clip'] as const;
export type MetricKind = (typeof METRIC_KINDS)[number];

export interface MetricNetwork {
  kind: MetricKind;
  model: Model;
  /** Of the weights file. */
  sha256: string;
  /** The checkpoint that it was converted from; absent where a CLIP folder of transformers is used as it is. */
  source?: WeightOrigin;
  /** Width of the features. */
  features: number;
  dispose(): void;
}

const NETWORKS = { i3d: InceptionI3d, c3d: C3D, 'inception-v3': InceptionV3 } as const;

/** SHA-256 of a file, as hexadecimal digits. */
export async function fileSha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/**
 * @param path a converted folder, or the safetensors file in it; for CLIP also a folder of transformers
 * @throws InputError when it is not there, not converted, another network's, or a pickle: with the command that helps
 */
export async function openMetricNetwork(path: string, kind: MetricKind): Promise<MetricNetwork> {
  const dir = folderOf(path, kind);
  const config = readModelConfig(dir);
  checkKind(config, dir, kind);
  const found = locateWeights(dir);
  if (!('file' in found)) {
    throw new InputError(`${dir} is in ${found.shards.length} shards; ${convertHint(dir, kind)}`, {
      code: 'metrics.shards',
      dir,
    });
  }
  const sha256 = await fileSha256(found.file);
  const model = kind === 'clip' ? await CLIPModel.fromPretrained(dir) : await loadNetwork(dir, kind);
  return {
    ...{ kind, model, sha256, source: originOf(config) },
    features: model instanceof CLIPModel ? model.width : model.features,
    dispose: () => void model.dispose(),
  };
}

/** One signature for three classes. */
const loadNetwork = (dir: string, kind: keyof typeof NETWORKS): Promise<InceptionI3d | C3D | InceptionV3> => {
  if (kind === 'i3d') return InceptionI3d.fromPretrained(dir);
  return kind === 'c3d' ? C3D.fromPretrained(dir) : InceptionV3.fromPretrained(dir);
};

const convertHint = (path: string, kind: MetricKind) =>
  `convert it first:\n  show1 convert metrics ${JSON.stringify(path)} OUT --kind ${kind}`;

/** The folder of converted weights that `path` means. */
function folderOf(path: string, kind: MetricKind): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) {
    throw new InputError(`There are no weights of ${kind} at ${path}: no such file or folder.`, {
      code: 'metrics.no-weights',
      path,
    });
  }
  if (!stat.isDirectory()) {
    if (isPickleName(path)) throw pickleError(path);
    openSafetensors(path).close(); // refuses what is no safetensors: a pickle without its ending, a pointer, a web page
  }
  const dir = stat.isDirectory() ? path : dirname(path);
  const converted = existsSync(join(dir, 'config.json'));
  if (converted && (stat.isDirectory() || basename(path) === 'model.safetensors')) return dir;
  if (stat.isDirectory()) locateWeights(dir); // refuses a folder of pickles, or without weights
  throw new InputError(`${path} is a checkpoint that is not converted; ${convertHint(path, kind)}`, {
    code: 'metrics.not-converted',
    path,
    kind,
  });
}

/** @throws InputError when the config is another network's */
function checkKind(config: JsonObject, dir: string, kind: MetricKind): void {
  const name = config._class_name;
  const clip = config.model_type === 'clip';
  if (kind === 'clip' ? clip : name === NETWORKS[kind].name) return;
  const is = clip ? 'clip' : Object.entries(NETWORKS).find(([, network]) => network.name === name)?.[0];
  throw new InputError(
    is
      ? `${dir} holds ${is}, where ${kind} is needed.`
      : `${join(dir, 'config.json')} is not of an evaluation network (_class_name ${JSON.stringify(name)}); ${convertHint(dir, kind)}`,
    { code: 'metrics.kind', dir, kind, found: is ?? name },
  );
}

function originOf({ source }: JsonObject): WeightOrigin | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  const { name, sha256, layout } = source as Record<string, unknown>;
  const all = [name, sha256, layout];
  return all.every(value => typeof value === 'string')
    ? ({ name, sha256, layout } as unknown as WeightOrigin)
    : undefined;
}
