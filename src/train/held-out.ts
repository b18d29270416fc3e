/** The loss on clips that never train, at fixed timesteps with fixed noise, so that two measurements differ by the weights alone. */
import type { Config } from '../config/schema.js';
import { createLoader, type Loader } from '../data/index.js';
import { type CompiledFunction, compile, rngKey, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { TextSource } from '../models/text/index.js';
import type { TrainingData } from './data.js';
import type { Stage } from './stages/index.js';

/** Clips measured at most; they are the first ones of the held-out set. */
const MAX_CLIPS = 32;

export class HeldOutLoss {
  /** Loss at each of `validate.heldOutTimesteps`, of the last measurement. */
  byTimestep: Record<number, number> = {};
  private readonly loader: Loader | null;
  private readonly evaluate: CompiledFunction;

  constructor(private readonly context: { config: Config; data: TrainingData; stage: Stage; text: TextSource }) {
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
    this.loader = wanted
      ? createLoader({
          ...data.loaderOptions,
          entries: data.heldOut.slice(0, MAX_CLIPS),
          batchSize: config.train.batchSize,
          prefetch: 0,
        })
      : null;
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
    return this.loader !== null && (step % validate.heldOutEverySteps === 0 || step === train.steps);
  }

  /** Mean over timesteps and clips; without dropout, with the weights the model holds now. */
  async measure(): Promise<number> {
    const { config, stage, text } = this.context;
    const loader = this.loader!;
    const { heldOutTimesteps } = config.validate;
    const sums = new Map<number, number>();
    let count = 0;
    for (let i = 0; i < Math.max(1, loader.batchesPerEpoch); i++) {
      const batch = await loader.batch(i);
      const context = text.encode(batch.captions);
      const clips = tf.tensor(batch.videos, batch.shape);
      const noiseKey = rngKey(config.seed, i, 'held-out noise');
      const video = await stage.prepare(clips, noiseKey);
      tf.tidy(() => {
        for (const t of heldOutTimesteps) {
          const timesteps = tf.fill([batch.captions.length], t, 'int32');
          const losses = this.evaluate(video, context, timesteps, noiseKey)[0]!.dataSync() as Float32Array;
          sums.set(t, (sums.get(t) ?? 0) + losses.reduce((a, b) => a + b, 0));
        }
      });
      tf.dispose([context, clips, noiseKey, video]);
      count += batch.captions.length;
    }
    this.byTimestep = Object.fromEntries([...sums].map(([t, sum]) => [t, sum / count]));
    return [...sums.values()].reduce((a, b) => a + b, 0) / (count * heldOutTimesteps.length);
  }

  async dispose(): Promise<void> {
    this.evaluate.dispose();
    await this.loader?.close();
  }
}
