/** `show1 bench CONFIG.json`: times one UNet step, for comparison with PyTorch. */
import type { Argv } from 'yargs';
import { withJson } from './options.js';
import { formatCount, print, printJson } from './output.js';
import { createProgress } from './progress.js';

export const command = 'bench <config>';
export const describe = 'Time a denoising, training or fine-tuning step of a UNet';

export const builder = (yargs: Argv) =>
  withJson(yargs)
    .positional('config', { type: 'string', demandOption: true, describe: 'A UNet config.json with a "_bench" entry' })
    .option('mode', {
      choices: ['infer', 'train', 'finetune'] as const,
      default: 'train' as const,
      describe: 'finetune trains the temporal attention alone',
    })
    .option('precision', { choices: ['fp32', 'bf16'] as const, default: 'fp32' as const, describe: 'bf16 is autocast' })
    .option('steps', { type: 'number', default: 5, describe: 'Measured steps, after one that is not' })
    .option('checkpointing', {
      type: 'boolean',
      default: false,
      describe: 'Compute activations again in the backward pass instead of keeping them',
    })
    .option('compile', { type: 'boolean', default: true, describe: '--no-compile runs op by op' });

interface Args {
  config: string;
  mode: 'infer' | 'train' | 'finetune';
  precision: 'fp32' | 'bf16';
  steps: number;
  compile: boolean;
  checkpointing: boolean;
  json: boolean;
  quiet: boolean;
}

export async function handler(args: Args): Promise<void> {
  const { bench } = await import('../bench/bench.js');
  const progress = createProgress({ label: `${args.mode} ${args.precision}`, total: args.steps, quiet: args.quiet });
  const { config, mode, precision, steps, compile, checkpointing } = args;
  const result = await bench({
    config,
    mode,
    precision,
    steps,
    compile,
    checkpointing,
    onStep: (done, ms) => progress.update(done, `${ms.toFixed(0)} ms`),
  });
  progress.stop();
  if (args.json) return printJson(result, { compact: true }); // one line, like the PyTorch side
  print(
    `${mode} ${precision}: median ${result.median_ms} ms, min ${result.min_ms} ms, peak ${result.peak_mib} MiB, ` +
      `${formatCount(result.params)} parameters, ${formatCount(result.trainable)} trainable; first step ${result.first_ms} ms`,
  );
}
