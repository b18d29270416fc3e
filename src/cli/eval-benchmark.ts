/** `show1 eval benchmark msrvtt|ucf101`: generates what papers generate, and scores it. */
import type { Argv } from 'yargs';
import { InputError } from '../errors.js';
import type { BenchmarkName } from '../eval/benchmark/index.js';
import { POSITIONS } from '../eval/clip-sampling.js';
import { METRICS, type MetricName, type NetworkKind } from '../eval/metrics.js';
import { describeResult, progressOf, sharedOptions } from './eval-shared.js';
import type { ArgsOf } from './options.js';
import { print, printJson } from './output.js';
import { perStage } from './sample.js';

const KINDS: readonly NetworkKind[] = ['i3d', 'c3d', 'inception-v3', 'clip'];
const SAMPLERS = ['ddim', 'ddpm', 'dpmsolver++'] as const;

export function benchmarkOptions(yargs: Argv) {
  return sharedOptions(yargs)
    .positional('set', { choices: ['msrvtt', 'ucf101'] as const, demandOption: true, describe: 'The dataset' })
    .option('model', {
      type: 'string',
      array: true,
      requiresArg: true,
      demandOption: true,
      describe: 'As for show1 sample: DIR, or STAGE=DIR',
    })
    .option('data', {
      type: 'string',
      requiresArg: true,
      demandOption: true,
      describe: 'The dataset’s folder (docs/data.md)',
    })
    .option('root', { type: 'string', describe: 'Folder of its videos, where they are somewhere else' })
    .option('out', {
      type: 'string',
      requiresArg: true,
      demandOption: true,
      describe: 'Folder for videos/, the figures and result.json',
    })
    .option('weights', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: `Networks: ${KINDS.map(kind => `${kind}=DIR`).join(', ')}; may be repeated`,
    })
    .option('metrics', { type: 'string', describe: 'msrvtt: fvd,fid-vid,clipsim; ucf101: fvd,is. Default all of them' })
    .option('captions', {
      choices: ['all', 'one'] as const,
      default: 'all' as const,
      describe: 'msrvtt, CLIPSIM: all 59,794 captions of the test videos, or one drawn for each of the 2,990',
    })
    .option('prompts', {
      type: 'string',
      default: 'sentences',
      describe: 'ucf101: sentences (configs/eval/ucf101_prompts.json), class-names, or a JSON file of your own',
    })
    .option('split', { type: 'string', describe: 'ucf101: part that the real videos are from; default train' })
    .option('seed', { type: 'number', default: 345, describe: 'Of the draws, and of the first video' })
    .option('limit', { type: 'number', describe: 'Only the first so many videos: a trial; recorded' })
    .option('stages', { type: 'string', default: 'base', describe: 'As for show1 sample' })
    .option('steps', { type: 'string', describe: 'As for show1 sample' })
    .option('guidance', { type: 'string', describe: 'As for show1 sample' })
    .option('sampler', { type: 'string', describe: 'As for show1 sample' })
    .option('precision', { choices: ['fp32', 'bf16'] as const, describe: 'Default: the run’s, else fp32' })
    .option('together', { type: 'number', default: 4, describe: 'Videos denoised together' })
    .option('chunk', { type: 'number', default: 32, describe: 'Videos that go through the stages together' })
    .option('clip', {
      choices: POSITIONS,
      describe: 'Where in the video both sets are cut; default central (fid-vid: uniform)',
    })
    .option('resolution', { type: 'string', describe: 'Of both sets; default msrvtt square:256, ucf101 none' });
}

type Args = ArgsOf<typeof benchmarkOptions>;

/** `i3d=DIR` … @throws InputError `eval.option` */
function networksOf(weights: readonly string[]): Partial<Record<NetworkKind, string>> {
  const networks: Partial<Record<NetworkKind, string>> = {};
  for (const one of weights.flatMap(text => text.split(','))) {
    const kind = KINDS.find(name => one.startsWith(`${name}=`));
    if (!kind) {
      throw new InputError(`--weights ${one}: allowed: ${KINDS.map(name => `${name}=DIR`).join(', ')}`, {
        code: 'eval.option',
        option: 'weights',
      });
    }
    networks[kind] = one.slice(kind.length + 1);
  }
  return networks;
}

function metricsOf(text: string | undefined): MetricName[] | undefined {
  return text?.split(',').map(word => {
    const metric = METRICS.find(name => name === word.trim());
    if (metric) return metric;
    throw new InputError(`--metrics ${text}: "${word}" is no metric; allowed: ${METRICS.join(', ')}`, {
      code: 'eval.option',
      option: 'metrics',
    });
  });
}

const number = (text: string) => (text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined);

export async function benchmark(args: Args): Promise<void> {
  const networks = networksOf(args.weights);
  const metrics = metricsOf(args.metrics);
  const { parseShard } = await import('../eval/request.js');
  const shard = args.shard === undefined ? undefined : parseShard(args.shard);
  const { readStages } = await import('../infer/stage-settings.js');
  const stages = readStages(
    args.stages.split(',').map(word => word.trim()),
    false,
  );
  const { runBenchmark } = await import('../eval/benchmark/index.js');
  const { interruptSignal } = await import('./interrupt.js');
  const interrupt = interruptSignal('keeping what is finished');
  const shown = progressOf(args.quiet ?? false);
  const sampler = (word: string) => SAMPLERS.find(name => name === word);
  try {
    const result = await runBenchmark({
      set: args.set as BenchmarkName,
      ...{ models: args.model, stages, data: args.data, root: args.root, out: args.out, networks, metrics, shard },
      ...{ seed: args.seed, limit: args.limit, captions: args.captions, prompts: args.prompts, split: args.split },
      steps: perStage('steps', args.steps, number, 'a number'),
      guidance: perStage('guidance', args.guidance, number, 'a number'),
      sampler: perStage('sampler', args.sampler, sampler, `a sampler; allowed: ${SAMPLERS.join(', ')}`),
      ...{ precision: args.precision, videosTogether: args.together, chunk: args.chunk },
      evaluation: {
        ...{ cache: args.cache, batch: args.batch, workers: args.workers, allowFew: args['allow-few'] },
        ...(args.clip ? { clip: args.clip } : {}),
        ...(args.resolution ? { resolution: args.resolution } : {}),
      },
      ...{ signal: interrupt.signal, print: shown.print, onProgress: shown.onProgress },
    });
    shown.stop();
    if (args.json) return printJson(result);
    print(`${result.videos} videos in ${args.out}, ${result.made} of them new`);
    for (const one of Object.values(result.metrics ?? {})) for (const line of describeResult(one)) print(line);
  } finally {
    shown.stop();
    interrupt.release();
  }
}
