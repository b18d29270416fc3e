/**
 * Does a model learn a motion from one clip, and keep the rest?
 *   npx tsx experiments/motion/run.ts --base runs/tiny-base --data data/shapes [--motions loop,zigzag] [--samples 16] [--full] [--out DIR]
 * Fine-tunes the base on one clip of each motion (one red square), samples other colours and shapes before and after, and writes
 * OUT/result.json and a picture of each. `--full` trains all weights beside it, with the same clips and steps.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { decode, encode } from '../../src/data/ffmpeg.js';
import type { Frames } from '../../src/data/frames.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { type Colour, type Curve, captionOf, type Shape } from '../../src/data/shapes-vocabulary.js';
import { InputError } from '../../src/errors.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { contactSheet } from '../../src/infer/video.js';
import { finetune } from '../../src/train/finetune/index.js';
import { measureVideo } from '../prompt-following/check-video.js';
import { measureShape } from '../prompt-following/shape-of.js';
import { changedTensors } from './frozen.js';
import { matchPath, measurePath, type Path } from './path.js';

/** Shares of the samples, 0 … 1. */
export interface Score {
  samples: number;
  follows: number;
  colour: number;
  shape: number;
  /** Colour and shape. */
  kept: number;
}

export interface MotionResult {
  motion: Curve;
  clip: string;
  trains: 'temporal-attention' | 'all';
  steps: number;
  /** Prior videos, training and samples during it. */
  seconds: number;
  secondsPerStep: number;
  peakMemoryMiB: number;
  trainableShare: number;
  deltaBytes: number;
  /** Tensors outside the mask that are not byte for byte the base's. */
  changedOutsideMask: number;
  before: Score;
  after: Score;
  /** Prompts of motions that the base knows: what fine-tuning forgot. */
  known: { before: Known; after: Known };
}

export interface Known {
  samples: number;
  colour: number;
  direction: number;
}

export interface MotionOptions {
  base: string;
  /** A dataset of `show1 data shapes`, the base's own: its colours, shapes and size. */
  data: string;
  out: string;
  motions?: readonly Curve[];
  samples?: number;
  full?: boolean;
  /** Changes of the training config. */
  set?: readonly string[];
  print?: (line: string) => void;
}

interface Recipe {
  width: number;
  height: number;
  frames: number;
  fps: number;
  colours: Colour[];
  shapes: Shape[];
  radius?: [number, number];
}

const CLIP_SEED = 17;
const SEED = 500;

/** The one clip: the first colour and shape of the dataset. */
async function writeClip(file: string, motion: Curve, recipe: Recipe): Promise<{ caption: string; path: Path }> {
  const combination = { colour: recipe.colours[0]!, shape: recipe.shapes[0]!, direction: motion };
  const video = renderClip(describeClip(combination, recipe, CLIP_SEED, 0));
  await encode(file, video, { fps: recipe.fps, crf: 8 });
  return { caption: captionOf(combination), path: measurePath(video) };
}

async function readSamples(dir: string, recipe: Recipe): Promise<{ prompt: string; video: Frames }[]> {
  const list = JSON.parse(await readFile(path.join(dir, 'samples.json'), 'utf8')) as { prompt: string; path: string }[];
  const size = { width: recipe.width, height: recipe.height };
  return Promise.all(
    list.map(async ({ prompt, path: name }) => ({ prompt, video: await decode(path.join(dir, name), { size }) })),
  );
}

/** What each prompt names. */
const wordsOf = (prompt: string, { colours, shapes }: Recipe) => ({
  colour: colours.find(colour => prompt.includes(colour)),
  shape: shapes.find(shape => prompt.includes(shape)),
});

async function scoreMotion(dir: string, reference: Path, recipe: Recipe): Promise<Score> {
  const checks = (await readSamples(dir, recipe)).map(({ prompt, video }) => {
    const wanted = wordsOf(prompt, recipe);
    return {
      follows: matchPath(measurePath(video), reference).follows,
      colour: measureVideo(video).colour === wanted.colour,
      shape: measureShape(video, recipe.shapes, recipe.radius) === wanted.shape,
    };
  });
  const share = (right: (one: (typeof checks)[0]) => boolean) => checks.filter(right).length / checks.length;
  return {
    samples: checks.length,
    follows: share(one => one.follows),
    colour: share(one => one.colour),
    shape: share(one => one.shape),
    kept: share(one => one.colour && one.shape),
  };
}

async function scoreKnown(dir: string, recipe: Recipe): Promise<Known> {
  const checks = (await readSamples(dir, recipe)).map(({ prompt, video }) => {
    const { colour, direction } = measureVideo(video);
    return {
      colour: colour === wordsOf(prompt, recipe).colour,
      direction: direction !== undefined && prompt.endsWith(direction),
    };
  });
  const share = (key: 'colour' | 'direction') => checks.filter(one => one[key]).length / checks.length;
  return { samples: checks.length, colour: share('colour'), direction: share('direction') };
}

