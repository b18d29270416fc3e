/** `show1 sample --model DIR --prompt P --out DIR`: videos from text. */
import type { Argv } from 'yargs';
import { withJson } from './options.js';
import { note, print, printJson } from './output.js';
import { createProgress } from './progress.js';

export const command = 'sample';
export const describe = 'Make videos from prompts';

export const builder = (yargs: Argv) =>
  withJson(yargs)
    .option('model', {
      type: 'string',
      demandOption: true,
      describe: 'A run folder, a checkpoint, or a diffusers pipeline folder',
    })
    .option('prompt', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'What to show; may be repeated',
    })
    .option('prompts', { type: 'string', describe: 'A text file with a prompt a line' })
    .option('out', { type: 'string', demandOption: true, describe: 'Folder for the videos' })
    .option('stages', { type: 'string', default: 'base', describe: 'Stages of the cascade to run, comma-separated' })
    .option('seed', { type: 'number', default: 345, describe: 'Seed of the first video; the n-th takes seed + n' })
    .option('steps', { type: 'number', describe: 'Denoising steps (default: the run’s, else 75)' })
    .option('guidance', {
      type: 'number',
      describe: 'Classifier-free guidance scale; 1 is none (default: the run’s, else 9)',
    })
    .option('sampler', {
      choices: ['ddim', 'ddpm', 'dpmsolver++'] as const,
      describe: 'Default: the run’s, else the folder’s scheduler',
    })
    .option('negative', { type: 'string', default: '', describe: 'Negative prompt' })
    .option('frames', { type: 'number', describe: 'Frames a video (default: the run’s, else 8)' })
    .option('width', { type: 'number', describe: 'Pixels (default: the run’s, else 64)' })
    .option('height', { type: 'number', describe: 'Pixels (default: the run’s, else 40)' })
    .option('fps', { type: 'number', describe: 'Frames a second of the files (default: the run’s, else 2)' })
    .option('batch', { type: 'number', default: 4, describe: 'Videos denoised together' })
    .option('precision', { choices: ['fp32', 'bf16'] as const, describe: 'Default: the run’s, else fp32' })
    .option('weights', {
      choices: ['ema', 'raw'] as const,
      default: 'ema' as const,
      describe: 'Which weights of a run: averaged or last',
    })
    .example('show1 sample --model runs/tiny-base --prompt "a red square moves to the left" --out out', '');

interface Args {
  model: string;
  prompt: string[];
  prompts?: string;
  out: string;
  stages: string;
  seed: number;
  steps?: number;
  guidance?: number;
  sampler?: 'ddim' | 'ddpm' | 'dpmsolver++';
  negative: string;
  frames?: number;
  width?: number;
  height?: number;
  fps?: number;
  batch: number;
  precision?: 'fp32' | 'bf16';
  weights: 'ema' | 'raw';
  json: boolean;
  quiet: boolean;
}

export async function handler(args: Args): Promise<void> {
  const { readPrompts, samplePrompts } = await import('../infer/sample.js');
  const { interruptSignal } = await import('./interrupt.js');
  const prompts = await readPrompts(args.prompt, args.prompts);
  const interrupt = interruptSignal('finished videos are kept');
  let progress: ReturnType<typeof createProgress> | undefined;
  try {
    const result = await samplePrompts({
      ...args,
      prompts,
      stages: args.stages.split(',').map(s => s.trim()),
      signal: interrupt.signal,
      print: args.quiet ? () => {} : note,
      onProgress: (done, total, what) => {
        progress ??= createProgress({ label: 'sampling', total, quiet: args.quiet });
        progress.update(done, what);
      },
    });
    progress?.stop();
    if (args.json) return printJson(result);
    for (const { prompt, path } of result.samples) print(`${path}  ${prompt}`);
    print(result.sheet);
  } finally {
    progress?.stop();
    interrupt.release();
  }
}
