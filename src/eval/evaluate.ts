/** From two folders to a figure: features of both sets, their statistics in canonical order, the metric, the protocol. */
import { createHash } from 'node:crypto';
import { InputError, WorkError } from '../errors.js';
import type { CLIPModel } from '../models/clip/index.js';
import { type MetricNetwork, openMetricNetwork } from '../models/metrics/index.js';
import { type C3dMean, c3dMeanOf } from './c3d-mean.js';
import { captionsOf } from './captions.js';
import { ClipsimSum, unitRows } from './clipsim.js';
import { hashOfVideos } from './content.js';
import { type Extraction, extract, type Shard } from './extract.js';
import { createExtractor, type OpenExtractor } from './extractors.js';
import { FeatureStore } from './feature-store.js';
import { frechetDistance } from './frechet.js';
import { inceptionScore } from './inception-score.js';
import { countReasons, type EvaluationResult, type Protocol, versions } from './protocol.js';
import { type EvaluateRequest, readRequest, type Settings } from './request.js';
import type { Side } from './set-options.js';
import { openSet, type VideoSet } from './sets.js';
import { FeatureStatistics } from './statistics.js';
import { embedTexts, type OpenTokenizer, openTokenizer } from './text-features.js';

/** Raise it when features of the same settings come out differently. */
const FEATURES_VERSION = 1;

/** Features of one set, ready to be read. */
interface Measured {
  set: VideoSet;
  extraction: Extraction;
  store: FeatureStore;
}

interface Work {
  request: EvaluateRequest;
  settings: Settings;
  network: MetricNetwork;
  /** is: what was subtracted from the frames. */
  mean?: C3dMean;
  /** clipsim */
  tokenizer?: OpenTokenizer;
  sides: Map<Side, Measured>;
}

/**
 * Measures, and says what the figure follows from. Safe to kill: the same call repeats nothing that is finished, and gives the
 * same figure bit for bit.
 * @throws InputError `eval.*`, `manifest.*`, `metrics.*`; InterruptedError `eval.interrupted`; WorkError `ffmpeg.*`, `eval.not-finite`
 */
export async function evaluate(request: EvaluateRequest): Promise<EvaluationResult> {
  return withFeatures(request, undefined, score);
}

export interface ShardSummary {
  shard: string;
  /** Videos computed in this run. */
  computed: number;
  /** Videos of this shard whose features are there. */
  videos: Partial<Record<Side, number>>;
}

/** Computes a part of the features; `evaluate` finds them in the same cache. */
export async function evaluateShard(request: EvaluateRequest, shard: Shard): Promise<ShardSummary> {
  return withFeatures(request, shard, async ({ sides }) => ({
    shard: `${shard.index + 1}/${shard.count}`,
    computed: [...sides.values()].reduce((sum, { extraction }) => sum + extraction.computed, 0),
    videos: Object.fromEntries([...sides].map(([side, { extraction }]) => [side, extraction.clips.length])),
  }));
}

async function withFeatures<T>(
  request: EvaluateRequest,
  shard: Shard | undefined,
  use: (work: Work) => Promise<T>,
): Promise<T> {
  const settings = readRequest(request);
  const { definition, batch, preprocess, seed, workers, cache } = settings;
  const { print = () => {}, onProgress = () => {}, signal } = request;
  const needsCaptions = definition.network === 'clip';
  const sets = new Map<Side, VideoSet>();
  for (const side of definition.sides) {
    const { source, root, split } = settings.sides[side]!;
    const prompts = side === 'generated' ? request.prompts : undefined;
    const set = await openSet(source, { root, split, seed, captions: needsCaptions, prompts });
    for (const note of set.notes) print(note);
    const counts = Object.entries(countReasons(set.rejected)).map(([reason, count]) => `${count} ${reason}`);
    print(
      `${side}: ${set.entries.length} videos in ${source}${counts.length > 0 ? `; left out ${counts.join(', ')}` : ''}`,
    );
    sets.set(side, set);
  }
  const available = (side: Side) =>
    Math.min(settings.sides[side]!.samples ?? Number.POSITIVE_INFINITY, sets.get(side)!.entries.length);
  refuseFew(request, settings, available);
  if (request.metric === 'is') checkParts(request, available('generated'));

  const network = await openMetricNetwork(request.weights, definition.network);
  /** Rows that there will be, where that is known before anything is computed. */
  const expected = definition.sides.flatMap(side => {
    const { frames } = settings.sides[side]!.sampling;
    const perVideo = definition.takesClips ? 1 : frames;
    return definition.frechet && perVideo !== 'all'
      ? [{ side, rows: available(side) * perVideo, features: network.features }]
      : [];
  });
  const stores: FeatureStore[] = [];
  let mean: C3dMean | undefined;
  let tokenizer: OpenTokenizer | undefined;
  let extractor: OpenExtractor | undefined;
  try {
    refuseFew(request, settings, available, expected);
    if (definition.network === 'c3d') mean = await c3dMeanOf(request.weights);
    if (definition.network === 'clip') tokenizer = await openTokenizer(request.weights);
    const sides = new Map<Side, Measured>();
    for (const [side, set] of sets) {
      const { sampling, resolution, samples } = settings.sides[side]!;
      const { seed: clipSeed, ...fixed } = sampling;
      const spec = {
        version: FEATURES_VERSION,
        network: { kind: network.kind, sha256: network.sha256, config: configOf(network) },
        preprocess,
        ...(mean ? { mean: mean.id } : {}),
        sampling: { ...fixed, ...(sampling.position === 'random' && sampling.frames !== 'all' ? { clipSeed } : {}) },
        resolution: resolution.id,
        batch,
      };
      const store = await FeatureStore.open(cache, spec, { print });
      stores.push(store);
      const extraction = await extract({
        ...{ set, samples, sampling, resolution, store, shard, workers, signal },
        batch: definition.takesClips ? batch : 1,
        storedOnly: request.merge,
        extractor: async () => {
          extractor ??= createExtractor({ definition, preprocess, network, mean, batch });
          return extractor;
        },
        onProgress: (done, total) => onProgress(`${definition.title}, ${side}`, done, total),
      });
      const { clips, rejected, computed } = extraction;
      const out =
        rejected.length > set.rejected.length ? `; ${rejected.length - set.rejected.length} cannot be used` : '';
      print(`${side}: features of ${clips.length} videos, ${computed} of them new${out}`);
      sides.set(side, { set, extraction, store });
    }
    return await use({ request, settings, network, mean, tokenizer, sides });
  } finally {
    for (const store of stores) store.close();
    extractor?.dispose();
    network.dispose();
  }
}