export async function runMotion(options: MotionOptions): Promise<MotionResult[]> {
  const { base, data, out, motions = ['loop', 'zigzag'], samples = 16, full = false, print = () => {} } = options;
  const split = JSON.parse(await readFile(path.join(data, 'split.json'), 'utf8')) as { recipe: Recipe };
  const { recipe } = split;
  await mkdir(out, { recursive: true });
  const others = recipe.colours.flatMap(colour => recipe.shapes.map(shape => ({ colour, shape }))).slice(1); // the clip shows the first
  const prompts = (direction: Curve) =>
    Array.from({ length: samples }, (_, i) => captionOf({ ...others[i % others.length]!, direction }));
  const known = Array.from({ length: samples }, (_, i) =>
    captionOf({ ...others[i % others.length]!, direction: (['left', 'right', 'up', 'down'] as const)[i % 4]! }),
  );
  const sample = async (dir: string, list: string[], delta?: string) => {
    await rm(dir, { recursive: true, force: true });
    await samplePrompts({
      model: base,
      prompts: list,
      out: dir,
      seed: SEED,
      batch: 8,
      deltas: delta ? [delta] : [],
      print,
    });
    return dir;
  };
  const knownBefore = await scoreKnown(await sample(path.join(out, 'known-before'), known), recipe);
  const results: MotionResult[] = [];
  for (const motion of motions) {
    const clip = path.join(out, `${motion}.mp4`);
    const { caption, path: reference } = await writeClip(clip, motion, recipe);
    const before = path.join(out, `${motion}-before`);
    const scoreBefore = await scoreMotion(await sample(before, prompts(motion)), reference, recipe);
    for (const trains of full ? (['temporal-attention', 'all'] as const) : (['temporal-attention'] as const)) {
      const run = path.join(out, `${motion}-${trains}`);
      await rm(run, { recursive: true, force: true });
      const began = performance.now();
      const summary = await finetune(
        {
          mode: 'motion',
          base,
          videos: [clip],
          prompts: [caption],
          tries: prompts(motion).slice(0, 2),
          out: run,
          preset: trains,
          set: options.set,
        },
        { print },
      );
      const seconds = (performance.now() - began) / 1e3;
      const selection = JSON.parse(await readFile(path.join(run, 'trainable.json'), 'utf8'));
      const delta = trains === 'all' ? undefined : run;
      const model = trains === 'all' ? { model: run } : {};
      const after = path.join(out, `${motion}-${trains}-samples`);
      const request = { model: base, ...model, seed: SEED, batch: 8, deltas: delta ? [delta] : [], print };
      for (const [dir, list] of [
        [after, prompts(motion)],
        [`${after}-known`, known],
      ] as const) {
        await rm(dir, { recursive: true, force: true });
        await samplePrompts({ ...request, prompts: [...list], out: dir });
      }
      const { changed, bytes } = await changedTensors(base, run, selection.names);
      results.push({
        motion,
        clip: caption,
        trains,
        steps: summary.steps,
        seconds,
        secondsPerStep: summary.secondsPerStep,
        peakMemoryMiB: summary.peakMemoryMiB,
        trainableShare: selection.trainable / selection.total,
        deltaBytes: bytes,
        changedOutsideMask: changed.length,
        before: scoreBefore,
        after: await scoreMotion(after, reference, recipe),
        known: { before: knownBefore, after: await scoreKnown(`${after}-known`, recipe) },
      });
      await picture(path.join(out, `${motion}-${trains}.png`), clip, before, after, recipe);
      await writeFile(path.join(out, 'result.json'), `${JSON.stringify(results, null, 2)}\n`);
    }
  }
  return results;
}

/** The clip, then samples before and after, side by side. */
async function picture(file: string, clip: string, before: string, after: string, recipe: Recipe): Promise<void> {
  const size = { width: recipe.width, height: recipe.height };
  const [old, tuned] = [await readSamples(before, recipe), await readSamples(after, recipe)];
  const shown = [await decode(clip, { size })];
  const rows = old.slice(0, 6).flatMap(({ video }, i) => [video, tuned[i]!.video]);
  const captions = old.slice(0, 6).flatMap(({ prompt }) => [`${prompt}: before`, 'after']);
  await contactSheet(file, [...shown, ...shown, ...rows], {
    captions: ['the clip', 'the clip', ...captions],
    columns: 2,
  });
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

export function formatMotion(results: readonly MotionResult[]): string {
  const score = ({ follows, colour, shape, kept }: Score) =>
    `follows ${percent(follows)}, colour ${percent(colour)}, shape ${percent(shape)}, both ${percent(kept)}`;
  return results
    .flatMap(one => [
      `${one.motion}, ${one.trains}: ${one.steps} steps, ${one.seconds.toFixed(0)} s, ${one.secondsPerStep.toFixed(2)} s a step, ${one.peakMemoryMiB} MiB, ${percent(one.trainableShare)} of the parameters, delta ${(one.deltaBytes / 1e6).toFixed(1)} MB, ${one.changedOutsideMask} tensors changed outside the mask`,
      `  before: ${score(one.before)}`,
      `  after:  ${score(one.after)}`,
      `  motions it knew: colour ${percent(one.known.before.colour)} -> ${percent(one.known.after.colour)}, direction ${percent(one.known.before.direction)} -> ${percent(one.known.after.direction)}`,
    ])
    .join('\n');
}

async function main(): Promise<void> {
  const string = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ base: string, data: string, out: string, motions: string, samples: string },
      full: { type: 'boolean', default: false },
      set: { type: 'string', multiple: true },
    },
  });
  if (!values.base || !values.data) {
    throw new InputError(
      'usage: run.ts --base RUN --data SHAPES [--motions loop,zigzag] [--samples 16] [--full] [--set KEY=VALUE] [--out DIR]',
      { code: 'motion.usage' },
    );
  }
  const results = await runMotion({
    base: values.base,
    data: values.data,
    out: values.out ?? path.join(path.dirname(values.base), 'motion'),
    motions: values.motions?.split(',') as Curve[] | undefined,
    samples: values.samples === undefined ? undefined : Number(values.samples),
    full: values.full,
    set: values.set,
    print: line => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${formatMotion(results)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
