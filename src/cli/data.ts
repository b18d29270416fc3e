/** `show1 data shapes OUT` makes a dataset, `data inspect SOURCE` looks into one, `data cache CONFIG` computes before training. */
import type { Argv } from 'yargs';
import type { Inspection, Spread } from '../data/inspect.js';
import { InputError } from '../errors.js';
import { cache, cacheOptions } from './data-cache.js';
import { prepare, prepareOptions } from './data-prepare.js';
import { type ArgsOf, withJson } from './options.js';
import { formatNumber, note, print, printJson, table } from './output.js';
import { withProgress } from './progress.js';

export const command = 'data';
export const describe = 'Make or look into a dataset';

export function builder(yargs: Argv): Argv {
  return yargs
    .command('shapes <out>', 'Write captioned clips of moving coloured shapes', shapesOptions, shapes)
    .command('prepare <source>', 'Look at every clip, filter, write a manifest for training', prepareOptions, prepare)
    .command('inspect <source>', 'Count, check and show the clips of a source', inspectOptions, inspect)
    .command('cache <config>', 'Compute text embeddings and latents before training', cacheOptions, cache)
    .demandCommand(1, 'data needs a command: shapes, prepare, inspect or cache');
}

/** Runs only when neither subcommand was given, which `demandCommand` has refused already. */
export function handler(): void {}

function shapesOptions(yargs: Argv) {
  return withJson(yargs)
    .positional('out', {
      type: 'string',
      demandOption: true,
      describe: 'Folder to write: train/, heldout/, split.json',
    })
    .option('clips', { type: 'number', demandOption: true, describe: 'Clips in all, held-out ones too' })
    .option('seed', { type: 'number', default: 0, describe: 'The same seed and options give the same clips' })
    .option('size', { type: 'string', default: '16', describe: 'Pixels: SIDE or WIDTHxHEIGHT, even, from 16' })
    .option('frames', { type: 'number', default: 8, describe: 'Frames of a clip, from 4' })
    .option('fps', { type: 'number', default: 8, describe: 'Frames a second' })
    .option('hold-out', {
      type: 'number',
      describe:
        'Combinations of colour, shape and direction kept out of train/ (each pair of them stays in); default 8',
    })
    .option('colours', {
      type: 'string',
      alias: 'colors',
      default: 'red,green,blue,yellow',
      describe: 'Also: purple, cyan, orange, white',
    })
    .option('shapes', { type: 'string', default: 'square,circle', describe: 'Also: triangle, diamond' })
    .option('directions', {
      type: 'string',
      default: 'left,right,up,down',
      describe: 'Also: loop, zigzag (a motion for show1 finetune to learn)',
    })
    .option('radius', {
      type: 'string',
      requiresArg: true,
      describe: 'Half the size of the shapes as a share of the frame: LEAST,MOST; default 0.13,0.22',
    })
    .option('workers', { type: 'number', describe: 'ffmpeg processes at a time; default: cores' })
    .option('force', { type: 'boolean', default: false, describe: 'Replace train/ and heldout/ of another dataset' })
    .example('$0 data shapes data/shapes --clips 640', 'the dataset of the quickstart');
}

/** "16" or "64x40". */
function parseSize(text: string): { width: number; height: number } {
  const match = /^(\d+)(?:x(\d+))?$/.exec(text.trim());
  if (!match) {
    throw new InputError(`--size is "${text}"; allowed: SIDE or WIDTHxHEIGHT in pixels, e.g. 16 or 64x40`, {
      code: 'cli.invalid-value',
      name: 'size',
    });
  }
  return { width: Number(match[1]), height: Number(match[2] ?? match[1]) };
}

/** "0.2,0.26". */
function parseRadius(text: string): [number, number] {
  const numbers = text.split(',').map(Number);
  if (numbers.length !== 2 || numbers.some(Number.isNaN)) {
    throw new InputError(`--radius is "${text}"; allowed: LEAST,MOST as shares of the frame, e.g. 0.2,0.26`, {
      code: 'cli.invalid-value',
      name: 'radius',
    });
  }
  return [numbers[0]!, numbers[1]!];
}

const names = (text: string): string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '');

