import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { encode } from './ffmpeg.js';
import { mapLimit } from './limit.js';
import { PURPOSE, permutation } from './random.js';
import { type ClipSize, describeClip, RADIUS_LIMITS, renderClip } from './shapes-render.js';
import { splitCombinations } from './shapes-split.js';
import {
  COLOUR_NAMES,
  type Colour,
  type Combination,
  captionOf,
  checkNames,
  combinations,
  DIRECTION_NAMES,
  MOTION_NAMES,
  type Motion,
  SHAPES,
  type Shape,
} from './shapes-vocabulary.js';

export interface ShapesOptions {
  /** Clips in all, spread evenly over the combinations, held-out ones too. */
  clips: number;
  /** Default 0. */
  seed?: number;
  /** Pixels, even, at least 16; default 16. */
  width?: number;
  height?: number;
  /** Default 8, at least 4. */
  frames?: number;
  /** Default 8. */
  fps?: number;
  /** Combinations that training never sees; default 8, or as many as leave every pair of them in training. */
  holdOut?: number;
  /** Default red, green, blue, yellow. */
  colours?: readonly string[];
  /** Default square, circle. */
  shapes?: readonly string[];
  /** Default left, right, up, down; also loop, zigzag. */
  directions?: readonly string[];
  /** Least and most half extent of a shape as a share of the shorter side; default 0.13 to 0.22. */
  radius?: readonly [number, number];
  /** ffmpeg children at a time; default: cores. */
  workers?: number;
  /** Replace another dataset in the folder. */
  force?: boolean;
  onProgress?: (done: number, total: number) => void;
}

/** What makes a dataset what it is; written to `split.json`. */
export interface ShapesRecipe extends ClipSize {
  clips: number;
  seed: number;
  fps: number;
  holdOut: number;
  colours: Colour[];
  shapes: Shape[];
  directions: Motion[];
  /** Only where it is not the default. */
  radius?: [number, number];
}

export interface ShapesDataset {
  folder: string;
  recipe: ShapesRecipe;
  train: { folder: string; clips: number; combinations: Combination[] };
  heldout: { folder: string; clips: number; combinations: Combination[] };
  /** The folder held this very dataset already. */
  reused: boolean;
}

type Part = 'train' | 'heldout';

const OURS = /[/\\](\d+-[a-z]+-[a-z]+-[a-z]+\.mp4|metadata\.jsonl)(\.partial-\d+)?$/;

/** x264 quality: colours of a clip of a few pixels must survive. */
const CRF = 8;

function makeRecipe(options: ShapesOptions): ShapesRecipe {
  const { clips, seed = 0, width = 16, height = width, frames = 8, fps = 8 } = options;
  const integers: [string, number, number][] = [
    ['clips', clips, 1],
    ['seed', seed, 0],
    ['width', width, 16],
    ['height', height, 16],
    ['frames', frames, 4],
  ];
  for (const [name, value, least] of integers) {
    const even = name === 'width' || name === 'height';
    if (!Number.isSafeInteger(value) || value < least || (even && value % 2 !== 0)) {
      const kind = even ? 'an even integer (H.264 needs it)' : 'an integer';
      throw new InputError(`shapes: ${name} must be ${kind} from ${least}, got ${value}`, {
        code: 'shapes.option',
        name,
        value,
      });
    }
  }
  if (!(fps > 0) || !Number.isFinite(fps)) {
    throw new InputError(`shapes: fps must be a positive number, got ${fps}`, {
      code: 'shapes.option',
      name: 'fps',
      value: fps,
    });
  }
  const colours = checkNames('colour', options.colours ?? COLOUR_NAMES.slice(0, 4), COLOUR_NAMES);
  const shapes = checkNames('shape', options.shapes ?? SHAPES.slice(0, 2), SHAPES);
  const directions = checkNames('direction', options.directions ?? DIRECTION_NAMES, MOTION_NAMES);
  const split = splitCombinations(combinations(colours, shapes, directions), options.holdOut, seed);
  const holdOut = split.heldout.length;
  const recipe = { clips, seed, width, height, frames, fps, holdOut, colours, shapes, directions };
  return options.radius ? { ...recipe, radius: checkRadius(options.radius) } : recipe;
}

function checkRadius([least, most]: readonly [number, number]): [number, number] {
  const [low, high] = RADIUS_LIMITS;
  if (!(least >= low && least <= most && most <= high)) {
    throw new InputError(
      `shapes: radius must be two shares of the frame's shorter side, least and most, from ${low} to ${high}, got ${least},${most}`,
      { code: 'shapes.option', name: 'radius', value: [least, most] },
    );
  }
  return [least, most];
}

interface PlannedClip {
  index: number;
  part: Part;
  combination: Combination;
  name: string;
}

