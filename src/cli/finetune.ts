/** `show1 finetune`: adapts a model to the motion or the style of a few clips. */
import path from 'node:path';
import type { Argv } from 'yargs';
import { type ArgsOf, withJson } from './options.js';
import { note, print, printJson } from './output.js';

export const command = 'finetune';
export const describe = 'Adapt a model to the motion or the style of a few clips';

const MODES = ['motion', 'style'] as const;

export const builder = (yargs: Argv) =>
  withJson(yargs)
    .option('mode', {
      choices: MODES,
      demandOption: true,
      describe: 'motion: how things move, not how they look; style: how the whole looks',
    })
    .option('base', {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe:
        'The model to adapt: a run, a checkpoint, a diffusers pipeline, or a cascade folder. It is left as it is',
    })
    .option('stage', {
      choices: ['base', 'interp', 'sr1', 'sr2'] as const,
      describe: 'Which part of a cascade folder; default base',
    })
    .option('video', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'A clip of the motion or style; may be repeated',
    })
    .option('images', { type: 'string', requiresArg: true, describe: 'style: a folder of captioned pictures' })
    .option('prompt', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'What the clip shows; one for all, or one for each; default: the text file beside the clip',
    })
    .option('out', { type: 'string', requiresArg: true, describe: 'Run folder; default runs/MODE-PROMPT' })
    .option('try', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'A prompt to sample while training, e.g. another subject in the same motion; may be repeated',
    })
    .option('steps', { type: 'number', describe: 'Default: that of configs/finetune/MODE.yaml' })
    .option('learning-rate', { type: 'number', describe: 'Default: the base’s own, where that is a run' })
    .option('prior', {
      type: 'number',
      describe:
        'Videos of the base whose single frames are trained on too, so that looks stay as they were (prior preservation); ' +
        'default 16 for a motion where the base is a run with validation prompts, else 0',
    })
    .option('prior-prompt', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'What those videos show; default: the run’s validation prompts',
    })
    .option('held-out', {
      type: 'string',
      requiresArg: true,
      describe:
        'Captioned clips for the held-out loss, which ends the run when it no longer falls; default: the clips themselves',
    })
    .option('preset', {
      choices: ['temporal-attention', 'temporal', 'all'] as const,
      describe: 'What trains; default temporal-attention, as in the paper',
    })
    .option('set', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'Set one key of the training config, e.g. --set train.batchSize=2; may be repeated',
    })
    .option('resume', { type: 'boolean', default: false, describe: 'Continue the run in --out' })
    .example(
      '$0 finetune --mode motion --base runs/tiny-base --video loop.mp4 --prompt "a red square moves in a loop"',
      '',
    );

export async function handler(args: ArgsOf<typeof builder>): Promise<void> {
  const { finetune } = await import('../train/finetune/index.js');
  const { slug } = await import('../infer/video.js');
  const { interruptSignal } = await import('./interrupt.js');
  const name = args.prompt[0] ?? args.images ?? path.parse(args.video[0] ?? '').name;
  const out = args.out ?? path.join('runs', `${args.mode}-${slug(name)}`);
  const interrupt = interruptSignal('saving a checkpoint at the end of this step');
  try {
    const summary = await finetune(
      {
        ...args,
        out,
        videos: args.video,
        prompts: args.prompt,
        tries: args.try,
        priorPrompts: args['prior-prompt'],
        heldOut: args['held-out'],
        learningRate: args['learning-rate'],
      },
      { signal: interrupt.signal, print: args.quiet ? () => {} : note },
    );
    if (args.json) return printJson(summary);
    print(`trained ${summary.steps} steps: ${summary.delta}`);
    print(`show1 sample --model ${args.base} --delta ${out} --prompt "…" --out out`);
  } finally {
    interrupt.release();
  }
}
