/** `show1 convert`: model folders into other ones, tensor by tensor. */
import type { Argv } from 'yargs';
import type { FloatName } from '../convert/tensors.js';
import { metrics, metricsOptions } from './convert-metrics.js';
import { interruptSignal } from './interrupt.js';
import { type ArgsOf, withJson } from './options.js';
import { formatBytes, formatCount, note, print, printJson } from './output.js';
import { withProgress } from './progress.js';

export const command = 'convert';
export const describe =
  'Convert model folders: inflate a 2D UNet, change float types and shards, export a run, read evaluation networks';

export function builder(yargs: Argv): Argv {
  return yargs
    .command('inflate <dir> <out>', 'Make a video UNet from an image UNet', inflateOptions, inflate)
    .command('dtype <dir> <out>', 'Change the float type or the file size of weights', dtypeOptions, dtype)
    .command('export <run> <out>', 'Write a training run as a diffusers pipeline', exportOptions, exportRun)
    .command('metrics <file> <out>', 'Make an evaluation network from a public checkpoint', metricsOptions, metrics)
    .demandCommand(1, 'convert needs a command: inflate, dtype, export or metrics');
}

/** Runs only when no subcommand was given, which `demandCommand` has refused already. */
export function handler(): void {}

/** Options of all that write model folders of ours. */
const withOutput = <T>(yargs: Argv<T>) =>
  withJson(yargs)
    .positional('out', { type: 'string', demandOption: true, describe: 'Folder to write; complete or absent' })
    .option('max-shard-size', {
      type: 'string',
      requiresArg: true,
      describe: 'Largest weight file, e.g. 2GB or 500MB; default 10GB',
    })
    .option('force', { type: 'boolean', default: false, describe: 'Replace a model that is in OUT' });

/** Which of a folder's weights are read. */
const withVariant = <T>(yargs: Argv<T>) =>
  yargs.option('from-variant', {
    type: 'string',
    requiresArg: true,
    describe: 'Read *.VARIANT.safetensors where both are there',
  });

const DTYPES: readonly FloatName[] = ['fp32', 'fp16', 'bf16'];

function inflateOptions(yargs: Argv) {
  return withVariant(withOutput(yargs))
    .positional('dir', {
      type: 'string',
      demandOption: true,
      describe: 'A UNet2DConditionModel folder, or a pipeline with one in unet/',
    })
    .option('seed', { type: 'number', default: 0, describe: 'Seed of the temporal layers’ first values' })
    .option('zero-temporal', {
      type: 'boolean',
      default: false,
      describe: 'Temporal attention starts as the identity: every frame is the image model’s',
    })
    .option('dtype', { choices: DTYPES, default: 'fp32' as FloatName, describe: 'Type of the weights written' })
    .example('$0 convert inflate IF-I-L-v1.0 base/unet --seed 1', '');
}

function dtypeOptions(yargs: Argv) {
  return withVariant(withOutput(yargs))
    .positional('dir', {
      type: 'string',
      demandOption: true,
      describe: 'A model, a pipeline, or a folder of pipelines',
    })
    .option('dtype', { choices: DTYPES, describe: 'Type of the floats written; default: as they are' })
    .option('variant', {
      type: 'string',
      requiresArg: true,
      describe: 'Name the files *.VARIANT.safetensors, e.g. fp16',
    })
    .example('$0 convert dtype show-1 show-1-fp16 --dtype fp16', 'a whole cascade')
    .example('$0 convert dtype unet unet-whole --max-shard-size 100GB', 'one file of many shards');
}

function exportOptions(yargs: Argv) {
  return withOutput(yargs)
    .positional('run', { type: 'string', demandOption: true, describe: 'A run folder, or one of its checkpoints' })
    .option('weights', {
      choices: ['ema', 'raw'] as const,
      default: 'ema' as const,
      describe: 'Averaged weights where the run has any, or the last ones',
    })
    .option('dtype', { choices: DTYPES, describe: 'Type of the floats written; default: as they are' })
    .option('text-encoder', {
      type: 'boolean',
      default: true,
      describe: 'Copy text_encoder/ and tokenizer/; --no-text-encoder leaves them out',
    })
    .example('$0 convert export runs/tiny-base tiny-base-pipeline', '');
}