function planClips(recipe: ShapesRecipe): { plan: PlannedClip[]; split: Record<Part, Combination[]> } {
  const all = combinations(recipe.colours, recipe.shapes, recipe.directions);
  const split = splitCombinations(all, recipe.holdOut, recipe.seed);
  const digits = Math.max(5, String(recipe.clips - 1).length);
  // Training's combinations come first, so that few clips are enough to train on.
  const turns = (['train', 'heldout'] as const).flatMap((part, i) =>
    [...permutation(split[part].length, recipe.seed, PURPOSE.split, i + 1)].map(at => ({
      part,
      combination: split[part][at]!,
    })),
  );
  const plan = Array.from({ length: recipe.clips }, (_, index): PlannedClip => {
    const { part, combination } = turns[index % turns.length]!;
    const { colour, shape, direction } = combination;
    const name = `${String(index).padStart(digits, '0')}-${colour}-${shape}-${direction}.mp4`;
    return { index, part, combination, name };
  });
  return { plan, split };
}

/** The recipe in a folder's `split.json`; undefined where there is none. */
async function readRecipe(folder: string): Promise<unknown> {
  const text = await readFile(join(folder, 'split.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as { recipe?: unknown }).recipe ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

/** Files that an interrupted run of ours cannot have left. */
async function foreignFiles(folder: string): Promise<string[]> {
  const list = (path: string): Promise<string[]> => readdir(path).catch(() => []);
  const parts = ['train', 'heldout'];
  const inside = await Promise.all(
    parts.map(async part => (await list(join(folder, part))).map(name => join(part, name))),
  );
  const outside = (await list(folder)).filter(name => !parts.includes(name) && name !== 'split.json');
  return [...outside, ...inside.flat().filter(name => !OURS.test(name))];
}

/** Whether the folder holds this dataset already; makes room where it holds another one and `force` is set. */
async function prepareFolder(folder: string, recipe: ShapesRecipe, force: boolean): Promise<boolean> {
  const there = await readRecipe(folder);
  if (there !== undefined && JSON.stringify(there) === JSON.stringify(recipe) && !force) return true;
  const others = await foreignFiles(folder);
  if (!force && (there !== undefined || others.length > 0)) {
    const what =
      there === undefined ? `files that are not ours (${others[0]} …)` : 'a shapes dataset of another recipe';
    throw new InputError(
      `${folder} holds ${what}; choose an empty folder, or --force to replace train/ and heldout/ in it`,
      {
        code: 'shapes.folder',
        folder,
      },
    );
  }
  // Without split.json a folder is no finished dataset, so an interrupted run is simply run again.
  await rm(join(folder, 'split.json'), { force: true });
  for (const part of ['train', 'heldout']) await rm(join(folder, part), { recursive: true, force: true });
  return false;
}

async function writeAtomically(path: string, text: string): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  await writeFile(partial, text);
  await rename(partial, path);
}

/**
 * Writes a dataset of captioned mp4 clips: `OUT/train/`, `OUT/heldout/` (combinations of colour, shape and direction that
 * training never shows, though it shows each of their pairs), each with `metadata.jsonl`, and `OUT/split.json`. The clips follow
 * from the options alone. A folder that holds the same dataset is left as it is.
 * @throws InputError `shapes.option`, `shapes.name`, `shapes.hold-out`, `shapes.folder`
 */
export async function writeShapes(out: string, options: ShapesOptions): Promise<ShapesDataset> {
  const folder = resolve(out);
  const recipe = makeRecipe(options);
  const { plan, split } = planClips(recipe);
  const describePart = (part: Part): ShapesDataset[Part] => ({
    folder: join(folder, part),
    clips: plan.filter(clip => clip.part === part).length,
    combinations: split[part],
  });
  const dataset = { folder, recipe, train: describePart('train'), heldout: describePart('heldout') };
  if (await prepareFolder(folder, recipe, options.force ?? false)) return { ...dataset, reused: true };

  for (const part of ['train', 'heldout'] as const) await mkdir(join(folder, part), { recursive: true });
  const { width, height, frames, fps } = recipe;
  let done = 0;
  const rows = await mapLimit(
    plan,
    options.workers ?? availableParallelism(),
    async ({ index, part, combination, name }) => {
      const clip = describeClip(combination, recipe, recipe.seed, index);
      await encode(join(folder, part, name), renderClip(clip), { fps, crf: CRF });
      options.onProgress?.(++done, plan.length);
      const { radius, travel, background } = clip;
      const facts = {
        width,
        height,
        fps,
        frames,
        radius: round(radius),
        travel: round(travel),
        background: background.kind,
      };
      return { part, row: { path: name, caption: captionOf(combination), ...combination, ...facts, codec: 'h264' } };
    },
  );
  for (const part of ['train', 'heldout'] as const) {
    const lines = rows.filter(row => row.part === part).map(({ row }) => `${JSON.stringify(row)}\n`);
    await writeAtomically(join(folder, part, 'metadata.jsonl'), lines.join(''));
  }
  const parts = { train: split.train.map(captionOf), heldout: split.heldout.map(captionOf) };
  await writeAtomically(join(folder, 'split.json'), `${JSON.stringify({ recipe, ...parts }, null, 2)}\n`);
  return { ...dataset, reused: false };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
