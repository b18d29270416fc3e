/** `show1 data prepare SOURCE --out DIR`: look at every clip, filter, write the manifest that training trusts. */
import type { Argv } from 'yargs';
import type { PrepareResult } from '../data/prepare/index.js';
import { type ArgsOf, withJson } from './options.js';
import { formatDuration, note, print, printJson, table } from './output.js';
import { withProgress } from './progress.js';

const bound = (describe: string) => ({ type: 'number' as const, describe, group: 'Filters:' });

export function prepareOptions(yargs: Argv) {
  return withJson(yargs)
    .positional('source', { type: 'string', demandOption: true, describe: 'A data source of any layout: docs/data.md' })
    .option('out', { type: 'string', demandOption: true, describe: 'Folder to write; an earlier one is continued' })
    .option('root', { type: 'string', describe: 'Folder of the videos that a table or MSR-VTT names' })
    .option('split', { type: 'string', describe: 'Part of a dataset that has parts, e.g. train, test' })
    .option('limit', { type: 'number', describe: 'Rows of a table to read at most' })
    .option('min-seconds', bound('Length of a clip or scene, from'))
    .option('max-seconds', bound('… up to'))
    .option('min-frames', bound('Frames of a clip or scene, from; default 8'))
    .option('min-width', bound('Pixels, from'))
    .option('min-height', bound('Pixels, from'))
    .option('min-aspect', bound('Width by height, from'))
    .option('max-aspect', bound('… up to'))
    .option(
      'min-motion',
      bound('Change of the picture in half a second, in levels of 256, from; default 0.5, 0 for any'),
    )
    .option('min-words', bound('Words of a caption, from; default 1'))
    .option('max-words', bound('… up to'))
    .option('min-characters', bound('Characters of a caption, from'))
    .option('max-characters', bound('… up to'))
    .option('cuts', {
      choices: ['split', 'longest', 'ignore'] as const,
      describe: 'A video with several scenes: a clip a scene (default), the longest scene, or the video as it is',
      group: 'Filters:',
    })
    .option('cut-threshold', bound('How sure a cut must be; default 1, higher finds fewer'))
    .option('duplicates', {
      choices: ['drop', 'keep'] as const,
      describe: 'Copies of a file: keep the first (default) or all',
      group: 'Filters:',
    })
    .option('paths', {
      choices: ['absolute', 'relative'] as const,
      default: 'absolute' as const,
      describe: 'How the manifest names the videos; relative to its own folder, both can be moved together',
    })
    .option('workers', { type: 'number', describe: 'ffmpeg processes at a time; default: cores' })
    .option('timeout', { type: 'number', default: 600, describe: 'Seconds after which a clip counts as unreadable' })
    .example(
      '$0 data prepare webvid.csv --out data/webvid --min-seconds 2',
      'then train with data.source: data/webvid',
    );
}

export async function prepare(args: ArgsOf<typeof prepareOptions>): Promise<void> {
  const { prepareDataset } = await import('../data/prepare/index.js');
  const { interruptSignal } = await import('./interrupt.js');
  const interrupt = interruptSignal('keeping what was found so far');
  const started = Date.now();
  const { root, split, limit, cuts, duplicates, paths, workers } = args;
  try {
    const result = await withProgress('looking at clips', args.quiet ?? false, onProgress =>
      prepareDataset(args.source, args.out, {
        ...{ root, split, limit, cuts, duplicates, paths, workers, timeoutSeconds: args.timeout },
        ...{ minSeconds: args['min-seconds'], maxSeconds: args['max-seconds'], minFrames: args['min-frames'] },
        ...{ minWidth: args['min-width'], minHeight: args['min-height'] },
        ...{ minAspect: args['min-aspect'], maxAspect: args['max-aspect'], minMotion: args['min-motion'] },
        ...{ minWords: args['min-words'], maxWords: args['max-words'], cutThreshold: args['cut-threshold'] },
        ...{ minCharacters: args['min-characters'], maxCharacters: args['max-characters'] },
        ...{ signal: interrupt.signal, onProgress },
      }),
    );
    if (args.json) printJson(result);
    else printResult(result, (Date.now() - started) / 1000);
  } finally {
    interrupt.release();
  }
}

const count = (n: number): string => n.toLocaleString('en');

function printResult(result: PrepareResult, seconds: number): void {
  for (const line of result.notes) note(line);
  const { listed, clips, videos, rejected, scanned, histograms } = result;
  const lost = Object.values(rejected).reduce((a, b) => a + b, 0);
  const known = scanned < listed ? ' (the others were known)' : '';
  print(`${result.source} (${result.kind}): ${count(listed)} listed, ${count(scanned)} looked at${known}`);
  print(
    `  kept      ${count(clips)} clips of ${count(videos)} videos, ${formatDuration(result.seconds)}: ${result.manifest}`,
  );
  print(`  rejected  ${count(lost)}: ${result.rejectedFile}`);
  const rows = Object.entries(rejected).map(([reason, n]) => [count(n), reason]);
  if (rows.length > 0) {
    for (const line of table([{ title: 'clips', align: 'right' }, { title: 'reason' }], rows)) print(`    ${line}`);
  }
  for (const name of ['seconds', 'frames', 'height', 'fps'] as const) {
    const parts = Object.entries(histograms[name]).map(([range, n]) => `${range}: ${count(n)}`);
    print(`  ${name.padEnd(9)} ${parts.join(', ')}`);
  }
  if (scanned > 0) note(`${count(scanned)} clips in ${formatDuration(seconds)}`);
}
