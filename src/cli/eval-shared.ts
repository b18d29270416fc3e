/** What the commands of `show1 eval` share: options, progress, and how a figure is shown and written. */
import type { Argv } from 'yargs';
import { InputError } from '../errors.js';
import { DEFINITIONS } from '../eval/metrics.js';
import type { EvaluationResult } from '../eval/protocol.js';
import { withJson } from './options.js';
import { formatNumber, note } from './output.js';
import { createProgress, type Progress } from './progress.js';

/** Options of every measurement. */
export function sharedOptions<T>(yargs: Argv<T>) {
  return withJson(yargs)
    .option('out', { type: 'string', requiresArg: true, describe: 'JSON file for the figure and its protocol' })
    .option('cache', {
      type: 'string',
      requiresArg: true,
      describe: 'Folder where features are kept; default: show1/eval in the cache folder',
    })
    .option('batch', {
      type: 'number',
      describe: 'Clips (fvd, is) or frames (fid-vid, clipsim) that go through the network together',
    })
    .option('workers', { type: 'number', describe: 'ffmpeg processes at a time; default: cores, at most 4' })
    .option('shard', {
      type: 'string',
      requiresArg: true,
      describe: 'K/N: only this part of the work; a run without it scores',
    })
    .option('allow-few', {
      type: 'boolean',
      default: false,
      describe: 'Score although there are fewer videos than the metric needs; the result says so',
    });
}

/** A display that follows `onProgress`, whatever it counts. */
export function progressOf(quiet: boolean) {
  let shown: { what: string; progress: Progress } | undefined;
  return {
    onProgress(what: string, done: number, total: number): void {
      if (shown?.what !== what) {
        shown?.progress.stop();
        shown = { what, progress: createProgress({ label: what, total, quiet }) };
      }
      shown.progress.update(done);
    },
    print(line: string): void {
      if (!quiet) (shown?.progress.log ?? note)(line);
    },
    stop(): void {
      shown?.progress.stop();
    },
  };
}

/**
 * Makes the folder of `--out` and a file in it, before the work whose result it will take.
 * @throws InputError `eval.out` where that cannot be
 */
export async function checkOut(file: string | undefined): Promise<void> {
  if (file === undefined) return;
  const { mkdir, rm, stat, writeFile } = await import('node:fs/promises');
  const { dirname } = await import('node:path');
  const fail = (why: string) => new InputError(`--out ${file} cannot be written: ${why}`, { code: 'eval.out', file });
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory()) throw fail('it is a folder; give the name of a JSON file');
  const probe = `${file}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(probe, '');
    await rm(probe);
  } catch (error) {
    throw fail((error as Error).message);
  }
}

/** Writes the file whole or not at all. */
export async function writeResult(file: string | undefined, result: unknown): Promise<void> {
  if (file === undefined) return;
  const { mkdir } = await import('node:fs/promises');
  const { dirname } = await import('node:path');
  const { writeJson } = await import('../train/cache/atomic.js');
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeJson(file, result);
  } catch (error) {
    throw new InputError(`--out ${file} cannot be written: ${(error as Error).message}`, { code: 'eval.out', file });
  }
}

/** The figure for a terminal: the number, what was measured and how, what was left out. */
export function describeResult({ metric, value, details, few, protocol, rejected }: EvaluationResult): string[] {
  const figure = (x: unknown) => formatNumber(Number(x), 5);
  const extra = {
    fvd: '',
    'fid-vid': '',
    is: ` ± ${figure(details.std)}`,
    clipsim: ` (×100: ${figure(details.x100)})`,
  };
  const lines = [`${DEFINITIONS[metric].title} ${figure(value)}${extra[metric]}`];
  for (const [side, one] of Object.entries(protocol.sides)) {
    const { videos, source, frames, clip, stride, fps, resolution } = one;
    const how = [
      frames === 'all' ? 'all frames' : `${frames} frames, ${clip}`,
      ...(stride === 1 ? [] : [`stride ${stride}`]),
      fps === 'native' ? 'native rate' : `${fps} fps`,
      `resolution ${resolution}`,
    ];
    lines.push(`  ${side}: ${videos} videos of ${source} (${how.join(', ')})`);
  }
  if (metric === 'clipsim') {
    const { pairs, standardError, consistency } = details as Record<string, any>;
    lines.push(
      `  ${pairs} pairs of video and prompt, standard error ${figure(standardError)}; ${protocol.options.backbone}`,
    );
    if (consistency.neighbours !== null) {
      lines.push(
        `  frame consistency: ${figure(consistency.neighbours)} to the next frame, ${figure(consistency.toFirst)} to the first`,
      );
    }
  }
  lines.push(
    `  ${protocol.network.kind} ${protocol.network.sha256.slice(0, 16)}…, preprocessing ${protocol.preprocess}`,
  );
  for (const [side, list = []] of Object.entries(rejected)) {
    if (list.length === 0) continue;
    lines.push(`  left out of ${side}: ${list.length}`);
    for (const { reason, message } of list.slice(0, 5)) lines.push(`    ${reason}: ${message}`);
  }
  if (few !== null) lines.push(`  too few (allowed): ${few}`);
  return lines;
}
