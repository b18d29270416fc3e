/** `show1 eval fvd|fid-vid|is|clipsim`: figures with their protocols; `eval compare A B` says whether two figures compare. */
import type { Argv } from 'yargs';
import { InputError } from '../errors.js';
import { POSITIONS, type Position } from '../eval/clip-sampling.js';
import { DEFINITIONS, METRICS, type MetricName } from '../eval/metrics.js';
import type { EvaluateRequest } from '../eval/request.js';
import { perSide } from '../eval/set-options.js';
import { benchmark, benchmarkOptions } from './eval-benchmark.js';
import { compare, compareOptions } from './eval-compare.js';
import { checkOut, describeResult, progressOf, sharedOptions, writeResult } from './eval-shared.js';
import type { ArgsOf } from './options.js';
import { print, printJson } from './output.js';

export const command = 'eval';
export const describe = 'Measure videos: FVD, FID-vid, Inception score, CLIPSIM';

export function builder(yargs: Argv): Argv {
  let all: Argv = yargs;
  for (const metric of METRICS) {
    const what = { fvd: 'Fréchet video distance of two sets', 'fid-vid': 'Fréchet inception distance of their frames' };
    const described = {
      ...what,
      is: 'Video Inception score',
      clipsim: 'How well videos fit their prompts, and frames each other',
    };
    all = all.command(
      metric,
      described[metric],
      one => metricOptions(one, metric),
      args => measure(metric, args as never),
    );
  }
  return all
    .command('benchmark <set>', 'Generate and score as papers do: msrvtt or ucf101', benchmarkOptions, benchmark)
    .command('compare <a> <b>', 'In what the protocols of two results differ', compareOptions, compare)
    .demandCommand(1, `eval needs a command: ${METRICS.join(', ')}, benchmark or compare`);
}

/** Runs only when no subcommand was given, which `demandCommand` has refused already. */
export function handler(): void {}

function metricOptions(yargs: Argv, metric: MetricName) {
  const { sides, frames, position, preprocess, network, papers } = DEFINITIONS[metric];
  const two = sides.length === 2;
  const each = two ? ', or real=…,generated=…' : '';
  let options = sharedOptions(yargs)
    .option('real', {
      type: 'string',
      requiresArg: true,
      demandOption: two,
      hidden: !two,
      describe: 'Real videos: any source of docs/data.md',
    })
    .option('generated', {
      type: 'string',
      requiresArg: true,
      demandOption: true,
      describe: 'Videos to be measured: a folder of show1 sample, or any source of docs/data.md',
    })
    .option('weights', {
      type: 'string',
      requiresArg: true,
      demandOption: true,
      describe: `The ${network} network: a folder that show1 convert metrics wrote`,
    })
    .option('samples', {
      type: 'string',
      describe: `Videos taken, drawn by the seed${papers > 0 ? `; papers: ${papers}` : ''}; default all${each}`,
    })
    .option('seed', { type: 'number', default: 0, describe: 'Of the draw of videos and of random clips' })
    .option('frames', {
      type: 'string',
      describe: `Frames of a clip${metric === 'is' || metric === 'fvd' ? '' : ', or all'}; default ${frames}${each}`,
    })
    .option('clip', {
      type: 'string',
      describe: `Where in the video: ${POSITIONS.join(', ')}; default ${position}${each}`,
    })
    .option('stride', { type: 'string', describe: `Every how many-th frame; default 1${each}` })
    .option('fps', { type: 'string', describe: `Frames a second, or native; default native${each}` })
    .option('resolution', {
      type: 'string',
      describe: `Before the network's own resizing: none, square:N, short:N, centre-crop[:N], size:WxH, joined by +; default none${each}`,
    })
    .option('preprocess', {
      choices: preprocess,
      default: preprocess[0]!,
      describe: 'How frames become the input of the network',
    })
    .option('split', { type: 'string', describe: `Part of a dataset that has parts: train, test …${each}` })
    .option('root', { type: 'string', describe: `Folder of the videos that a table names${each}` })
    .option('merge', { type: 'boolean', default: false, describe: 'Score what shards have computed; compute nothing' });
  if (metric === 'is') {
    options = options
      .option('splits', { type: 'number', default: 10, describe: 'Parts of which the mean is reported' })
      .option('repeats', { type: 'number', default: 1, describe: 'How often the parts are drawn anew' }) as never;
  }
  if (metric === 'clipsim') {
    options = options.option('prompts', {
      type: 'string',
      describe:
        'Prompts in place of captions: a line a video in the order of the names, or a .json that names the videos',
    }) as never;
  }
  return options;
}

