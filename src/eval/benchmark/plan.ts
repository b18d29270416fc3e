/** What the papers' benchmarks ask to be generated: which prompts, with which seeds, and which of the videos each metric measures. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ManifestEntry, openManifest } from '../../data/index.js';
import { classCaption } from '../../data/sources/ucf101.js';
import { InputError } from '../../errors.js';
import type { MetricName } from '../metrics.js';
import { drawOrder } from '../sets.js';

export const BENCHMARKS = ['msrvtt', 'ucf101'] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

/** One video to generate. */
export interface PlannedVideo {
  /** Also the name of its file. */
  id: string;
  prompt: string;
  seed: number;
  /** Metrics that measure it. */
  metrics: MetricName[];
}

export interface BenchmarkPlan {
  /** In the order of generation: those that most metrics need come first. */
  videos: PlannedVideo[];
  metrics: MetricName[];
  /** How papers cut the real and the generated videos. */
  resolution: string;
  /** Part of the dataset that the real videos are from. */
  split: string;
  /** What the prompts are, for the record. */
  prompts: Record<string, unknown>;
}

export interface PlanOptions {
  set: BenchmarkName;
  /** The dataset. */
  data: string;
  root?: string;
  /** Default: all that the set is used for. */
  metrics?: readonly MetricName[];
  /** Of the draws, and of the first video. */
  seed: number;
  /** msrvtt: `all` captions of all test videos for CLIPSIM (default), or `one` of each. */
  captions?: 'all' | 'one';
  /** ucf101: `sentences` (default), `class-names`, or a JSON file of sentences by class. */
  prompts?: string;
  /** ucf101: part of the dataset that the real videos are from (default train; all where there are no lists). */
  split?: string;
  /** Generate only the first so many videos. */
  limit?: number;
}

export const METRICS_OF: Record<BenchmarkName, readonly MetricName[]> = {
  msrvtt: ['fvd', 'fid-vid', 'clipsim'],
  ucf101: ['fvd', 'is'],
};
/** Generated videos of FVD and FID-vid, and of IS. */
const FRECHET = 2048;
const SCORED = 10_000;

/** @throws InputError `eval.benchmark`, `manifest.*` */
export async function planBenchmark(options: PlanOptions): Promise<BenchmarkPlan> {
  const known = METRICS_OF[options.set];
  const metrics = [...new Set(options.metrics ?? known)];
  const foreign = metrics.find(metric => !known.includes(metric));
  if (foreign) {
    throw new InputError(`--metrics ${foreign}: ${options.set} is measured by ${known.join(', ')}`, {
      code: 'eval.benchmark',
      metric: foreign,
    });
  }
  const plan = options.set === 'msrvtt' ? await planMsrVtt(options, metrics) : await planUcf101(options, metrics);
  const { limit = plan.videos.length } = options;
  if (!(Number.isSafeInteger(limit) && limit >= 1)) {
    throw new InputError(`--limit is ${limit}; allowed: a whole number from 1`, {
      code: 'eval.option',
      option: 'limit',
    });
  }
  return { ...plan, videos: plan.videos.slice(0, limit) };
}

/** Uniform in 0 … n-1, from the name of a video. */
const drawn = (n: number, seed: number, id: string): number =>
  Math.floor((createHash('sha256').update(`${seed}\0caption\0${id}`).digest().readUIntBE(0, 6) / 2 ** 48) * n);

const captionsOf = ({ caption, captions = [caption] }: ManifestEntry): string[] => captions;

/** FVD, FID-vid: one drawn caption of each of 2,048 drawn test videos. CLIPSIM: every caption of every test video. */
async function planMsrVtt(
  { data, root, seed, captions = 'all' }: PlanOptions,
  metrics: MetricName[],
): Promise<BenchmarkPlan> {
  const manifest = await openManifest(data, { root, split: 'test' });
  if (manifest.kind !== 'msrvtt') throw notThe('MSR-VTT', data, manifest.kind);
  const firstSeed = new Map<string, number>();
  let next = seed;
  for (const entry of manifest.entries) {
    firstSeed.set(entry.id, next);
    next += captionsOf(entry).length;
  }
  const video = (entry: ManifestEntry, caption: number, measured: MetricName[]): PlannedVideo => ({
    id: `${entry.id}-${String(caption).padStart(2, '0')}`,
    prompt: captionsOf(entry)[caption]!,
    seed: firstSeed.get(entry.id)! + caption,
    metrics: measured.filter(metric => metrics.includes(metric)),
  });
  const order = drawOrder(manifest.entries, seed);
  const choice = (entry: ManifestEntry) => drawn(captionsOf(entry).length, seed, entry.id);
  const chosen = order.map((entry, i) =>
    video(entry, choice(entry), i < FRECHET ? ['fvd', 'fid-vid', 'clipsim'] : ['clipsim']),
  );
  const others = order.flatMap(entry =>
    captionsOf(entry).flatMap((_, i) => (i === choice(entry) ? [] : [video(entry, i, ['clipsim'])])),
  );
  const videos = captions === 'all' ? [...chosen, ...others] : chosen;
  return {
    videos: videos.filter(one => one.metrics.length > 0),
    metrics,
    resolution: 'square:256',
    split: 'test',
    prompts: { captions, videos: manifest.entries.length, captionsOfTestVideos: next - seed },
  };
}

