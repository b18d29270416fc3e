/**
 * Measures how many generated videos follow their prompt:
 *   npx tsx experiments/prompt-following/check.ts --samples DIR [--json OUT]
 * DIR/samples.json lists them: [{"prompt", "path" (mp4 or GIF, relative to DIR), "heldOut"}].
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { decode } from '../../src/data/ffmpeg.js';
import { InputError } from '../../src/errors.js';
import { checkVideo, type VideoCheck } from './check-video.js';

export { checkVideo, measureVideo, type VideoCheck, type VideoMeasurement } from './check-video.js';

export interface Sample {
  prompt: string;
  path: string;
  /** The prompt's combination was not in the training data. */
  heldOut?: boolean;
}

/** Shares of videos, 0 … 1. */
export interface Score {
  n: number;
  colour: number;
  direction: number;
  both: number;
}

export interface PromptFollowing extends Score {
  byGroup: { trained: Score; heldOut: Score };
  samples: (Sample & VideoCheck)[];
}

function score(checks: readonly VideoCheck[]): Score {
  const n = checks.length;
  const share = (right: (check: VideoCheck) => boolean): number => (n === 0 ? 0 : checks.filter(right).length / n);
  return {
    n,
    colour: share(check => check.colourRight),
    direction: share(check => check.directionRight),
    both: share(check => check.colourRight && check.directionRight),
  };
}

/** @throws InputError `samples.*` when the list is missing or of another form */
async function readSamples(folder: string): Promise<Sample[]> {
  const file = join(folder, 'samples.json');
  const form = 'expected [{"prompt": "a red square moves up", "path": "0.mp4", "heldOut": false}, …]';
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new InputError(`${file} cannot be read: ${(error as Error).message}; ${form}`, {
      code: 'samples.unreadable',
      file,
    });
  }
  const isSample = (one: Partial<Sample>): boolean => typeof one?.prompt === 'string' && typeof one?.path === 'string';
  if (!Array.isArray(value) || value.length === 0 || !value.every(isSample)) {
    throw new InputError(`${file} is no list of samples; ${form}`, { code: 'samples.form', file });
  }
  return value as Sample[];
}

/** Checks every video of a folder of samples. */
export async function checkSamples(folder: string): Promise<PromptFollowing> {
  const samples: PromptFollowing['samples'] = [];
  for (const sample of await readSamples(folder)) {
    const video = await decode(resolve(folder, sample.path));
    samples.push({ ...sample, heldOut: sample.heldOut ?? false, ...checkVideo(video, sample.prompt) });
  }
  const byGroup = {
    trained: score(samples.filter(sample => !sample.heldOut)),
    heldOut: score(samples.filter(sample => sample.heldOut)),
  };
  return { ...score(samples), byGroup, samples };
}

const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;

/** One line a video, then one a group. */
export function formatReport(result: PromptFollowing): string {
  const mark = (right: boolean): string => (right ? 'yes' : 'NO ');
  const width = Math.max(...result.samples.map(({ prompt }) => prompt.length));
  const lines = result.samples.map(sample => {
    const { colour = 'none', direction = 'none', travel } = sample;
    const seen = `${colour} ${direction}`.padEnd(13);
    const path = `x ${travel.x.toFixed(2).padStart(5)}  y ${travel.y.toFixed(2).padStart(5)}`;
    const group = sample.heldOut ? 'held out' : 'trained ';
    return `${sample.prompt.padEnd(width)}  ${group}  colour ${mark(sample.colourRight)}  direction ${mark(sample.directionRight)}  seen: ${seen}  ${path}`;
  });
  const groups: [string, Score][] = [
    ['trained', result.byGroup.trained],
    ['held out', result.byGroup.heldOut],
    ['all', result],
  ];
  for (const [name, { n, colour, direction, both }] of groups) {
    lines.push(
      `${name.padEnd(8)}  n ${String(n).padStart(3)}  colour ${percent(colour)}  direction ${percent(direction)}  both ${percent(both)}`,
    );
  }
  return lines.join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { samples: { type: 'string' }, json: { type: 'string' } } });
  if (!values.samples) {
    throw new InputError('usage: check.ts --samples DIR [--json OUT]', { code: 'samples.usage' });
  }
  const result = await checkSamples(values.samples);
  process.stdout.write(`${formatReport(result)}\n`);
  if (values.json) await writeFile(values.json, `${JSON.stringify(result, null, 2)}\n`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error: Error & { exitCode?: number }) => {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = error.exitCode ?? 1;
  });
}
