/** Reads what a run folder holds, as far as it is there: a run that has just begun has a report too. */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { ConfigInput } from '../config/index.js';
import { InputError } from '../errors.js';
import { readStats, STATS_FILE, type StatsLine } from '../train/logging/index.js';

/** A clip sampled during training. */
export interface Sample {
  prompt: string;
  /** An animated GIF. */
  file: string;
  bytes: number;
}

export interface SampleStep {
  step: number;
  samples: Sample[];
}

export interface Checkpoint {
  name: string;
  step: number;
  bytes: number;
  /** Milliseconds since 1970. */
  savedAt: number;
  parts: string[];
  isLast: boolean;
}

export interface RunData {
  name: string;
  configText: string | undefined;
  config: ConfigInput;
  stats: StatsLine[];
  /** By rising step. */
  samples: SampleStep[];
  /** By rising step. */
  checkpoints: Checkpoint[];
  /** JSON results of evaluations: files in `eval/`, and `metrics.json`. */
  metrics: { name: string; values: [key: string, value: string][] }[];
}

/** @throws InputError `report.not-found` no such folder, `report.not-a-run` nothing of a run in it */
export function readRun(folder: string): RunData {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new InputError(`${folder}: no such run folder; give the folder named by 'output' in the run's config`, {
      code: 'report.not-found',
      folder,
    });
  }
  const configFile = path.join(folder, 'config.yaml');
  const statsFile = path.join(folder, STATS_FILE);
  if (!existsSync(configFile) && !existsSync(statsFile)) {
    const runs = namesIn(folder).filter(name => existsSync(path.join(folder, name, STATS_FILE)));
    const hint = runs.length > 0 ? `; runs in it: ${runs.map(name => path.join(folder, name)).join(', ')}` : '';
    throw new InputError(`${folder} is not a run folder: it has neither config.yaml nor ${STATS_FILE}${hint}`, {
      code: 'report.not-a-run',
      folder,
    });
  }
  const configText = existsSync(configFile) ? readFileSync(configFile, 'utf8') : undefined;
  const config = parseLeniently(configText);
  return {
    name: path.basename(path.resolve(folder)),
    configText,
    config,
    stats: readStats(statsFile),
    samples: readSamples(path.join(folder, 'samples'), config.validate?.prompts ?? []),
    checkpoints: readCheckpoints(path.join(folder, 'checkpoints')),
    metrics: readMetrics(folder),
  };
}

/** The config of a run by an older version may not pass today's checks; its report is still wanted. */
function parseLeniently(text: string | undefined): ConfigInput {
  try {
    return (text === undefined ? undefined : (parse(text) as ConfigInput)) ?? {};
  } catch {
    return {};
  }
}

/** Entries of a folder by name; none when it is missing. */
function namesIn(folder: string): string[] {
  return existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder).sort() : [];
}

/** Folders called step-N, by rising N. */
function stepFolders(folder: string): { name: string; step: number }[] {
  return namesIn(folder)
    .map(name => ({ name, step: Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN) }))
    .filter(({ step }) => Number.isFinite(step))
    .sort((a, b) => a.step - b.step);
}

function readSamples(folder: string, prompts: readonly string[]): SampleStep[] {
  return stepFolders(folder)
    .map(({ name, step }) => {
      const at = path.join(folder, name);
      const listed = listedPrompts(path.join(at, 'samples.json'));
      const gifs = namesIn(at).filter(file => file.endsWith('.gif'));
      const samples = gifs.map((gif, i): Sample => {
        const inOrder = gifs.length === prompts.length ? prompts[i] : undefined;
        const prompt =
          listed.get(gif) ??
          inOrder ??
          gif
            .replace(/\.gif$/, '')
            .replace(/^\d+[-_]?/, '')
            .replace(/[-_]+/g, ' ');
        return { prompt, file: path.join(at, gif), bytes: statSync(path.join(at, gif)).size };
      });
      return { step, samples };
    })
    .filter(({ samples }) => samples.length > 0);
}

/** `samples.json` beside the clips, as training and `show1 sample` write it: `[{prompt, path, gif?, …}]`. */
function listedPrompts(file: string): Map<string, string> {
  const found = new Map<string, string>();
  const content = readJson(file);
  if (!Array.isArray(content)) return found;
  for (const entry of content as { path?: unknown; gif?: unknown; prompt?: unknown }[]) {
    const clip = entry?.gif ?? entry?.path;
    if (typeof clip === 'string' && typeof entry.prompt === 'string') found.set(path.basename(clip), entry.prompt);
  }
  return found;
}

function readCheckpoints(folder: string): Checkpoint[] {
  const last = lastCheckpoint(folder);
  return stepFolders(folder).map(({ name, step }) => {
    const at = path.join(folder, name);
    const parts = namesIn(at).map(part => part.replace(/\.(safetensors|json)$/, ''));
    return { name, step, bytes: sizeOf(at), savedAt: statSync(at).mtimeMs, parts, isLast: name === last };
  });
}

/** `checkpoints/last`: a link to the newest, or a file holding its name. */
function lastCheckpoint(folder: string): string | undefined {
  const file = path.join(folder, 'last');
  const info = lstatSync(file, { throwIfNoEntry: false });
  if (!info) return undefined;
  if (info.isSymbolicLink()) return path.basename(readlinkSync(file));
  return info.isFile() ? path.basename(readFileSync(file, 'utf8').trim()) : undefined;
}

function sizeOf(file: string): number {
  const info = lstatSync(file);
  if (!info.isDirectory()) return info.size;
  return readdirSync(file).reduce((sum, name) => sum + sizeOf(path.join(file, name)), 0);
}

function readMetrics(folder: string): RunData['metrics'] {
  const evaluations = namesIn(path.join(folder, 'eval')).filter(name => name.endsWith('.json'));
  return ['metrics.json', ...evaluations.map(name => path.join('eval', name))].flatMap(name => {
    const content = readJson(path.join(folder, name));
    return content === undefined ? [] : [{ name, values: flatten(content) }];
  });
}

function readJson(file: string): unknown {
  try {
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  } catch {
    return undefined;
  }
}

/** `{a: {b: 1}}` as `[['a.b', '1']]`; lists stay on one line. */
function flatten(value: unknown, prefix = ''): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[prefix, typeof value === 'string' ? value : JSON.stringify(value)]];
  }
  return Object.entries(value).flatMap(([key, child]) => flatten(child, prefix ? `${prefix}.${key}` : key));
}
