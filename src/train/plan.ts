/** What a training config will cost, before it trains: parameters, memory, time. */
import path from 'node:path';
import type { Config } from '../config/schema.js';
import { largestShape } from '../config/shapes.js';
import { DDPMScheduler } from '../diffusion/index.js';
import { compile, estimate, randomNormal, rngKey, type Tensor, tf, valueAndGrads } from '../engine/index.js';
import { pretrainedRoot } from '../infer/model-folder.js';
import { parseAutoencoderConfig } from '../models/vae/index.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import { buildUnet } from './assemble.js';
import { applyCheckpointing } from './checkpointing.js';
import { AdamW } from './optimizer.js';
import { createStage } from './stages/index.js';
import { chooseTrained } from './trained.js';

export interface Plan {
  stage: string;
  /** [B, F, H, W, C] of one forward pass: pixels, or the latents of stage sr2. Of several shapes, the largest. */
  batchShape: number[];
  parameters: { total: number; trainable: number; byPart: Record<string, { total: number; trainable: number }> };
  /** Bytes of what lives through the whole run; activations come on top and are in `calibration.peakBytes`. */
  memory: { weights: number; moments: number; average: number; gradients: number };
  /**
   * From the traced step, nothing run: the most that a step's activations and gradients hold at once, and with program,
   * weights, moments and average the peak of the run. Held-out losses and samples are not counted.
   */
  predicted: { stepBytes: number; peakBytes: number };
  steps: number;
  clipsSeen: number;
  /** Measured with random input; null when not asked for. */
  calibration: { secondsPerStep: number; firstStepSeconds: number; peakBytes: number; etaSeconds: number } | null;
}

const CALIBRATION_STEPS = 3;

/** First part of a dotted name, e.g. `down_blocks.1`. */
const partOf = (name: string): string => /^(down_blocks|up_blocks)\.\d+|^[^.]+/.exec(name)![0];

/** [H, W, C] of what the stage's loss reads. */
function frameShape(
  { conditioning, stage, model }: Config,
  clip: { height: number; width: number },
  channels: number,
): [number, number, number] {
  const [height, width] = [conditioning.crop || clip.height, conditioning.crop || clip.width];
  if (stage === 'base' || stage === 'interp') return [clip.height, clip.width, 3];
  if (stage === 'sr1') return [height, width, channels];
  const levels = model.vae?.tiny?.blockOutChannels ?? readVaeLevels(model);
  const factor = 2 ** (levels.length - 1);
  return [Math.floor(height / factor), Math.floor(width / factor), channels];
}

function readVaeLevels({ vae, pretrained }: Config['model']): number[] {
  const folder = vae?.path ?? path.join(pretrainedRoot(pretrained!), 'vae');
  return parseAutoencoderConfig(readModelConfig(folder), { source: folder }).blockOutChannels;
}

/**
 * Builds the model, counts, and times a few steps on random input. Nothing is written.
 * @throws InputError like training itself for configs that do not fit together
 */
export async function plan(
  config: Config,
  { calibrate = true, onStep }: { calibrate?: boolean; onStep?: (done: number, total: number) => void } = {},
): Promise<Plan> {
  const { train, model } = config;
  const unet = await buildUnet(model);
  try {
    applyCheckpointing(unet, train.gradientCheckpointing);
    const parameters = [...unet.parameters().values()];
    const { selection, tensors: trainable } = chooseTrained(unet, train);
    const chosen = new Set(selection.names);
    const byPart: Plan['parameters']['byPart'] = {};
    for (const { path, size } of parameters) {
      byPart[partOf(path)] ??= { total: 0, trainable: 0 };
      const part = byPart[partOf(path)]!;
      part.total += size;
      if (chosen.has(path)) part.trainable += size;
    }
    const scheduler = DDPMScheduler.fromConfig((config.diffusion.scheduler ?? {}) as Record<string, unknown>);
    const stage = createStage({
      unet,
      schedule: scheduler.schedule,
      predictionType: scheduler.config.predictionType,
      config,
    });
    stage.check();
    const largest = largestShape(config);
    const { batchSize } = largest;
    const batchShape = [batchSize, largest.frames, ...frameShape(config, largest, unet.config.inChannels)];
    const variables = trainable.map(p => p.variable);
    const gradientStep = (video?: Tensor, text?: Tensor, timesteps?: Tensor, noiseKey?: Tensor): Tensor[] => {
      const inputs = { video: video!, text: text!, timesteps: timesteps!, noiseKey: noiseKey! };
      const { value, grads } = valueAndGrads(() => stage.loss(inputs).loss, variables);
      return [value, ...grads];
    };
    const { encoderHidDim, crossAttentionDim } = unet.config;
    const textShape = [batchSize, model.maxTextLength, encoderHidDim ?? [crossAttentionDim].flat()[0]!];
    const memory: Plan['memory'] = {
      weights: 4 * selection.total,
      moments: 8 * selection.trainable,
      average: train.ema.decay > 0 ? 4 * selection.trainable : 0,
      gradients: 4 * selection.trainable * (train.accumulate > 1 ? 2 : 1),
    };
    const { activationBytes } = estimate(
      gradientStep,
      [
        { shape: batchShape },
        { shape: textShape },
        { shape: [batchSize], dtype: 'int32' },
        { shape: [2], dtype: 'int32' },
      ],
      { precision: config.precision },
    );
    const program = Math.max(0, process.memoryUsage().rss - memory.weights);
    // Gradients summed over several steps are kept beside those of the step.
    const accumulated = train.accumulate > 1 ? 4 * selection.trainable : 0;
    const held = program + memory.weights + memory.moments + memory.average + accumulated;
    const result: Plan = {
      stage: stage.name,
      batchShape,
      parameters: { total: selection.total, trainable: selection.trainable, byPart },
      memory,
      predicted: { stepBytes: activationBytes, peakBytes: held + activationBytes },
      steps: train.steps,
      clipsSeen: train.steps * train.batchSize * train.accumulate,
      calibration: null,
    };
    if (!calibrate) return result;

    const optimizer = new AdamW(trainable, {
      ...train,
      ema: train.ema.decay > 0,
      averageOnHost: train.ema.device === 'host',
      compile: config.compile,
    });
    const gradients = compile(gradientStep, { name: 'plan', precision: config.precision, enabled: config.compile });
    const times: number[] = [];
    for (let step = 0; step <= CALIBRATION_STEPS; step++) {
      const began = performance.now();
      tf.tidy(() => {
        const inputs = [
          randomNormal(batchShape, rngKey(0, step, 'video')),
          randomNormal(textShape, rngKey(0, step, 'text')),
        ];
        const outputs = gradients(...inputs, tf.fill([batchSize], 500, 'int32'), rngKey(0, step, 'noise'));
        const [, ...grads] = outputs as [Tensor, ...Tensor[]];
        optimizer.gradientNorm(grads);
        optimizer.step(grads, { learningRate: 0, step, gradientScale: 1 });
      });
      times.push((performance.now() - began) / 1e3);
      onStep?.(step + 1, CALIBRATION_STEPS + 1);
      await new Promise(resolve => setImmediate(resolve));
    }
    gradients.dispose();
    optimizer.dispose();
    const secondsPerStep =
      train.accumulate * [...times.slice(1)].sort((a, b) => a - b)[Math.floor(CALIBRATION_STEPS / 2)]!;
    result.calibration = {
      secondsPerStep,
      firstStepSeconds: times[0]!,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      etaSeconds: secondsPerStep * train.steps,
    };
    return result;
  } finally {
    unet.dispose();
  }
}
