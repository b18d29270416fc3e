/** The loss on clips that never train, at fixed timesteps with fixed noise, so that two measurements differ by the weights alone. */
import type { Config } from '../config/schema.js';
import type { FeatureReader } from '../data/features.js';
import { createLoader, type Loader } from '../data/index.js';
import { type CompiledFunction, compile, rngKey, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { TextSource } from '../models/text/index.js';
import type { TrainingData } from './data.js';
import type { Stage } from './stages/index.js';

/** Clips measured at most; they are the first ones of the held-out set. */
const MAX_CLIPS = 32;

export interface HeldOutContext {
  config: Config;
  data: TrainingData;
  stage: Stage;
  text: TextSource;
  /** Read in place of frames, where there are any. */
  latents: FeatureReader | null;
}

export class HeldOutLoss {
  /** Loss at each of `validate.heldOutTimesteps`, of the last measurement. */
  byTimestep: Record<number, number> = {};
  private readonly parts: Part[];
  private readonly evaluate: CompiledFunction;

  constructor(private readonly context: HeldOutContext) {
    const { config, data, stage } = context;
    const wanted = config.validate.heldOutEverySteps > 0;
    if (wanted && data.heldOut.length === 0) {
      throw new InputError(
        'validate.heldOutEverySteps is set but there are no held-out clips: set data.heldOut.source or data.heldOut.fraction',
        {
          code: 'train.no-held-out',
        },
      );
    }
    this.parts = wanted ? partsOf(context) : [];
    this.evaluate = compile(
      (video, text, timesteps, noiseKey) => [stage.loss({ video, text, timesteps, noiseKey }).simple],
      {
        name: 'held_out',
        precision: config.precision,
        enabled: config.compile,
      },
    );
  }

  due(step: number): boolean {
    const { validate, train } = this.context.config;
    return this.parts.length > 0 && (step % validate.heldOutEverySteps === 0 || step === train.steps);
  }

  /** Mean over timesteps and clips; without dropout, with the weights the model holds now. */
  async measure(): Promise<number> {
    const { config, stage, text } = this.context;
    const { heldOutTimesteps } = config.validate;
    const sums = new Map<number, number>();
    let count = 0;
    for (const [i, { loader, step, rows }] of this.parts.flatMap(batchesOf).entries()) {
      const batch = await loader.batch(step);
      const context = text.encode(batch.captions);
      const clips = tf.tensor(batch.videos, batch.shape);
      const noiseKey = rngKey(config.seed, i, 'held-out noise');
      const video = await stage.prepare(clips, noiseKey);
      tf.tidy(() => {
        for (const t of heldOutTimesteps) {
          const timesteps = tf.fill([batch.captions.length], t, 'int32');
          const losses = this.evaluate(video, context, timesteps, noiseKey)[0]!.dataSync() as Float32Array;
          sums.set(t, (sums.get(t) ?? 0) + losses.subarray(0, rows).reduce((a, b) => a + b, 0));
        }
      });
      tf.dispose([context, clips, noiseKey, video]);
      count += Math.min(rows, batch.captions.length);
    }
    this.byTimestep = Object.fromEntries([...sums].map(([t, sum]) => [t, sum / count]));
    return [...sums.values()].reduce((a, b) => a + b, 0) / (count * heldOutTimesteps.length);
  }

  async dispose(): Promise<void> {
    this.evaluate.dispose();
    await Promise.all(this.parts.map(({ loader }) => loader.close()));
  }
}

/** Clips of one shape. */
interface Part {
  loader: Loader;
  /** Rows that count in all: those of a bucket once each. Without buckets the last batch is full, as it always was. */
  clips: number;
  batchSize: number;
}

function partsOf({ config, data, latents }: HeldOutContext): Part[] {
  const { batchSize } = config.train;
  const entries = data.heldOut.slice(0, MAX_CLIPS);
  const common = { ...data.loaderOptions, features: latents ?? undefined, entries, batchSize, prefetch: 0 };
  if (!data.buckets) return [{ loader: createLoader(common), clips: Number.POSITIVE_INFINITY, batchSize }];
  return data.buckets.heldOut.flatMap(bucket => {
    const members = Array.from(bucket.members).filter(member => member < entries.length);
    if (members.length === 0) return [];
    const loader = createLoader({ ...common, buckets: [{ ...bucket, members }] });
    return [{ loader, clips: members.length, batchSize: bucket.batchSize ?? batchSize }];
  });
}

/** @returns the batches that show each clip, and how many of the first rows of each count */
function batchesOf({ loader, clips, batchSize }: Part): { loader: Loader; step: number; rows: number }[] {
  return Array.from({ length: Math.max(1, loader.batchesPerEpoch) }, (_, step) => {
    return { loader, step, rows: Math.min(batchSize, clips - step * batchSize) };
  });
}
