/** Loading a config: files, then overrides, then `--set`; defaults, checks, and where each value came from. */
import { stringify } from 'yaml';
import { findConflicts } from './checks.js';
import { layerOf, readConfigFiles } from './files.js';
import { pointer } from './paths.js';
import type { Config, ConfigInput } from './schema.js';
import { DEFAULT_TRAIN_TIMESTEPS } from './sections/diffusion.js';
import { applySet } from './set.js';
import { describeOrigin, emptyLayer, type Layer, mergeLayer, originOf, type Tree } from './tree.js';
import { asConfig, findProblems, type Problem, throwProblems } from './validate.js';

/** Show-1's sr2 is trained on timesteps 0–900 of 1000. */
const EXPERT_SHARE = 0.9;

export interface LoadOptions {
  /** `KEY=VALUE` strings in order, as given to `--set`; they win over everything else. */
  set?: readonly string[];
  /** Values put over the files' by the program, under `set`. */
  overrides?: ConfigInput;
}

/** Where a loaded config came from. */
export interface ConfigSource {
  /** The file and what it extends, the one named first; empty for a config built in code. */
  files: string[];
  set: string[];
  /**
   * Where a key's value was written, for errors found later: "configs/base.yaml:12:5", "--set train.steps=0",
   * "the call", or "default" when nobody wrote it.
   */
  where(dottedPath: string): string;
}

export interface LoadedConfig {
  config: Config;
  source: ConfigSource;
}

/**
 * Reads a YAML config with everything it extends, applies overrides and `--set`, fills the defaults in and checks it.
 * Paths in it are not resolved: they are relative to the current directory (`extends` alone to its own file).
 * @throws InputError code `config.*`, with the file, line and column of each problem in `data.problems`
 */
export function loadConfig(file: string, options: LoadOptions = {}): LoadedConfig {
  const { files, ...layer } = readConfigFiles(file);
  return finish(layer, files, options);
}

/**
 * The same for a config written in code: fills the defaults in and checks it.
 * @throws InputError code `config.*`
 */
export function parseConfig(input: ConfigInput, options: LoadOptions = {}): LoadedConfig {
  const layer = emptyLayer();
  mergeLayer(layer, layerOf(withoutUndefined(input), { kind: 'argument' }));
  return finish(layer, [], options);
}

function finish(layer: Layer, files: string[], { set = [], overrides }: LoadOptions): LoadedConfig {
  if (overrides) mergeLayer(layer, layerOf(withoutUndefined(overrides), { kind: 'argument' }));
  for (const argument of set) applySet(layer, argument);
  fillScheduler(layer.tree);
  fillTimesteps(layer.tree);
  const file = files[0];
  const problems: Problem[] = findProblems(layer, file);
  if (problems.length > 0) throwProblems(problems, file);
  const config = asConfig(layer);
  const conflicts = findConflicts(config, layer.origins, file);
  if (conflicts.length > 0) throwProblems(conflicts, file);
  const where = (path: string): string => {
    const keys = path.split('.');
    return layer.origins.value.has(pointer(keys)) ? describeOrigin(originOf(layer.origins, keys)) : 'default';
  };
  return { config, source: { files, set: [...set], where } };
}

/** Without a pretrained folder to bring a scheduler, the schema's default one is written out. */
function fillScheduler(tree: Tree): void {
  const model = tree.model as Tree | undefined;
  const diffusion = tree.diffusion ?? {};
  if (model?.pretrained !== undefined || typeof diffusion !== 'object' || Array.isArray(diffusion)) return;
  tree.diffusion = diffusion;
  (diffusion as Tree).scheduler ??= {};
}

/** sr2 trains on the lower nine tenths of the timesteps unless told otherwise. */
function fillTimesteps(tree: Tree): void {
  const isTree = (value: unknown): value is Tree =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (tree.stage !== 'sr2') return;
  const diffusion = tree.diffusion ?? {};
  if (!isTree(diffusion)) return;
  const timesteps = diffusion.timesteps ?? {};
  if (!isTree(timesteps)) return;
  const scheduler = isTree(diffusion.scheduler) ? diffusion.scheduler : {};
  const total = Number(scheduler.num_train_timesteps ?? DEFAULT_TRAIN_TIMESTEPS);
  if (total >= 2) timesteps.max ??= Math.floor(EXPERT_SHARE * total);
  tree.diffusion = { ...diffusion, timesteps };
}

/** A deep copy in which keys set to undefined are left out, as JavaScript callers expect. */
function withoutUndefined(value: ConfigInput): Tree {
  const copy = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(copy);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(
      Object.entries(node)
        .filter(([, child]) => child !== undefined)
        .map(([key, child]) => [key, copy(child)]),
    );
  };
  return copy(value) as Tree;
}

/** A complete config as YAML; `loadConfig` of that text gives the same config again. This is a run's `config.yaml`. */
export function stringifyConfig(config: Config, comment?: string): string {
  const head = comment ? comment.split('\n').map(line => `# ${line}\n`) : [];
  return head.join('') + stringify(config, { lineWidth: 0, aliasDuplicateObjects: false });
}