async function shapes(args: ArgsOf<typeof shapesOptions>): Promise<void> {
  const { writeShapes } = await import('../data/index.js');
  const { clips, seed, frames, fps, workers, force } = args;
  const dataset = await withProgress('writing clips', args.quiet ?? false, onProgress =>
    writeShapes(args.out, {
      ...{ clips, seed, frames, fps, workers, force, ...parseSize(args.size), holdOut: args['hold-out'] },
      ...{ colours: names(args.colours), shapes: names(args.shapes), directions: names(args.directions), onProgress },
      radius: args.radius === undefined ? undefined : parseRadius(args.radius),
    }),
  );
  const { folder, train, heldout, recipe, reused } = dataset;
  if (args.json) {
    const part = ({ folder, clips, combinations }: typeof train) => ({
      folder,
      clips,
      combinations: combinations.length,
    });
    printJson({ folder, train: part(train), heldout: part(heldout), recipe, reused });
    return;
  }
  print(reused ? `${folder} holds this dataset already` : `wrote ${recipe.clips} clips to ${folder}`);
  print(`  train    ${train.clips} clips, ${train.combinations.length} combinations: ${train.folder}`);
  print(`  heldout  ${heldout.clips} clips, ${heldout.combinations.length} combinations: ${heldout.folder}`);
}

function inspectOptions(yargs: Argv) {
  return withJson(yargs)
    .positional('source', { type: 'string', demandOption: true, describe: 'A source of any layout: docs/data.md' })
    .option('root', { type: 'string', describe: 'Folder of the videos that a CSV or JSONL names' })
    .option('split', { type: 'string', describe: 'Part of a dataset that has parts: train, heldout, test …' })
    .option('probes', { type: 'number', default: 500, describe: 'Clips to open at most, spread over the source' })
    .option('full', { type: 'boolean', default: false, describe: 'Decode each of them to its end' })
    .option('sheet', {
      type: 'string',
      default: 'contact-sheet.png',
      describe: 'PNG with frames of some clips; --no-sheet for none',
    })
    .example('$0 data inspect videos.csv --root videos', 'a WebVid-style CSV');
}

async function inspect(args: ArgsOf<typeof inspectOptions>): Promise<void> {
  const { inspectSource } = await import('../data/inspect.js');
  const { root, split, probes, full } = args;
  // yargs turns --no-sheet into false.
  const sheet = typeof args.sheet === 'string' && args.sheet !== '' ? args.sheet : undefined;
  const { inspection, thumbnails } = await withProgress('opening clips', args.quiet ?? false, onProgress =>
    inspectSource(args.source, { root, split, probes, full, thumbnails: sheet ? 12 : 0, onProgress }),
  );
  if (sheet && thumbnails.length > 0) {
    const { contactSheet } = await import('../infer/video.js');
    const captions = thumbnails.map(({ caption }) => caption);
    await contactSheet(
      sheet,
      thumbnails.map(({ video }) => video),
      { captions, columns: 2 },
    );
  }
  const written = sheet && thumbnails.length > 0 ? sheet : null;
  if (args.json) printJson({ ...inspection, sheet: written });
  else printInspection(inspection, written);
}

function printInspection(inspection: Inspection, sheet: string | null): void {
  for (const line of inspection.notes) note(line);
  const { clips, probed, fps, seconds, frames, captions } = inspection;
  print(`${inspection.source}: ${clips} captioned clips (${inspection.kind}), ${probed} opened`);
  const row = (name: string, { min, median, max }: Spread): string[] => [
    name,
    ...[min, median, max].map(value => formatNumber(value)),
  ];
  const columns = [{ title: '' }, ...['least', 'median', 'most'].map(title => ({ title, align: 'right' as const }))];
  const rows = [
    row('frames/s', fps),
    row('seconds', seconds),
    row('frames', frames),
    row('caption words', captions.words),
  ];
  for (const line of table(columns, rows)) print(`  ${line}`);
  print(`  sizes: ${inspection.sizes.map(({ size, clips }) => `${size} (${clips})`).join(', ')}`);
  print(
    `  codecs: ${Object.entries(inspection.codecs)
      .map(([name, count]) => `${name} (${count})`)
      .join(', ')}`,
  );
  print(`  different captions: ${captions.distinct}`);
  const reasons = Object.entries(inspection.skipped);
  print(
    `  skipped: ${reasons.length === 0 ? 'none' : reasons.map(([reason, count]) => `${count} ${reason}`).join(', ')}`,
  );
  for (const { reason, detail } of inspection.examples) print(`    ${reason}: ${detail}`);
  if (sheet) print(`  contact sheet: ${sheet}`);
}