type Args = ArgsOf<(yargs: Argv) => ReturnType<typeof metricOptions>> & {
  splits?: number;
  repeats?: number;
  prompts?: string;
};

const numberOf = (word: string): number | undefined =>
  word !== '' && Number.isFinite(Number(word)) ? Number(word) : undefined;
const textOf = (word: string): string | undefined => (word === '' ? undefined : word);

function requestOf(metric: MetricName, args: Args): EvaluateRequest {
  const position = (word: string) => POSITIONS.find(name => name === word);
  return {
    metric,
    ...{ real: args.real, generated: args.generated, weights: args.weights, cache: args.cache },
    preprocess: args.preprocess,
    frames: perSide<number | 'all'>(
      'frames',
      args.frames,
      word => (word === 'all' ? 'all' : numberOf(word)),
      'a number, or all',
    ),
    stride: perSide('stride', args.stride, numberOf, 'a number'),
    fps: perSide<number | null>(
      'fps',
      args.fps,
      word => (word === 'native' ? null : numberOf(word)),
      'a number, or native',
    ),
    clip: perSide<Position>('clip', args.clip, position, `one of ${POSITIONS.join(', ')}`),
    resolution: perSide('resolution', args.resolution, textOf, 'a resolution'),
    samples: perSide('samples', args.samples, numberOf, 'a number'),
    split: perSide('split', args.split, textOf, 'a split'),
    root: perSide('root', args.root, textOf, 'a folder'),
    ...{ seed: args.seed, prompts: args.prompts, splits: args.splits, repeats: args.repeats },
    ...{ batch: args.batch, workers: args.workers, allowFew: args['allow-few'], merge: args.merge },
  };
}

async function measure(metric: MetricName, args: Args): Promise<void> {
  const { parseShard, readRequest } = await import('../eval/request.js');
  const shard = args.shard === undefined ? undefined : parseShard(args.shard);
  if (shard && args.merge) {
    throw new InputError('--shard computes a part, --merge scores what parts have computed: give one of them', {
      code: 'eval.option',
      option: 'merge',
    });
  }
  const request = requestOf(metric, args);
  readRequest(request); // before TensorFlow is loaded
  if (!shard) await checkOut(args.out);
  const { interruptSignal } = await import('./interrupt.js');
  const { evaluate, evaluateShard } = await import('../eval/evaluate.js');
  const interrupt = interruptSignal('keeping what is finished');
  const shown = progressOf(args.quiet ?? false);
  const full = { ...request, signal: interrupt.signal, onProgress: shown.onProgress, print: shown.print };
  try {
    if (shard) {
      const summary = await evaluateShard(full, shard);
      shown.stop();
      if (args.json) return printJson(summary);
      const videos = Object.entries(summary.videos).map(([side, count]) => `${count} ${side}`);
      return print(
        `shard ${summary.shard}: features of ${videos.join(' and ')} videos are there, ${summary.computed} of them new`,
      );
    }
    const result = await evaluate(full);
    shown.stop();
    await writeResult(args.out, result);
    if (args.json) return printJson(result);
    for (const line of describeResult(result)) print(line);
    if (args.out !== undefined) print(`  ${args.out}`);
  } finally {
    shown.stop();
    interrupt.release();
  }
}