/** IS: 10,000 videos, classes in turn. FVD: the first 2,048 of them. */
async function planUcf101(
  { data, root, seed, prompts = 'sentences', split: wanted }: PlanOptions,
  metrics: MetricName[],
): Promise<BenchmarkPlan> {
  const { manifest, split } = await openUcf101(data, root, wanted);
  if (manifest.kind !== 'ucf101') throw notThe('UCF-101', data, manifest.kind);
  const classes = [...new Set(manifest.entries.map(({ id }) => id.split('/').at(-2)!))].sort();
  const list = prompts === 'class-names' ? undefined : readPromptList(prompts);
  const missing = classes.filter(name => list && list.prompts[name] === undefined);
  if (missing.length > 0) {
    throw new InputError(`${list!.file} has no prompt for ${missing.length} classes, the first is ${missing[0]}`, {
      code: 'eval.benchmark',
      missing,
    });
  }
  const promptOf = (name: string) => list?.prompts[name] ?? classCaption(name);
  const count = metrics.includes('is') ? SCORED : FRECHET;
  const videos = Array.from({ length: count }, (_, i): PlannedVideo => {
    const name = classes[i % classes.length]!;
    const measured: MetricName[] = i < FRECHET ? ['fvd', 'is'] : ['is'];
    return {
      id: `${String(i).padStart(5, '0')}-${name}`,
      prompt: promptOf(name),
      seed: seed + i,
      metrics: measured.filter(metric => metrics.includes(metric)),
    };
  });
  const record = list ? { list: list.name, version: list.version, sha256: list.sha256 } : { list: 'class-names' };
  return { videos, metrics, resolution: 'none', split, prompts: { ...record, classes: classes.length } };
}

/** The training part by default; every clip where the official lists are not there. */
async function openUcf101(data: string, root: string | undefined, wanted: string | undefined) {
  const split = wanted ?? 'train';
  try {
    return { manifest: await openManifest(data, { root, split }), split };
  } catch (error) {
    const hasNoLists = error instanceof InputError && error.code === 'manifest.split' && wanted === undefined;
    if (!hasNoLists) throw error;
    return { manifest: await openManifest(data, { root, split: 'all' }), split: 'all' };
  }
}

const notThe = (name: string, data: string, kind: string): InputError =>
  new InputError(`${data} is ${kind}, not ${name}: docs/data.md says how its folder looks`, {
    code: 'eval.benchmark',
    data,
    kind,
  });

interface PromptList {
  file: string;
  name: string;
  version: number;
  sha256: string;
  prompts: Record<string, string>;
}

/** Our own list is part of the package, two levels deeper when run from dist/. */
function ownList(): string {
  const candidates = ['../../../', '../../../../'].map(
    up => new URL(`${up}configs/eval/ucf101_prompts.json`, import.meta.url),
  );
  return candidates.map(url => fileURLToPath(url)).find(file => existsSync(file))!;
}

/** `{"name", "version", "prompts": {"ApplyEyeMakeup": "a woman …"}}`, or the inner object alone. */
function readPromptList(prompts: string): PromptList {
  const file = prompts === 'sentences' ? ownList() : prompts;
  const fail = (why: string): InputError =>
    new InputError(
      `--prompts ${prompts}: ${why}; allowed: sentences, class-names, or a JSON file {"ApplyEyeMakeup": "a woman …"}`,
      {
        code: 'eval.benchmark',
        prompts,
      },
    );
  let bytes: Buffer;
  let json: Record<string, unknown>;
  try {
    bytes = readFileSync(file);
    json = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw fail((error as Error).message);
  }
  const inner = Object(json.prompts ?? json) as Record<string, string>;
  if (Object.keys(inner).length === 0 || !Object.values(inner).every(text => typeof text === 'string' && text !== '')) {
    throw fail('it must give every class a sentence');
  }
  return {
    file,
    name: typeof json.name === 'string' ? json.name : path.basename(file),
    version: typeof json.version === 'number' ? json.version : 1,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    prompts: inner,
  };
}
