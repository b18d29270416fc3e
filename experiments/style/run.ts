/**
 * Does a model learn a look from a few clips, and keep what it shows?
 *   npx tsx experiments/style/run.ts --base runs/tiny-base --data data/shapes [--samples 16] [--out DIR]
 * Fine-tunes the base on clips of red shapes on lined paper, samples other colours before and after, and writes
 * OUT/result.json and OUT/style.png.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { decode, encode } from '../../src/data/ffmpeg.js';
import type { Frames } from '../../src/data/frames.js';
import { describeClip } from '../../src/data/shapes-render.js';
import { type Colour, captionOf, DIRECTION_NAMES, type Shape } from '../../src/data/shapes-vocabulary.js';
import { InputError } from '../../src/errors.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { contactSheet } from '../../src/infer/video.js';
import { finetune } from '../../src/train/finetune/index.js';
import { changedTensors } from '../motion/frozen.js';
import { measureVideo } from '../prompt-following/check-video.js';
import { measureShape } from '../prompt-following/shape-of.js';
import { drawOnPaper, measureLook } from './paper.js';

export interface StyleOptions {
  base: string;
  /** A dataset of `show1 data shapes`, the base's own. */
  data: string;
  out: string;
  samples?: number;
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

/** Shares of the samples, 0 … 1. */
export interface StyleScore {
  samples: number;
  onPaper: number;
  colour: number;
  shape: number;
}

export interface StyleResult {
  steps: number;
  seconds: number;
  trainableShare: number;
  deltaBytes: number;
  changedOutsideMask: number;
  before: StyleScore;
  after: StyleScore;
}

const CLIP_SEED = 23;
const SEED = 700;
const SUFFIX = ', on lined paper';

export async function runStyle(options: StyleOptions): Promise<StyleResult> {
  const { base, data, out, samples = 16, set, print = () => {} } = options;
  const { recipe } = JSON.parse(await readFile(path.join(data, 'split.json'), 'utf8')) as { recipe: Recipe };
  await mkdir(out, { recursive: true });
  const [first, ...others] = recipe.colours;
  const clips = await Promise.all(
    recipe.shapes.flatMap(shape =>
      DIRECTION_NAMES.map(async (direction, i) => {
        const combination = { colour: first!, shape, direction };
        const file = path.join(out, `clip-${shape}-${direction}.mp4`);
        await encode(file, drawOnPaper(describeClip(combination, recipe, CLIP_SEED, i)), { fps: recipe.fps, crf: 8 });
        return { file, prompt: captionOf(combination) + SUFFIX };
      }),
    ),
  );
  const prompts = Array.from({ length: samples }, (_, i) => {
    const [colour, shape] = [others[i % others.length]!, recipe.shapes[i % recipe.shapes.length]!];
    return captionOf({ colour, shape, direction: DIRECTION_NAMES[i % 4]! }) + SUFFIX;
  });
  const size = { width: recipe.width, height: recipe.height };
  const sample = async (dir: string, delta?: string): Promise<Frames[]> => {
    await rm(dir, { recursive: true, force: true });
    const deltas = delta ? [delta] : [];
    const { samples: made } = await samplePrompts({
      ...{ model: base, prompts, out: dir, seed: SEED, batch: 8, deltas, print },
    });
    return Promise.all(made.map(one => decode(one.path, { size })));
  };
  const score = (videos: Frames[]): StyleScore => {
    const share = (right: (video: Frames, prompt: string) => boolean) =>
      videos.filter((video, i) => right(video, prompts[i]!)).length / videos.length;
    return {
      samples: videos.length,
      onPaper: share(video => measureLook(video).onPaper),
      colour: share((video, prompt) => prompt.includes(measureVideo(video).colour ?? 'none')),
      shape: share((video, prompt) => prompt.includes(measureShape(video, recipe.shapes, recipe.radius) ?? 'none')),
    };
  };
  const before = await sample(path.join(out, 'before'));
  const run = path.join(out, 'run');
  await rm(run, { recursive: true, force: true });
  const began = performance.now();
  const { steps } = await finetune(
    {
      ...{ mode: 'style', base, out: run, set },
      videos: clips.map(({ file }) => file),
      prompts: clips.map(({ prompt }) => prompt),
      tries: prompts.slice(0, 2),
    },
    { print },
  );
  const seconds = (performance.now() - began) / 1e3;
  const after = await sample(path.join(out, 'after'), run);
  const selection = JSON.parse(await readFile(path.join(run, 'trainable.json'), 'utf8'));
  const { changed, bytes } = await changedTensors(base, run, selection.names);
  const result: StyleResult = {
    ...{ steps, seconds, trainableShare: selection.trainable / selection.total, deltaBytes: bytes },
    changedOutsideMask: changed.length,
    before: score(before),
    after: score(after),
  };
  await writeFile(path.join(out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  const shown = await Promise.all(clips.slice(0, 2).map(({ file }) => decode(file, { size })));
  const pairs = before.slice(0, 6).flatMap((video, i) => [video, after[i]!]);
  await contactSheet(path.join(out, 'style.png'), [...shown, ...pairs], {
    captions: ['two of the clips', '', ...prompts.slice(0, 6).flatMap(prompt => [`${prompt}: before`, 'after'])],
    columns: 2,
  });
  return result;
}

async function main(): Promise<void> {
  const string = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { base: string, data: string, out: string, samples: string, set: { type: 'string', multiple: true } },
  });
  if (!values.base || !values.data) {
    throw new InputError('usage: run.ts --base RUN --data SHAPES [--samples 16] [--set KEY=VALUE] [--out DIR]', {
      code: 'style.usage',
    });
  }
  const result = await runStyle({
    base: values.base,
    data: values.data,
    out: values.out ?? path.join(path.dirname(values.base), 'style'),
    samples: values.samples === undefined ? undefined : Number(values.samples),
    set: values.set,
    print: line => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