/** Before the work rather than after it. */
function checkParts({ splits = 10, repeats = 1 }: EvaluateRequest, videos: number): void {
  if (videos >= 2 * splits * repeats || (splits * repeats === 1 && videos > 0)) return;
  throw new InputError(
    `--splits is ${splits} and --repeats ${repeats}, but ${videos} videos do not make parts of two (a part of one video always scores 1); ask for fewer`,
    { code: 'eval.option', option: 'splits', value: splits },
  );
}

/**
 * Too few videos make a figure that compares with nobody's.
 * @returns what there is too little of, where that is allowed
 * @throws InputError `eval.too-few`
 */
function refuseFew(
  { allowFew = false }: EvaluateRequest,
  { definition, sides }: Settings,
  count: (side: Side) => number,
  rows?: { side: Side; rows: number; features: number }[],
): string | null {
  const { title, papers } = definition;
  const few = definition.sides.filter(side => count(side) < papers).map(side => `${count(side)} ${side}`);
  const problems: string[] = [];
  if (few.length > 0) {
    problems.push(
      `${title} is measured on ${papers.toLocaleString('en')} videos in papers; there are ${few.join(' and ')}`,
    );
  }
  for (const { side, rows: n, features } of rows ?? []) {
    if (n > features) continue;
    problems.push(
      `a covariance of ${features} features needs more rows than that; ${side} has ${n} (${count(side)} videos of ${sides[side]!.sampling.frames} frames)`,
    );
  }
  if (problems.length === 0) return null;
  const why = problems.join('; ');
  if (allowFew) return why;
  throw new InputError(
    `${why}. Give more videos, or --allow-few for a figure that compares only with others of as many (the result says so)`,
    { code: 'eval.too-few' },
  );
}

async function score(work: Work): Promise<EvaluationResult> {
  const { request, settings, network, sides } = work;
  const { definition } = settings;
  const count = (side: Side) => sides.get(side)!.extraction.clips.length;
  for (const side of definition.sides) {
    if (count(side) > 0) continue;
    const { set, extraction } = sides.get(side)!;
    throw new InputError(
      `none of the ${set.entries.length} videos of ${set.source} can be measured. First: ${extraction.rejected[0]?.message}`,
      {
        code: 'eval.nothing-left',
        counts: countReasons(extraction.rejected),
      },
    );
  }
  const rows: { side: Side; rows: number; features: number }[] = [];
  const statistics = new Map<Side, FeatureStatistics>();
  if (definition.frechet) {
    for (const [side, { extraction, store }] of sides) {
      const sum = new FeatureStatistics(network.features);
      for (const { content } of extraction.clips) {
        const { rows: n, values } = await store.read(content.name);
        sum.add(values, n);
      }
      statistics.set(side, sum);
      rows.push({ side, rows: sum.n, features: sum.dim });
    }
  }
  const few = refuseFew(request, settings, count, rows);
  const figure = await figureOf(work, statistics);
  if (!Number.isFinite(figure.value)) {
    throw new WorkError(`${definition.title} came out as ${figure.value}`, { code: 'eval.not-finite' });
  }
  const rejected = Object.fromEntries([...sides].map(([side, { extraction }]) => [side, extraction.rejected]));
  return {
    metric: request.metric,
    value: figure.value,
    details: {
      ...figure.details,
      ...(rows.length > 0 ? { rows: Object.fromEntries(rows.map(one => [one.side, one.rows])) } : {}),
    },
    samples: Object.fromEntries(definition.sides.map(side => [side, count(side)])),
    few,
    protocol: protocolOf(work, figure.options),
    rejected,
  };
}

