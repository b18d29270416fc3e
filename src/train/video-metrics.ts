/**
 * `validate.metrics`: figures of videos that the stage draws during training, against the clips that it does not train on. The same clips,
 * captions and seeds every time, so that the figures of two steps differ by the weights alone.
 */

import type { Config } from '../config/schema.js';
import { fromUnit } from '../data/frames.js';
import { createLoader, type Frames, type LoaderBucket } from '../data/index.js';
import { videoBytes } from '../diffusion/index.js';
import { tf } from '../engine/index.js';
import { InputError, InterruptedError, Show1Error, WorkError } from '../errors.js';
import { c3dMeanOf } from '../eval/c3d-mean.js';
import { ClipsimSum, unitRows } from '../eval/clipsim.js';
import { createExtractor, type OpenExtractor } from '../eval/extractors.js';
import { frechetDistance } from '../eval/frechet.js';
import { inceptionScore } from '../eval/inception-score.js';
import { DEFINITIONS, type MetricName } from '../eval/metrics.js';
import { FeatureStatistics } from '../eval/statistics.js';
import { createTextEncoder, type OpenTokenizer, openTokenizer, type TextEncoder } from '../eval/text-features.js';
import type { CLIPModel } from '../models/clip/index.js';
import { type MetricNetwork, openMetricNetwork } from '../models/metrics/index.js';
import type { RunLogger } from './logging/index.js';
import { createStageSampler, type StageSampler, type StageSamplerContext } from './stage-samplers.js';

/** Keys of the config. */
const KEYS = { fvd: 'fvd', fidVid: 'fid-vid', is: 'is', clipsim: 'clipsim' } as const satisfies Record<
  string,
  MetricName
>;
type Key = keyof typeof KEYS;

interface Wanted {
  key: Key;
  weights: string;
  preprocess?: string;
}

/** A metric while it measures. */
interface Measurement {
  key: Key;
  network: MetricNetwork;
  extractor: OpenExtractor;
  text?: TextEncoder;
  statistics: FeatureStatistics;
  logits: Float32Array[];
  clipsim: ClipsimSum;
}

function wantedOf({ validate: { metrics } }: Config): Wanted[] {
  return (Object.keys(KEYS) as Key[]).flatMap(key => (metrics?.[key] ? [{ key, ...metrics[key] }] : []));
}

async function openNetwork({ key, weights }: Wanted): Promise<{ network: MetricNetwork; tokenizer?: OpenTokenizer }> {
  try {
    const network = await openMetricNetwork(weights, DEFINITIONS[KEYS[key]].network);
    if (key !== 'clipsim') return { network };
    try {
      return { network, tokenizer: await openTokenizer(weights) };
    } catch (error) {
      network.dispose();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof Show1Error)) throw error;
    const message = `validate.metrics.${key}.weights: ${error.message}`;
    throw new InputError(message, { ...error.data, code: error.code }, error);
  }
}

/**
 * Opens every network once, so that what is missing is said before training, and says how far few samples reach.
 * @throws InputError naming the key of the config
 */
export async function checkVideoMetrics(config: Config, print: (line: string) => void): Promise<void> {
  const wanted = wantedOf(config);
  for (const one of wanted) (await openNetwork(one)).network.dispose();
  const samples = config.validate.metrics?.samples ?? 0;
  const definitions = wanted.map(({ key }) => DEFINITIONS[KEYS[key]]).filter(({ papers }) => samples < papers);
  if (definitions.length === 0) return;
  const names = definitions.map(({ title, papers }) => `${title} (papers: ${papers})`);
  print(
    `validate.metrics: ${samples} samples are few for ${names.join(', ')}: the figures compare steps of this run, not models`,
  );
}

export class VideoMetrics {
  private readonly wanted: Wanted[];
  private readonly captions: string[] = [];
  private readonly real = new Map<Key, FeatureStatistics>();
  private sampler: StageSampler | undefined;

  private readonly context: StageSamplerContext;

  /** @throws InputError `train.metrics` when no clip has the shape that is measured */
  constructor(context: StageSamplerContext) {
    this.wanted = wantedOf(context.config);
    this.context = this.wanted.length > 0 ? withOneShape(context) : context;
  }

  /** @param last the step that the run ends with */
  due(step: number, last: number): boolean {
    const { metrics } = this.context.config.validate;
    return this.wanted.length > 0 && (step % metrics!.everySteps === 0 || step === last);
  }

  /** Measures the weights that the model holds now, and logs `metrics/…`. */
  async measure(step: number, logger: RunLogger, print: (line: string) => void, signal?: AbortSignal): Promise<void> {
    const { samples } = this.context.config.validate.metrics!;
    const running: Measurement[] = [];
    const checkpoint = () => {
      if (signal?.aborted) throw new InterruptedError('measuring stopped', { code: 'train.validation-stopped' });
    };
    try {
      for (const wanted of this.wanted) running.push(await this.start(wanted));
      await this.readClips(running, samples, checkpoint);
      for (let i = 0; i < samples; i++) {
        const { caption, frames } = await this.draw(i, checkpoint);
        for (const one of running) await add(one, frames, caption);
      }
      const figures = Object.assign({}, ...running.map(one => this.figuresOf(one))) as Record<string, number>;
      logger.scalars(step, figures);
      const words = Object.entries(figures).map(([name, value]) => `${name.slice(8)} ${value.toFixed(4)}`);
      print(`metrics of ${samples} samples at step ${step}: ${words.join(', ')}`);
    } catch (error) {
      if (error instanceof InterruptedError) return; // the loop saves and stops at this step's end
      if (!(error instanceof WorkError)) throw error;
      print(`metrics of step ${step} could not be measured: ${error.message}`); // no reason to stop training
    } finally {
      for (const { extractor, text, network } of running) {
        extractor.dispose();
        text?.dispose();
        network.dispose();
      }
    }
  }

