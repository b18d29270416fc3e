/** `show1 sample --model DIR --prompt P --out DIR`: videos from text, by any prefix of the cascade. */
import type { Argv } from 'yargs';
import { InputError } from '../errors.js';
import { STAGES, type StageName } from '../infer/stage-names.js';
import { withJson } from './options.js';
import { note, print, printJson } from './output.js';
import { createProgress } from './progress.js';

export const command = 'sample';
export const describe = 'Make videos from prompts';

const SAMPLERS = ['ddim', 'ddpm', 'dpmsolver++'] as const;
type Sampler = (typeof SAMPLERS)[number];

export const builder = (yargs: Argv) =>
  withJson(yargs)
    .option('model', {
      type: 'string',
      array: true,
      requiresArg: true,
      demandOption: true,
      describe:
        'A run, a checkpoint, a diffusers pipeline, or a folder with one of these a stage (base interp sr1 sr2, names of the ' +
        'released repositories too); STAGE=DIR names one stage, firstFrame=DIR the image model of sr1’s first frame',
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
    .option('stages', {
      type: 'string',
      default: 'base',
      describe: 'Stages to run, comma-separated: base,interp,sr1,sr2 or a prefix of it',
    })
    .option('video', {
      type: 'string',
      describe: 'Start from this video instead of base: --stages sr1,sr2 --video FILE',
    })
    .option('delta', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'What a fine-tuning changed, put over the model: its delta.safetensors or run folder; one a stage',
    })
    .option('delta-scale', {
      type: 'number',
      default: 1,
      describe: 'How far towards the delta: 0 not at all, 1 all the way',
    })
    .option('seed', { type: 'number', default: 345, describe: 'Seed of the first video; the n-th takes seed + n' })
    .option('steps', {
      type: 'string',
      describe:
        'Denoising steps, for all stages (20) or by stage (base=75,sr1=50); default: the run’s, else 75, 75, 125, 50',
    })
    .option('guidance', {
      type: 'string',
      describe:
        'Classifier-free guidance scale, up to 1 is none, for all stages or by stage; default: the run’s, else 9, 4, 7, 15',
    })
    .option('sampler', {
      type: 'string',
      describe: `${SAMPLERS.join(', ')}, for all stages or by stage; default: the run’s, else the folder’s scheduler`,
    })
    .option('negative', {
      type: 'string',
      describe: 'Negative prompt of all stages; default none, for a released sr2 "low resolution, blur"',
    })
    .option('clean-captions', {
      type: 'boolean',
      default: false,
      describe: 'Clean prompts as DeepFloyd IF does (links, markup, file names), not only to lower case',
    })
    .option('strength', {
      type: 'number',
      describe: 'sr2: share of the steps that are taken; default: the run’s, else 0.8',
    })
    .option('frames', { type: 'number', describe: 'Frames of base (default: the run’s, else 8)' })
    .option('width', { type: 'number', describe: 'Pixels of base (default: the run’s, else 64)' })
    .option('height', { type: 'number', describe: 'Pixels of base (default: the run’s, else 40)' })
    .option('final-width', { type: 'number', describe: 'Pixels of sr2 (default: the run’s, else 576)' })
    .option('final-height', { type: 'number', describe: 'Pixels of sr2 (default: the run’s, else 320)' })
    .option('fps', {
      type: 'number',
      describe: 'Frames a second of base’s files, or of --video (default: the run’s, else 2)',
    })
    .option('batch', { type: 'number', default: 4, describe: 'Videos denoised together' })
    .option('windows', { type: 'number', describe: 'interp: windows denoised together (default: all of a batch)' })
    .option('precision', { choices: ['fp32', 'bf16'] as const, describe: 'Default: the run’s, else fp32' })
    .option('weights', {
      choices: ['ema', 'raw'] as const,
      default: 'ema' as const,
      describe: 'Which weights of a run: averaged or last',
    })
    .example('show1 sample --model runs/tiny-base --prompt "a red square moves to the left" --out out', '')
    .example('show1 sample --model weights --stages base,interp,sr1,sr2 --prompts prompts.txt --out out', '');

interface Args {
  model: string[];
  prompt: string[];
  prompts?: string;
  out: string;
  stages: string;
  video?: string;
  delta: string[];
  deltaScale: number;
  seed: number;
  steps?: string;
  guidance?: string;
  sampler?: string;
  negative?: string;
  cleanCaptions: boolean;
  strength?: number;
  frames?: number;
  width?: number;
  height?: number;
  finalWidth?: number;
  finalHeight?: number;
  fps?: number;
  batch: number;
  windows?: number;
  precision?: 'fp32' | 'bf16';
  weights: 'ema' | 'raw';
  json: boolean;
  quiet: boolean;
}

/** `20`, or `base=75,sr1=50`. @throws InputError naming the option and what is allowed */
export function perStage<V>(
  option: string,
  text: string | undefined,
  read: (value: string) => V | undefined,
  allowed: string,
): V | Partial<Record<StageName, V>> | undefined {
  if (text === undefined) return undefined;
  const value = (word: string): V => {
    const found = read(word.trim());
    if (found !== undefined) return found;
    throw new InputError(`--${option} ${text}: "${word}" is not ${allowed}`, {
      code: 'infer.option',
      key: option,
      value: text,
    });
  };
  if (!text.includes('=')) return value(text);
  const entries = text.split(',').map(part => {
    const [stage = '', word = ''] = part.split('=');
    if (STAGES.includes(stage.trim() as StageName)) return [stage.trim(), value(word)] as const;
    throw new InputError(
      `--${option} ${text}: "${stage}" is no stage; write ${STAGES[0]}=…,${STAGES[1]}=… (${STAGES.join(', ')})`,
      {
        code: 'infer.option',
        key: option,
        value: text,
      },
    );
  });
  return Object.fromEntries(entries) as Partial<Record<StageName, V>>;
}

const number = (text: string) => (text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined);
const sampler = (text: string) => SAMPLERS.find(name => name === text);

export async function handler(args: Args): Promise<void> {
  const { readPrompts } = await import('../infer/prompts.js');
  const { samplePrompts } = await import('../infer/sample.js');
  const { interruptSignal } = await import('./interrupt.js');
  const prompts = await readPrompts(args.prompt, args.prompts);
  const interrupt = interruptSignal('finished videos and stages are kept');
  let progress: ReturnType<typeof createProgress> | undefined;
  try {
    const result = await samplePrompts({
      ...args,
      deltas: args.delta,
      prompts,
      stages: args.stages.split(',').map(s => s.trim()),
      steps: perStage('steps', args.steps, number, 'a number'),
      guidance: perStage('guidance', args.guidance, number, 'a number'),
      sampler: perStage<Sampler>('sampler', args.sampler, sampler, `a sampler; allowed: ${SAMPLERS.join(', ')}`),
      batchWindows: args.windows,
      signal: interrupt.signal,
      print: args.quiet ? () => {} : note,
      onProgress: (done, total, what) => {
        progress ??= createProgress({ label: 'sampling', total: 100, quiet: args.quiet });
        progress.update(Math.round((1000 * done) / total) / 10, what);
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