/** What the conversions take from the options, once they have been read. */
async function common(args: { 'max-shard-size'?: string; force: boolean; dtype?: FloatName; 'from-variant'?: string }) {
  const { FLOAT_DTYPES } = await import('../convert/tensors.js');
  const { parseSize } = await import('../convert/size.js');
  const size = args['max-shard-size'];
  return {
    dtype: args.dtype ? FLOAT_DTYPES[args.dtype] : null,
    maxShardBytes: size === undefined ? undefined : parseSize(size, 'max-shard-size'),
    fromVariant: args['from-variant'],
    force: args.force,
  };
}

interface Running {
  signal: AbortSignal;
  onProgress(done: number, total: number, what: string): void;
}

const MIB = 2 ** 20;

/** Runs a conversion with a progress display in MiB that Ctrl-C stops. */
async function running<T>(
  label: string,
  quiet: boolean | undefined,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const interrupt = interruptSignal('removing what was written');
  try {
    return await withProgress(`${label}, MiB`, quiet ?? false, report =>
      work({
        signal: interrupt.signal,
        onProgress: (done, total, what) => report(Math.ceil(done / MIB), Math.ceil(total / MIB), what),
      }),
    );
  } finally {
    interrupt.release();
  }
}

async function inflate(args: ArgsOf<typeof inflateOptions>): Promise<void> {
  const { inflateFolder } = await import('../convert/inflate.js');
  const { dtype: type, ...options } = await common(args);
  const result = await running('inflating', args.quiet, ({ signal, onProgress }) =>
    inflateFolder(args.dir, args.out, {
      ...{ ...options, dtype: type ?? 'F32', seed: args.seed, zeroInitTemporal: args['zero-temporal'] },
      ...{ signal, onProgress },
    }),
  );
  if (args.json) return printJson(result);
  const { spatial, temporal } = result.parameters;
  print(
    `${result.out}: ${formatCount(spatial)} weights of the image model, ${formatCount(temporal)} new temporal ones, ${formatBytes(result.bytes)}`,
  );
}

async function dtype(args: ArgsOf<typeof dtypeOptions>): Promise<void> {
  const { convertFolder } = await import('../convert/dtype.js');
  const { InputError } = await import('../errors.js');
  const options = { ...(await common(args)), variant: args.variant };
  if (options.dtype === null && options.maxShardBytes === undefined && options.variant === undefined) {
    throw new InputError('nothing to convert: give --dtype, --max-shard-size or --variant', {
      code: 'convert.nothing',
    });
  }
  const result = await running('converting', args.quiet, running =>
    convertFolder(args.dir, args.out, { ...options, ...running }),
  );
  for (const file of result.leftOut) note(`left out ${file}`);
  const sharded = result.models.filter(
    ({ files }) => files.length > 1 && files[0]!.startsWith('diffusion_pytorch_model'),
  );
  for (const { folder } of sharded) {
    note(
      `${folder || result.out} is in shards: diffusers 0.19.3, which Show-1 uses, reads its models from one file only`,
    );
  }
  if (args.json) return printJson(result);
  for (const { folder, tensors, bytes, files } of result.models) {
    const shards = files.length > 1 ? `${files.length - 1} files` : files[0];
    print(`${folder || '.'}  ${tensors} tensors, ${formatBytes(bytes)}, ${shards}`);
  }
  print(`${result.out}: ${result.kind}, ${result.copied} other file${result.copied === 1 ? '' : 's'} copied`);
}

async function exportRun(args: ArgsOf<typeof exportOptions>): Promise<void> {
  const { exportPipeline } = await import('../convert/export.js');
  const options = { ...(await common(args)), weights: args.weights, textEncoder: args['text-encoder'] };
  const result = await running('exporting', args.quiet, running =>
    exportPipeline(args.run, args.out, { ...options, ...running }),
  );
  for (const line of result.notes) note(line);
  if (args.json) return printJson(result);
  const { out, stage, step, weights, bytes, parts } = result;
  print(
    `${out}: stage ${stage}, step ${step}, ${weights === 'ema' ? 'averaged' : 'last'} weights, ${formatBytes(bytes)}`,
  );
  for (const [part, name] of Object.entries(parts)) print(`  ${part.padEnd(24)}${name}`);
}
