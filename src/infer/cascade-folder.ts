/**
 * Finds the stages of a cascade: a folder with one subfolder a stage (names of ours or of the released repositories), a
 * single pipeline or run, or one folder named for each stage.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../errors.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import { findModel, type ModelFolder } from './model-folder.js';
import { STAGES, type StageName } from './stage-names.js';

export interface CascadeFolder {
  /** The stages that were asked for. */
  stages: Map<StageName, ModelFolder>;
  /** UNet folder of an image super-resolution model for sr1's first frame (DeepFloyd IF-II), where there is one. */
  firstFrame?: ModelFolder;
}

/** Folder names of each part, without a prefix such as `show-1-` or `tiny-`. */
const NAMES: Record<StageName | 'firstFrame', readonly string[]> = {
  base: ['base'],
  interp: ['interp', 'interpolation'],
  sr1: ['sr1'],
  sr2: ['sr2'],
  firstFrame: ['first-frame', 'sr1-image', 'if-ii-l-v1.0', 'if-ii-m-v1.0', 'if-ii'],
};

type Part = keyof typeof NAMES;
const PARTS = Object.keys(NAMES) as Part[];

function isFolder(dir: string): boolean {
  try {
    return statSync(dir).isDirectory();
  } catch {
    return false; // missing, or below a file
  }
}
const isModel = (dir: string) =>
  ['config.yaml', 'state.json', 'unet/config.json'].some(file => existsSync(path.join(dir, file)));

/** A hub cache keeps a repository as `models--owner--name/snapshots/HASH`: the newest snapshot, else the folder itself. */
function snapshotOf(dir: string): string {
  const snapshots = path.join(dir, 'snapshots');
  if (!isFolder(snapshots)) return dir;
  const all = readdirSync(snapshots).map(name => path.join(snapshots, name));
  return all.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0] ?? dir;
}

/** 2 where the folder's name is exactly one of the part's, 1 where it ends so (`show-1-sr1`, `tiny-base`), else 0. */
function likeness(name: string, part: Part): number {
  const plain = name.toLowerCase().replaceAll('_', '-').replaceAll('--', '/').split('/').at(-1)!;
  const versionless = plain.replace(/-0\.\d+$/, ''); // show-1-base-0.0
  if (NAMES[part].includes(plain)) return 2;
  return NAMES[part].some(known => plain.endsWith(`-${known}`) || versionless.endsWith(`-${known}`)) ? 1 : 0;
}

/** The subfolder of `dir` that is the part. @throws InputError when several fit equally well */
function subfolder(dir: string, part: Part): string | undefined {
  const found = readdirSync(dir)
    .map(name => ({ name, rank: likeness(name, part) }))
    .filter(({ name, rank }) => rank > 0 && isModel(snapshotOf(path.join(dir, name))));
  const best = found.filter(({ rank }) => rank === Math.max(...found.map(one => one.rank)));
  if (best.length > 1) {
    throw new InputError(
      `--model ${dir}: ${best.map(one => one.name).join(' and ')} could both be the ${part} stage; say which: --model ${part}=${path.join(dir, best[0]!.name)}`,
      { code: 'infer.ambiguous-stage', stage: part, candidates: best.map(one => one.name) },
    );
  }
  return best[0] && snapshotOf(path.join(dir, best[0].name));
}

/** The stage that a single pipeline or run is: a run's config says it, else the channels of its UNet tell. */
function stageOf({ config, unet }: ModelFolder): StageName {
  if (config) return config.stage;
  const channels = readModelConfig(unet).in_channels ?? 4; // the classes' own default
  return ({ 7: 'interp', 6: 'sr1', 4: 'sr2' } as const)[channels as 7 | 6 | 4] ?? 'base';
}

/** Splits `STAGE=DIR`. */
function readOption(model: string): { part?: Part; dir: string } {
  const match = /^([\w-]+)=(.+)$/.exec(model);
  if (!match || existsSync(model)) return { dir: model };
  const part = PARTS.find(name => name === match[1] || NAMES[name].includes(match[1]!.toLowerCase()));
  if (part) return { part, dir: match[2]! };
  throw new InputError(`--model ${model}: "${match[1]}" is no stage; give DIR, or ${PARTS.join('=DIR, ')}=DIR`, {
    code: 'infer.stage-name',
    model,
  });
}

/**
 * @param models `DIR` (a cascade folder, a pipeline, a run, a checkpoint) or `STAGE=DIR`, which wins over the former
 * @param wanted stages to be found
 * @throws InputError naming each stage that is missing and what was looked for
 */
export async function findCascade(
  models: readonly string[],
  wanted: readonly StageName[],
  weights: 'ema' | 'raw' = 'ema',
): Promise<CascadeFolder> {
  const folders = new Map<Part, string>();
  const looked: string[] = [];
  const options = models.map(readOption);
  const named = new Map(options.flatMap(({ part, dir }) => (part ? [[part, snapshotOf(dir)] as const] : [])));
  for (const { part, dir } of options) {
    if (part) continue;
    if (!isFolder(dir))
      throw new InputError(`--model ${dir}: there is no such folder`, { code: 'infer.no-model', dir });
    const whole = snapshotOf(dir);
    if (isModel(whole)) {
      folders.set(stageOf(await findModel(whole, weights)), whole);
      continue;
    }
    looked.push(dir);
    for (const name of PARTS) {
      if (named.has(name) || (name !== 'firstFrame' && !wanted.includes(name))) continue;
      const found = subfolder(dir, name);
      if (found) folders.set(name, found);
    }
  }
  for (const [part, dir] of named) folders.set(part, dir);
  const missing = wanted.filter(stage => !folders.has(stage));
  if (missing.length > 0) throw missingStages(models, missing, looked, [...folders.keys()]);
  const stages = new Map<StageName, ModelFolder>();
  for (const stage of wanted) stages.set(stage, await findModel(folders.get(stage)!, weights));
  const firstFrame = folders.get('firstFrame');
  return { stages, firstFrame: firstFrame === undefined ? undefined : await findModel(firstFrame, weights) };
}

function missingStages(
  models: readonly string[],
  missing: readonly StageName[],
  looked: readonly string[],
  found: readonly Part[],
): InputError {
  const names = missing.map(
    stage => `${stage} (a folder named ${NAMES[stage].join(' or ')}, or ending so, as show-1-${NAMES[stage].at(-1)})`,
  );
  const where = looked.length > 0 ? `looked in ${looked.join(', ')}; ` : '';
  const there = found.length > 0 ? `found ${found.join(', ')}` : 'found no stage';
  return new InputError(
    `--model ${models.join(' ')} lacks ${names.join(' and ')}: ${where}${there}. ` +
      `Each needs a run, or a diffusers pipeline with unet/config.json. Name a folder with --model ${missing[0]}=DIR, or ask for fewer with --stages ${STAGES.filter(stage => found.includes(stage)).join(',') || 'base'}.`,
    { code: 'infer.missing-stage', missing, found },
  );
}
