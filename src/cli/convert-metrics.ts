/** `show1 convert metrics`: public checkpoints of the evaluation networks to folders that `show1 eval` reads. */
import type { Argv } from 'yargs';
import { interruptSignal } from './interrupt.js';
import { type ArgsOf, withJson } from './options.js';
import { formatBytes, note, print, printJson } from './output.js';
import { withProgress } from './progress.js';

/** As in `models/metrics/open.ts`, `c3d.ts` and `layouts/clip.ts`, which load TensorFlow: help must not wait for it. */
const KINDS = ['i3d', 'c3d', 'inception-v3', 'clip'] as const;
const POOLS = ['ceil', 'padded'] as const;
const ACTIVATIONS = ['quick_gelu', 'gelu'] as const;

export function metricsOptions(yargs: Argv) {
  return withJson(yargs)
    .positional('file', { type: 'string', demandOption: true, describe: 'A checkpoint as safetensors, or its folder' })
    .positional('out', { type: 'string', demandOption: true, describe: 'Folder to write; complete or absent' })
    .option('kind', { choices: KINDS, describe: 'The network; default: what the names of the tensors tell' })
    .option('pool5', {
      choices: POOLS,
      describe: 'C3D: last pool as in Caffe (ceil, default) or as in its PyTorch ports (padded)',
    })
    .option('activation', {
      choices: ACTIVATIONS,
      describe: 'CLIP without config.json: quick_gelu (OpenAI, default) or gelu (most of open_clip’s own)',
    })
    .option('force', { type: 'boolean', default: false, describe: 'Replace a model that is in OUT' })
    .example('$0 convert metrics i3d.safetensors weights/i3d', '')
    .example('$0 convert metrics ViT-B-32.safetensors weights/clip', 'then put vocab.json and merges.txt into it');
}

const MIB = 2 ** 20;

export async function metrics(args: ArgsOf<typeof metricsOptions>): Promise<void> {
  const { convertMetrics } = await import('../convert/metrics.js');
  const { kind, pool5, activation, force } = args;
  const interrupt = interruptSignal('removing what was written');
  const result = await withProgress('converting, MiB', args.quiet ?? false, report =>
    convertMetrics(args.file, args.out, {
      ...{ kind, pool5, activation, force, signal: interrupt.signal },
      onProgress: (done, total, what) => report(Math.ceil(done / MIB), Math.ceil(total / MIB), what),
    }),
  ).finally(() => interrupt.release());
  for (const line of result.notes) note(line);
  if (args.json) return printJson(result);
  const { source, tensors, bytes } = result;
  print(
    `${result.out}: ${result.kind} from ${source.name} (${source.layout}), ${tensors} tensors, ${formatBytes(bytes)}`,
  );
  print(`  sha256 of ${source.name}: ${source.sha256}`);
}
