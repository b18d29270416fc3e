/**
 * Does each stage of the tiny cascade do better than what needs no network, and does the whole follow its prompts?
 *   npx tsx experiments/cascade/run.ts --models runs --data data/shapes-128 [--stages interp,sr1,chain,sr2,all] [--clips 16] [--prompts 8] [--out DIR]
 * `--models` holds tiny-base, tiny-interp, tiny-sr1 and tiny-sr2. Writes OUT/result.json and a picture for each stage.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { InputError } from '../../src/errors.js';
import { samplePrompts } from '../../src/infer/sample.js';
import { contactSheet } from '../../src/infer/video.js';
import { checkSamples, type Sample } from '../prompt-following/check.js';
import {
  measureChain,
  measureInterp,
  measureSr1,
  measureSr2,
  type Score,
  type Shown,
  type StageResult,
} from './stages.js';

export interface CascadeOptions {
  /** Folder of the runs. */
  models: string;
  /** A dataset of `show1 data shapes` of 29 frames at 32 a second. */
  data: string;
  out: string;
  stages?: string[];
  /** Held-out clips for each stage. */
  clips?: number;
  /** Prompts of the whole cascade, half of them held out. */
  prompts?: number;
  print?: (line: string) => void;
}

export interface WholeCascade {
  /** Share of the prompts whose final video shows colour, direction, both. */
  n: number;
  colour: number;
  direction: number;
  both: number;
  secondsPerVideo: number;
  size: { frames: number; width: number; height: number };
}

export interface CascadeResult {
  stages: StageResult[];
  whole?: WholeCascade;
}

const ALL = ['interp', 'sr1', 'chain', 'sr2', 'all'];
/** Clips shown in a picture. */
const SHOWN = 3;

async function picture(file: string, shown: Shown[], baseline: string): Promise<void> {
  const chosen = shown.slice(0, SHOWN);
  const rows = chosen.flatMap(clip => [clip.baseline, clip.sample, clip.truth]);
  const captions = chosen.flatMap(({ caption }) => [`${caption}: ${baseline}`, 'show1', 'truth']);
  await contactSheet(file, rows, { captions, columns: 3, framesPerVideo: 5 });
}

/** Measures the stages asked for; keeps the figures of others that `out/result.json` holds already. */
export async function runCascade(options: CascadeOptions): Promise<CascadeResult> {
  const { models, data, out, stages = ALL, clips = 16, prompts = 8, print = () => {} } = options;
  await mkdir(out, { recursive: true });
  const file = path.join(out, 'result.json');
  const earlier = await readFile(file, 'utf8').catch(() => undefined);
  const result: CascadeResult = earlier ? (JSON.parse(earlier) as CascadeResult) : { stages: [] };
  const save = () => writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  const request = (stage: string) => ({
    model: path.join(models, `tiny-${stage}`),
    data: path.join(data, 'heldout'),
    clips,
    onProgress: (done: number, total: number) => print(`${stage}: clip ${done} of ${total}`),
  });
  const measurements = {
    interp: [() => measureInterp(request('interp'), 1), () => measureInterp(request('interp'), 2)],
    sr1: [() => measureSr1(request('sr1'))],
    chain: [() => measureChain(request('sr1'), path.join(models, 'tiny-interp'))],
    sr2: [() => measureSr2(request('sr2'))],
  };
  for (const stage of ['interp', 'sr1', 'chain', 'sr2'] as const) {
    if (!stages.includes(stage)) continue;
    const name = stage === 'chain' ? 'interp+sr1' : stage;
    result.stages = result.stages.filter(one => one.stage !== name);
    for (const [i, run] of measurements[stage].entries()) {
      const { result: one, shown } = await run();
      result.stages.push(one);
      await picture(path.join(out, `${stage}${i === 0 ? '' : `-${i + 1}`}.png`), shown, one.baseline.name);
    }
    await save();
  }
  if (stages.includes('all')) {
    result.whole = await sampleWhole(options, prompts);
    await save();
  }
  return result;
}

/** `count` entries spread evenly over a list. */
const spread = (list: string[], count: number): string[] =>
  Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count) % list.length]!);

/** Prompts through all four stages; half of them combinations that no stage was trained on. */
async function sampleWhole({ models, data, out, print }: CascadeOptions, count: number): Promise<WholeCascade> {
  const split = JSON.parse(await readFile(path.join(data, 'split.json'), 'utf8')) as Record<string, string[]>;
  const half = Math.floor(count / 2);
  const chosen: Omit<Sample, 'path'>[] = [
    ...spread(split.train!, count - half).map(prompt => ({ prompt, heldOut: false })),
    ...spread(split.heldout!, half).map(prompt => ({ prompt, heldOut: true })),
  ];
  const dir = path.join(out, 'samples');
  const { samples, secondsPerVideo, settings } = await samplePrompts({
    model: ['base', 'interp', 'sr1', 'sr2'].map(stage => `${stage}=${path.join(models, `tiny-${stage}`)}`),
    stages: ['base', 'interp', 'sr1', 'sr2'],
    prompts: chosen.map(({ prompt }) => prompt),
    out: dir,
    seed: 1000,
    print,
  });
  const list = chosen.map((entry, i) => ({ ...entry, path: path.basename(samples[i]!.path) }));
  await writeFile(path.join(dir, 'samples.json'), `${JSON.stringify(list, null, 2)}\n`);
  const { n, colour, direction, both } = await checkSamples(dir);
  const { frames, width, height } = settings;
  return { n, colour, direction, both, secondsPerVideo, size: { frames, width, height } };
}

/** The figures as a table. */
export function formatCascade({ stages, whole }: CascadeResult): string {
  const line = (name: string, { psnr, sharpness, colour, colourError, direction }: Score) =>
    `  ${name.padEnd(9)} PSNR ${psnr.toFixed(2)} dB, sharpness ${sharpness.toFixed(2)}, colour right ${percent(colour)}, colour error ${colourError.toFixed(1)}` +
    (direction === undefined ? '' : `, direction right ${percent(direction)}`);
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const lines = stages.flatMap(one => [
    `${one.stage}: ${one.what}, ${one.clips} held-out clips of ${one.frames} frames (${one.model})`,
    line('show1', one.ours),
    line(one.baseline.name, one.baseline),
  ]);
  if (whole) {
    const { frames, width, height } = whole.size;
    lines.push(
      `whole cascade, ${whole.n} prompts, ${frames}×${width}×${height}: colour ${percent(whole.colour)}, direction ${percent(whole.direction)}, both ${percent(whole.both)}; ${whole.secondsPerVideo.toFixed(1)} s a video`,
    );
  }
  return lines.join('\n');
}

async function main(): Promise<void> {
  const string = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { models: string, data: string, stages: string, clips: string, prompts: string, out: string },
  });
  if (!values.models || !values.data) {
    throw new InputError(
      'usage: run.ts --models RUNS --data SHAPES [--stages interp,sr1,chain,sr2,all] [--clips 16] [--prompts 8] [--out DIR]',
      {
        code: 'cascade.usage',
      },
    );
  }
  const result = await runCascade({
    models: values.models,
    data: values.data,
    out: values.out ?? path.join(values.models, 'cascade'),
    stages: values.stages?.split(','),
    clips: Number(values.clips ?? 16),
    prompts: Number(values.prompts ?? 8),
    print: line => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${formatCascade(result)}\n`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error: Error & { exitCode?: number }) => {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = error.exitCode ?? 1;
  });
}