  async dispose(): Promise<void> {
    await this.sampler?.dispose();
  }

  private async start(wanted: Wanted): Promise<Measurement> {
    const { network, tokenizer } = await openNetwork(wanted);
    const definition = DEFINITIONS[KEYS[wanted.key]];
    const { preprocess = definition.preprocess[0]! } = wanted;
    const mean = wanted.key === 'is' ? await c3dMeanOf(wanted.weights) : undefined;
    return {
      key: wanted.key,
      network,
      extractor: createExtractor({ definition, preprocess, network, mean, batch: definition.batch }),
      text: tokenizer && createTextEncoder(network.model as CLIPModel, tokenizer.tokenizer),
      statistics: new FeatureStatistics(network.features),
      logits: [],
      clipsim: new ClipsimSum(),
    };
  }

  /** The clips' captions and statistics, once: they stay the same. */
  private async readClips(running: Measurement[], samples: number, checkpoint: () => void): Promise<void> {
    if (this.captions.length > 0) return;
    const { data, config } = this.context;
    const entries = data.heldOut.length > 0 ? data.heldOut : data.train;
    const members = data.heldOut.length > 0 ? data.buckets?.heldOut : data.buckets?.train;
    const buckets = members?.map(bucket => ({ ...bucket, batchSize: 1 }));
    const loader = createLoader({ ...data.loaderOptions, entries, buckets, batchSize: 1, prefetch: 0 });
    const frechet = running.filter(({ key }) => DEFINITIONS[KEYS[key]].frechet);
    const real = new Map(frechet.map(({ key, network }) => [key, new FeatureStatistics(network.features)]));
    const captions: string[] = [];
    try {
      for (let i = 0; i < samples; i++) {
        checkpoint();
        const { videos, shape, captions: own } = await loader.batch(i);
        captions.push(own[0]!);
        if (i >= loader.batchesPerEpoch) continue; // shown before
        const frames = fromUnit(videos, { frames: shape[1], height: shape[2], width: shape[3] });
        for (const { key, extractor } of frechet) {
          const [features] = await extractor.run([frames]);
          real.get(key)!.add(features!.values, features!.rows);
        }
      }
    } finally {
      await loader.close();
    }
    this.captions.push(...captions);
    for (const [key, statistics] of real) this.real.set(key, statistics);
    const validate = { ...config.validate, prompts: captions, clips: samples };
    this.sampler = createStageSampler({ ...this.context, config: { ...config, validate } });
  }

  private async draw(index: number, checkpoint: () => void): Promise<{ caption: string; frames: Frames }> {
    const { caption, videos } = await this.sampler!.draw(index, checkpoint);
    const { video } = videos.find(({ label }) => label === 'sample')!;
    const [, frames, height, width] = video.shape as [number, number, number, number];
    try {
      return { caption, frames: { data: await videoBytes(video), frames, height, width } };
    } finally {
      tf.dispose(videos.map(one => one.video));
    }
  }

  private figuresOf({ key, network, statistics, logits, clipsim }: Measurement): Record<string, number> {
    if (key === 'fvd' || key === 'fidVid') {
      return { [`metrics/${KEYS[key]}`]: frechetDistance(this.real.get(key)!, statistics) };
    }
    if (key === 'is') {
      const all = new Float32Array(logits.length * network.features);
      logits.forEach((row, i) => {
        all.set(row, i * network.features);
      });
      return { 'metrics/is': inceptionScore(all, logits.length, network.features).mean };
    }
    const { value, consistency } = clipsim.score();
    const { neighbours } = consistency;
    return { 'metrics/clipsim': value, ...(neighbours === null ? {} : { 'metrics/consistency': neighbours }) };
  }
}

/** Of buckets, the one that validation samples: networks of videos take clips of one length. */
function withOneShape(context: StageSamplerContext): StageSamplerContext {
  const { buckets } = context.data;
  const { width, height, frames } = context.config.data;
  if (!buckets) return context;
  const same = (bucket: LoaderBucket) =>
    bucket.width === width && bucket.height === height && bucket.frames === frames && bucket.members.length > 0;
  const chosen = { train: buckets.train.filter(same), heldOut: buckets.heldOut.filter(same) };
  const used = context.data.heldOut.length > 0 ? chosen.heldOut : chosen.train;
  if (used.length === 0) {
    const which = context.data.heldOut.length > 0 ? 'held-out clip' : 'clip';
    throw new InputError(
      `validate.metrics measures clips of ${width}x${height}x${frames}; no ${which} has that shape`,
      {
        code: 'train.metrics',
      },
    );
  }
  return { ...context, data: { ...context.data, buckets: chosen } };
}

/** Adds a drawn video. */
async function add(
  { extractor, text, statistics, logits, clipsim, key }: Measurement,
  frames: Frames,
  caption: string,
): Promise<void> {
  const [features] = await extractor.run([frames]);
  if (text) {
    const [row] = await text.run([caption]);
    clipsim.add(unitRows(features!), [unitRows(row!)[0]!]);
  } else if (key === 'is') logits.push(features!.values);
  else statistics.add(features!.values, features!.rows);
}