interface Figure {
  value: number;
  details: Record<string, unknown>;
  options: Record<string, unknown>;
}

async function figureOf(work: Work, statistics: Map<Side, FeatureStatistics>): Promise<Figure> {
  const { request, settings, network, mean, tokenizer, sides } = work;
  const generated = sides.get('generated')!;
  switch (request.metric) {
    case 'fvd':
    case 'fid-vid':
      return {
        value: frechetDistance(statistics.get('real')!, statistics.get('generated')!),
        details: {},
        options: {},
      };
    case 'is':
      return inceptionFigure(request, settings, network, mean!, generated);
    case 'clipsim':
      return clipsimFigure(request, settings, network, tokenizer!, generated);
  }
}

async function inceptionFigure(
  { splits = 10, repeats = 1 }: EvaluateRequest,
  { seed }: Settings,
  { features: classes }: MetricNetwork,
  { id: subtracted }: C3dMean,
  { extraction, store }: Measured,
): Promise<Figure> {
  const n = extraction.clips.length;
  const logits = new Float32Array(n * classes);
  for (const [i, { content }] of extraction.clips.entries())
    logits.set((await store.read(content.name)).values, i * classes);
  const { mean, std } = inceptionScore(logits, n, classes, { splits, seed, repeats });
  return { value: mean, details: { std }, options: { splits, repeats, mean: subtracted } };
}

async function clipsimFigure(
  request: EvaluateRequest,
  { cache }: Settings,
  network: MetricNetwork,
  open: OpenTokenizer,
  { set, extraction, store }: Measured,
): Promise<Figure> {
  const { print, onProgress = () => {}, signal, merge } = request;
  const captions = extraction.clips.map(({ entry }) => captionsOf(entry));
  const texts = await embedTexts({
    ...{ texts: captions.flat(), open, cache, print, signal },
    model: network.model as CLIPModel,
    network: network.sha256,
    storedOnly: merge,
    onProgress: (done, total) => onProgress('CLIPSIM, prompts', done, total),
  });
  try {
    const sum = new ClipsimSum();
    for (const [i, { content }] of extraction.clips.entries()) {
      const frames = unitRows(await store.read(content.name));
      const rows: Float64Array[] = [];
      for (const text of captions[i]!) rows.push(unitRows(await texts.features.of(text))[0]!);
      sum.add(frames, rows);
    }
    const { value, ...details } = sum.score();
    const pairs = extraction.clips.map(({ content }, i) => `${content.video}\t${captions[i]!.join('\t')}`);
    return {
      value,
      details: { ...details, truncatedPrompts: texts.features.truncated },
      options: {
        prompts: set.prompts ?? null,
        promptsSha256: createHash('sha256').update(pairs.join('\n')).digest('hex'),
        tokenizerSha256: open.sha256,
        backbone: backboneOf(network),
      },
    };
  } finally {
    texts.store.close();
  }
}

/** What the config says about the network, and not about its origin. */
function configOf({ model }: MetricNetwork): object {
  const { source: _, ...config } = model.configJson();
  return config;
}

/** e.g. `ViT-B/32 at 224`. */
function backboneOf({ model }: MetricNetwork): string {
  const { patchSize, imageSize, numLayers, hiddenSize } = (model as CLIPModel).config.vision;
  const size = { 768: 'B', 1024: 'L', 1280: 'H' }[hiddenSize];
  const name = size
    ? `ViT-${size}/${patchSize}`
    : `ViT of ${numLayers} layers, width ${hiddenSize}, patches of ${patchSize}`;
  return `${name} at ${imageSize}`;
}

function protocolOf({ request, settings, network, sides }: Work, options: Record<string, unknown>): Protocol {
  const { preprocess, batch, seed } = settings;
  const side = ([name, { set, extraction }]: [Side, Measured]) => {
    const { sampling, resolution, samples } = settings.sides[name]!;
    const { frames, stride, fps, position } = sampling;
    return [
      name,
      {
        source: set.source,
        kind: set.kind,
        split: set.split,
        videos: extraction.clips.length,
        samples: samples ?? null,
        filesSha256: hashOfVideos(extraction.clips.map(({ content }) => content.video)),
        ...{ frames, stride, fps: fps ?? 'native', clip: position },
        clipSeed: position === 'random' ? sampling.seed : null,
        resolution: resolution.id,
        rejected: countReasons(extraction.rejected),
      },
    ];
  };
  return {
    metric: request.metric,
    network: {
      kind: settings.definition.network,
      sha256: network.sha256,
      source: network.source ?? null,
      config: configOf(network),
      features: network.features,
    },
    ...{ preprocess, batch, seed },
    sides: Object.fromEntries([...sides].map(side)),
    allowFew: request.allowFew ?? false,
    options,
    context: request.context ?? {},
    versions: versions(),
  };
}
