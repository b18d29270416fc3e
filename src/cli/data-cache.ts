/** `show1 data cache CONFIG --out DIR`: text embeddings and latents, computed before training. */
import type { Argv } from 'yargs';
import { type ArgsOf, configFrom, withConfig, withJson } from './options.js';
import { formatBytes, note, print, printJson } from './output.js';
import { createProgress, type Progress } from './progress.js';

export function cacheOptions(yargs: Argv) {
  return withJson(withConfig(yargs))
    .option('out', {
      type: 'string',
      demandOption: true,
      describe: 'Folder of the cache: new, empty, or an earlier one',
    })
    .option('text', { type: 'boolean', describe: 'Text embeddings of all captions and validation prompts' })
    .option('latents', {
      type: 'boolean',
      describe: 'sr2: latents of all clips. Neither flag: all that the stage can use',
    })
    .option('dtype', {
      choices: ['fp32', 'bf16', 'fp16'] as const,
      describe:
        'fp32 (default) trains to the same losses as without a cache; bf16 and fp16 take half the space. An earlier cache keeps its own',
    })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'Throw away what was made with another model or other settings',
    })
    .example(
      '$0 data cache configs/tiny/sr2.yaml --out data/cache',
      'then train with --set data.cached.text=data/cache',
    );
}

const count = (n: number): string => n.toLocaleString('en');

export async function cache(args: ArgsOf<typeof cacheOptions>): Promise<void> {
  const { config } = await configFrom(args);
  const { buildCache } = await import('../train/cache/build.js');
  const { interruptSignal } = await import('./interrupt.js');
  const { buckets, images } = config.data;
  const hasLatents = config.stage === 'sr2' && !buckets && !images;
  // Either flag alone asks for that one; --no-text and --no-latents for the other one.
  const wants = {
    text: args.text ?? args.latents !== true,
    latents: args.latents ?? (args.text !== true && hasLatents),
  };
  const interrupt = interruptSignal('keeping what is finished');
  const quiet = args.quiet ?? false;
  let shown: { label: string; progress: Progress } | undefined;
  const onProgress = (label: string, done: number, total: number): void => {
    if (shown?.label !== label) {
      shown?.progress.stop();
      shown = { label, progress: createProgress({ label, total, quiet }) };
    }
    shown.progress.update(done);
  };
  const say = (line: string): void => {
    if (!quiet) (shown?.progress.log ?? note)(line);
  };
  try {
    const { dtype, force } = args;
    const options = { dir: args.out, dtype, force, signal: interrupt.signal, print: say, onProgress };
    const summary = await buildCache(config, { ...wants, ...options });
    shown?.progress.stop();
    if (args.json) return printJson(summary);
    const { dir, text, latents } = summary;
    if (text) {
      print(
        `text: ${count(text.captions)} captions, ${count(text.computed)} of them new, ${formatBytes(text.bytes)} in ${dir}`,
      );
    }
    if (latents) {
      const { clips, computed, frames, rejected, bytes } = latents;
      print(
        `latents: ${count(clips)} clips (${count(frames)} frames), ${count(computed)} of them new, ${rejected} rejected, ${formatBytes(bytes)} in ${dir}`,
      );
    }
    const kinds = (['text', 'latents'] as const).filter(kind => summary[kind]);
    print(`train with ${kinds.map(kind => `--set data.cached.${kind}=${dir}`).join(' ')}`);
  } finally {
    shown?.progress.stop();
    interrupt.release();
  }
}
