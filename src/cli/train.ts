/** `show1 train CONFIG`: trains a stage. */
import type { Argv } from 'yargs';
import { configFrom, withConfig, withJson } from './options.js';
import { note, print, printJson } from './output.js';

export const command = 'train <config>';
export const describe = 'Train a stage from a config';

export const builder = (yargs: Argv) =>
  withJson(withConfig(yargs))
    .option('resume', {
      type: 'boolean',
      default: false,
      describe: 'Continue the run in `output` from its newest checkpoint',
    })
    .example('show1 train configs/tiny/base.yaml --set train.steps=100', 'a short trial')
    .example('show1 train runs/tiny-base/config.yaml --resume', 'continue a run');

interface Args {
  config: string;
  set: string[];
  resume: boolean;
  json: boolean;
  quiet: boolean;
}

export async function handler(args: Args): Promise<void> {
  const { config } = await configFrom(args);
  const { train } = await import('../train/loop.js');
  const { interruptSignal } = await import('./interrupt.js');
  const interrupt = interruptSignal('saving a checkpoint at the end of this step');
  try {
    const summary = await train(config, {
      resume: args.resume,
      signal: interrupt.signal,
      print: args.quiet ? () => {} : note,
    });
    if (args.json) printJson(summary);
    else print(`trained ${summary.steps} steps: ${summary.checkpoint}`);
  } finally {
    interrupt.release();
  }
}
