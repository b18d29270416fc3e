/**
 * Keyframe sampling, Show-1's base stage: classifier-free guidance over [unconditional; conditional] and any scheduler
 * (SHOW1.md "Pipelines"; Show-1 `pipeline_t2v_base_pixel.py`). One denoising step, network and scheduler together, is one
 * compiled function; the constants of each timestep are its arguments.
 */
import {
  dropVariance,
  guide,
  packCoefficients,
  type Scheduler,
  unpackCoefficients,
  varianceHandling,
} from '../diffusion/index.js';
import {
  type CompiledFunction,
  compile,
  type Precision,
  randomNormal,
  rngKeyWords,
  type Tensor,
  tf,
} from '../engine/index.js';
import { InputError } from '../errors.js';
import type { UNet3DConditionModel } from '../models/unet3d/index.js';

export interface BaseSamplerOptions {
  unet: UNet3DConditionModel;
  scheduler: Scheduler<any>;
  precision?: Precision;
  compile?: boolean;
}

export interface SampleOptions {
  /** [B, L, D] */
  text: Tensor;
  /** [B, L, D] or [1, L, D]: the empty prompt or a negative one; not used when `guidanceScale` is 1. */
  unconditional: Tensor;
  frames: number;
  height: number;
  width: number;
  steps: number;
  guidanceScale: number;
  /** One seed for each video: a video depends on its own seed and prompt only, not on its neighbours in the batch. */
  seeds: number[];
  eta?: number;
  onStep?: (done: number, total: number) => void;
  /** Checked before every step; throw in it to stop. */
  checkpoint?: () => void;
}

/** Base-stage sampler bound to a UNet and a scheduler. Compiled steps are kept between calls. */
export class BaseSampler {
  private readonly compiled = new Map<boolean, CompiledFunction>();

  constructor(private readonly options: BaseSamplerOptions) {}

  /** @returns [B, F, H, W, C] in about [-1, 1]; belongs to the caller. */
  async sample(request: SampleOptions): Promise<Tensor> {
    const {
      text,
      unconditional,
      frames,
      height,
      width,
      steps,
      guidanceScale,
      seeds,
      eta = 0,
      onStep,
      checkpoint,
    } = request;
    const B = text.shape[0] as number;
    if (seeds.length !== B) {
      throw new InputError(`sample: ${seeds.length} seeds for ${B} prompts; give one seed a prompt`, {
        code: 'infer.seeds',
      });
    }
    const { scheduler, unet } = this.options;
    const C = unet.config.inChannels;
    const shape = [B, frames, height, width, C];
    const guided = guidanceScale !== 1;
    const context = tf.tidy(() => {
      if (!guided) return text.clone();
      const negative =
        unconditional.shape[0] === B ? unconditional : tf.concat(Array<Tensor>(B).fill(unconditional), 0);
      return tf.concat([negative, text], 0); // [2B, L, D]
    });
    scheduler.setTimesteps(steps);
    scheduler.reset();
    let x = noiseFor(seeds, shape, 'initial noise');
    // A multistep scheduler starts from zeros, which its first coefficients do not use, so that one trace serves all steps.
    let history: Tensor[] = Array.from({ length: scheduler.historyLength }, () => tf.zeros(shape));
    try {
      for (const [i, t] of scheduler.timesteps.entries()) {
        checkpoint?.();
        const [next, ...kept] = tf.tidy(() => {
          const values = scheduler.coefficients(t, { eta, historyLength: Math.min(i, scheduler.historyLength) });
          const coefficients = tf.tensor1d(packCoefficients(scheduler, values));
          const noise = values.noise ? noiseFor(seeds, shape, `step noise ${i}`) : tf.zeros(shape);
          return this.step(guided)(
            x,
            tf.fill([context.shape[0]!], t, 'int32'),
            context,
            tf.scalar(guidanceScale),
            noise,
            coefficients,
            ...history,
          );
        }) as [Tensor, ...Tensor[]];
        tf.dispose([x, ...history]);
        x = next;
        history = kept;
        onStep?.(i + 1, scheduler.timesteps.length);
        await new Promise(resolve => setImmediate(resolve)); // let Ctrl-C and progress through
      }
      return x;
    } catch (error) {
      x.dispose();
      throw error;
    } finally {
      tf.dispose([context, ...history]);
    }
  }

  /** The compiled step, with or without guidance. */
  private step(guided: boolean): CompiledFunction {
    let step = this.compiled.get(guided);
    if (!step) {
      const { precision, compile: enabled } = this.options;
      step = compile((...inputs) => this.denoise(guided, inputs), { name: 'denoise', precision, enabled });
      this.compiled.set(guided, step);
    }
    return step;
  }

  private denoise(guided: boolean, inputs: Tensor[]): Tensor[] {
    const { unet, scheduler } = this.options;
    const [x, t, context, scale, noise, packed, ...history] = inputs as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Tensor[],
    ];
    const output = unet.forward(guided ? tf.concat([x, x], 0) : x, t, context); // [B or 2B, F, H, W, C or 2C]
    const variance = varianceHandling(output.shape.at(-1)!, x.shape.at(-1)!, scheduler);
    const prediction = guided
      ? guide(output, { scale, variance })
      : variance === 'drop'
        ? dropVariance(output)
        : output;
    const next = scheduler.update(unpackCoefficients(scheduler, packed), prediction, x, { noise, history });
    return [next.prevSample, ...next.history];
  }

  /** Frees the compiled steps; the UNet stays the caller's. */
  dispose(): void {
    for (const step of this.compiled.values()) step.dispose();
    this.compiled.clear();
  }
}

/** Standard normal noise whose entry i depends on seeds[i] and the purpose alone. */
function noiseFor(seeds: number[], [, ...shape]: number[], purpose: string): Tensor {
  return tf.tidy(() =>
    tf.stack(seeds.map(seed => randomNormal(shape, tf.tensor1d(rngKeyWords(seed, 0, purpose), 'int32')))),
  );
}
