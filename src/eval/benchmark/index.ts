/** A benchmark from the model to the figures, as papers run it. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../../errors.js';
import { openMetricNetwork } from '../../models/metrics/index.js';
import { writeJson, writeText } from '../../train/cache/atomic.js';
import { evaluate } from '../evaluate.js';
import { DEFINITIONS, type MetricName, type NetworkKind } from '../metrics.js';
import type { EvaluationResult } from '../protocol.js';
import type { EvaluateRequest } from '../request.js';
import { forSide } from '../set-options.js';
import { openTokenizer } from '../text-features.js';
import { fileOf, type GenerateRequest, generateVideos } from './generate.js';
import { type BenchmarkPlan, type PlanOptions, planBenchmark } from './plan.js';

export { BENCHMARKS, type BenchmarkName, METRICS_OF } from './plan.js';

export interface BenchmarkRequest extends PlanOptions, Omit<GenerateRequest, 'videos' | 'record' | 'checkFrames'> {
  /** Folders of the networks that the metrics need. */
  networks: Partial<Record<NetworkKind, string>>;
  /** How the clips of both sets are cut; defaults as for single metrics, resolution as the set is used. */
  evaluation?: Pick<
    EvaluateRequest,
    'cache' | 'batch' | 'workers' | 'allowFew' | 'frames' | 'clip' | 'fps' | 'stride' | 'resolution'
  >;
}

export interface BenchmarkResult {
  set: string;
  /** What was generated, and how. */
  generation: Record<string, unknown>;
  videos: number;
  made: number;
  /** Left out by a shard. */
  metrics?: Partial<Record<MetricName, EvaluationResult>>;
}

/**
 * Generates what is missing, then scores: `OUT/fvd.json` … and `OUT/result.json`. Safe to kill; a finished video is never generated again.
 * @throws InputError `eval.benchmark`, `manifest.*`, `infer.*`, `eval.*`; InterruptedError `eval.interrupted`
 */
export async function runBenchmark(request: BenchmarkRequest): Promise<BenchmarkResult> {
  const { set, out, networks, shard, print = () => {} } = request;
  const plan = await planBenchmark(request);
  for (const metric of plan.metrics) {
    const { network, title } = DEFINITIONS[metric];
    if (shard || networks[network] !== undefined) continue;
    throw new InputError(
      `${title} needs --weights ${network}=DIR; or name other metrics with --metrics (${plan.metrics.join(',')})`,
      { code: 'eval.benchmark', metric },
    );
  }
  const { seed, limit } = request;
  const { videos, ...rest } = plan;
  print(`${set}: ${videos.length} videos to generate for ${plan.metrics.join(', ')}`);
  await mkdir(out, { recursive: true });
  const { metrics: _, ...about } = rest; // more metrics may follow later
  const record = { set, seed, ...about };
  if (!shard) await checkNetworks(plan, request);
  const checkFrames = (frames: number) => checkLengths(plan, request, frames);
  const { record: generation, made } = await generateVideos({ ...request, videos, record, checkFrames });
  const result: BenchmarkResult = { set, generation, videos: videos.length, made };
  if (shard) return result;

  const metrics: BenchmarkResult['metrics'] = {};
  for (const metric of plan.metrics) {
    const listed = await writeList(out, metric, plan);
    const context = { benchmark: set, limit: limit ?? null, generation };
    metrics[metric] = await evaluate({
      ...requestOf(metric, plan, request),
      ...{ metric, generated: listed, context },
      ...{ signal: request.signal, print, onProgress: request.onProgress },
    });
    await writeJson(path.join(out, `${metric}.json`), metrics[metric]);
  }
  await writeJson(path.join(out, 'result.json'), { ...result, metrics });
  return { ...result, metrics };
}

/** Opens every network once: generating takes hours, and the figures need them all. @throws InputError `metrics.*`, `eval.no-tokenizer` */
async function checkNetworks({ metrics }: BenchmarkPlan, { networks }: BenchmarkRequest): Promise<void> {
  for (const kind of new Set(metrics.map(metric => DEFINITIONS[metric].network))) {
    (await openMetricNetwork(networks[kind]!, kind)).dispose();
    if (kind === 'clip') await openTokenizer(networks[kind]!);
  }
}

/** @throws InputError where the videos will be too short for a metric's clips */
function checkLengths({ metrics }: BenchmarkPlan, { evaluation, stages }: BenchmarkRequest, frames: number): void {
  for (const metric of metrics) {
    const wanted = forSide(evaluation?.frames, 'generated') ?? DEFINITIONS[metric].frames;
    const stride = forSide(evaluation?.stride, 'generated') ?? 1;
    if (wanted === 'all' || (wanted - 1) * stride + 1 <= frames) continue;
    throw new InputError(
      `${DEFINITIONS[metric].title} takes ${wanted} frames${stride > 1 ? ` at a stride of ${stride}` : ''}, but the stages (${stages.join(', ')}) make ` +
        `videos of ${frames}; run more stages (--stages base,interp), or choose other metrics`,
      { code: 'eval.benchmark', metric, wanted, frames },
    );
  }
}

/** Parts of IS; a trial has as many as it has at least two videos for: parts of one video always score 1. */
const SPLITS = 10;

function requestOf(
  metric: MetricName,
  plan: BenchmarkPlan,
  { data, root, seed, limit, networks, evaluation }: BenchmarkRequest,
): Omit<EvaluateRequest, 'metric' | 'generated'> {
  const { network, sides, papers } = DEFINITIONS[metric];
  const real = sides.includes('real')
    ? {
        real: data,
        root: { real: root },
        split: { real: plan.split },
        samples: { real: Math.min(papers, limit ?? papers) },
      }
    : {};
  return {
    resolution: plan.resolution,
    ...evaluation,
    ...real,
    weights: networks[network]!,
    ...(metric === 'is' && limit !== undefined ? { splits: Math.max(1, Math.min(SPLITS, Math.floor(limit / 2))) } : {}),
    allowFew: evaluation?.allowFew || limit !== undefined,
    seed,
  };
}

/** The videos that a metric measures, with their prompts, as a manifest. */
async function writeList(out: string, metric: MetricName, { videos }: BenchmarkPlan): Promise<string> {
  const file = path.join(out, `${metric}.jsonl`);
  const lines = videos
    .filter(({ metrics }) => metrics.includes(metric))
    .map(video =>
      JSON.stringify({ id: video.id, path: path.relative(out, fileOf(out, video)), caption: video.prompt }),
    );
  if (!existsSync(out) || lines.length === 0) {
    throw new InputError(`no video of the benchmark is for ${metric}; raise --limit`, {
      code: 'eval.benchmark',
      metric,
    });
  }
  await writeText(file, `${lines.join('\n')}\n`);
  return file;
}
