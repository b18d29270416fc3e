/**
 * The denoising loop that every stage shares: classifier-free guidance over [unconditional; conditional], any scheduler,
 * channels and labels that condition the network (SHOW1.md "Pipelines"). One step, network and scheduler together, is one
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
  estimate,
  type MemoryEstimate,
  type Precision,
  type Tensor,
  tf,
} from '../engine/index.js';
import { InputError } from '../errors.js';
import type { NoiseSource } from './noise.js';

/** A UNet as the loop sees it: `UNet3DConditionModel`, or `UNet2DConditionModel` with one frame. */
export interface DenoisingNetwork {
  readonly config: { readonly inChannels: number; readonly outChannels: number };
  /** sample [B, F, H, W, inChannels], timestep [B], text [B, L, D] -> [B, F, H, W, outChannels] */
  forward(sample: Tensor, timestep: Tensor, text: Tensor, conditions?: { classLabels?: Tensor | null }): Tensor;
}

export interface DenoiserOptions {
  unet: DenoisingNetwork;
  scheduler: Scheduler<any>;
  precision?: Precision;
  compile?: boolean;
}

/** What every sampler's request has. */
export interface SamplingOptions {
  /** [B, L, D] */
  text: Tensor;
  /** [B, L, D] or [1, L, D]: the empty prompt or a negative one; not used when `guidanceScale` is 1 or less. */
  unconditional: Tensor;
  steps: number;
  guidanceScale: number;
  /** One seed for each video: a video depends on its own seed and prompt only, not on its neighbours in the batch. */
  seeds: number[];
  eta?: number;
  onStep?: (done: number, total: number) => void;
  /** Checked before every step; throw in it to stop. */
  checkpoint?: () => void;
  /** Replaces the noise that `seeds` give, for replaying a reference run. */
  noise?: NoiseSource;
  /** Sees each step's tensors, which are disposed of after the call. */
  observe?: (step: ObservedStep) => void;
}

export interface ObservedStep {
  index: number;
  timestep: number;
  /** What the network was given, [B or 2B, F, H, W, inChannels]. */
  input: Tensor;
  /** What it gave, before guidance, [B or 2B, F, H, W, outChannels]. */
  output: Tensor;
  /** The sample after the step, [B, F, H, W, C]. */
  sample: Tensor;
}

export interface DenoiseRequest extends Omit<SamplingOptions, 'noise' | 'seeds' | 'steps'> {
  /** The sample at the first timestep, [B, F, H, W, C]; taken over. */
  start: Tensor;
  /** Timesteps to visit, of those that the scheduler was set to (default: all). */
  timesteps?: readonly number[];
  /** Further channels of the network's input, [B, F, H, W, K]; stays the caller's. */
  condition?: Tensor;
  /** [B]; stays the caller's. */
  classLabels?: Tensor;
  /** Draws each step's noise where the scheduler wants any. */
  noise: NoiseSource;
  /** Put before the purposes of `noise`, so that stages draw different numbers from one seed. */
  purpose?: string;
}

/** Checks that a stage's request is complete. @throws InputError naming the stage */
export function checkRequest(stage: string, B: number, { text, unconditional, seeds }: SamplingOptions): void {
  if (text.shape[0] !== B || seeds.length !== B) {
    throw new InputError(
      `${stage}: ${B} videos need ${B} prompts and seeds, not ${text.shape[0]} and ${seeds.length}`,
      {
        code: 'infer.batch',
      },
    );
  }
  const n = unconditional.shape[0]!;
  if (n !== B && n !== 1) {
    throw new InputError(`${stage}: give one unconditional prompt, or one for each of the ${B} videos, not ${n}`, {
      code: 'infer.batch',
    });
  }
}

/** [1 or B, L, D] -> [B, L, D], a tensor of its own. */
export function forBatch(embedding: Tensor, B: number): Tensor {
  return embedding.shape[0] === B ? embedding.clone() : tf.concat(Array<Tensor>(B).fill(embedding), 0);
}

/** The loop bound to a network and a scheduler. Compiled steps are kept between calls. */
export class Denoiser {
  private readonly compiled = new Map<string, CompiledFunction>();

  constructor(private readonly options: DenoiserOptions) {}

  get scheduler(): Scheduler<any> {
    return this.options.scheduler;
  }

  /** Channels of the sample where the network's other input channels are `conditionChannels`. */
  sampleChannels(conditionChannels: number): number {
    return this.options.unet.config.inChannels - conditionChannels;
  }

  /**
   * Walks from `start` down the timesteps; `scheduler.setTimesteps` must have been called.
   * @returns the sample after the last step, [B, F, H, W, C]; belongs to the caller
   */
  async run(request: DenoiseRequest): Promise<Tensor> {
    const {
      text,
      unconditional,
      guidanceScale,
      condition,
      classLabels,
      eta = 0,
      onStep,
      checkpoint,
      observe,
    } = request;
    const { scheduler } = this.options;
    const { timesteps = scheduler.timesteps, purpose = '' } = request;
    const guided = guidanceScale > 1; // as diffusers: up to 1 there is none
    let x = request.start;
    const { shape } = x;
    const B = shape[0]!;
    const context = tf.tidy(() => (guided ? tf.concat([forBatch(unconditional, B), text], 0) : text.clone())); // [B or 2B, L, D]
    const extras = [condition, classLabels].filter(t => t !== undefined);
    const step = this.step({ guided, hasCondition: !!condition, hasLabels: !!classLabels, observed: !!observe });
    scheduler.reset();
    // A multistep scheduler starts from zeros, which its first coefficients do not use, so that one trace serves all steps.
    let history: Tensor[] = Array.from({ length: scheduler.historyLength }, () => tf.zeros(shape));
    try {
      for (const [index, timestep] of timesteps.entries()) {
        checkpoint?.();
        const outputs = tf.tidy(() => {
          const historyLength = Math.min(index, scheduler.historyLength);
          const values = scheduler.coefficients(timestep, { eta, historyLength });
          const noise = values.noise ? request.noise(`${purpose}step noise ${index}`, shape) : tf.zeros(shape);
          const t = tf.fill([context.shape[0]!], timestep, 'int32');
          const coefficients = tf.tensor1d(packCoefficients(scheduler, values));
          return step(x, t, context, tf.scalar(guidanceScale), noise, coefficients, ...extras, ...history);
        });
        const [next, ...kept] = outputs as [Tensor, ...Tensor[]];
        tf.dispose([x, ...history]);
        x = next;
        if (observe) {
          const [input, output] = kept.splice(0, 2) as [Tensor, Tensor];
          observe({ index, timestep, input, output, sample: x });
          tf.dispose([input, output]);
        }
        history = kept;
        onStep?.(index + 1, timesteps.length);
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

  /**
   * What one step of `run` will need, before it runs; the network may be without memory. Nothing is computed.
   * @param size what `run` will be given: shapes of the sample, the text and, where there are any, condition and labels
   */
  estimate({ sample, text, guided, condition, classLabels }: StepSize): MemoryEstimate {
    const { scheduler, precision } = this.options;
    const f = (shape: number[]) => ({ shape });
    const rows = (guided ? 2 : 1) * sample[0]!;
    const kind = { guided, hasCondition: !!condition, hasLabels: !!classLabels, observed: false };
    return estimate(
      (...inputs) => this.denoise(kind, inputs),
      [
        f(sample),
        { shape: [rows], dtype: 'int32' },
        f([rows, ...text]),
        f([]),
        f(sample),
        f([scheduler.coefficientNames.length]),
        ...(condition ? [f(condition)] : []),
        ...(classLabels ? [f(classLabels)] : []),
        ...Array.from({ length: scheduler.historyLength }, () => f(sample)),
      ],
      { precision },
    );
  }

  private step(kind: StepKind): CompiledFunction {
    const key = JSON.stringify(kind);
    let step = this.compiled.get(key);
    if (!step) {
      const { precision, compile: enabled } = this.options;
      step = compile((...inputs) => this.denoise(kind, inputs), { name: 'denoise', precision, enabled, ordered: true });
      this.compiled.set(key, step);
    }
    return step;
  }

  /** One step: [next sample, (network's input and output,) ...scheduler's history]. */
  private denoise({ guided, hasCondition, hasLabels, observed }: StepKind, inputs: Tensor[]): Tensor[] {
    const { unet, scheduler } = this.options;
    const [x, t, context, scale, noise, packed, ...rest] = inputs as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Tensor[],
    ];
    const condition = hasCondition ? rest.shift()! : null;
    const labels = hasLabels ? rest.shift()! : null;
    const twice = (tensor: Tensor) => (guided ? tf.concat([tensor, tensor], 0) : tensor);
    const input = twice(condition ? tf.concat([x, condition], 4) : x); // [B or 2B, F, H, W, C + K]
    const output = unet.forward(input, t, context, { classLabels: labels && twice(labels) });
    const variance = varianceHandling(output.shape.at(-1)!, x.shape.at(-1)!, scheduler);
    const prediction = guided
      ? guide(output, { scale, variance })
      : variance === 'drop'
        ? dropVariance(output)
        : output;
    const coefficients = unpackCoefficients(scheduler, packed);
    const next = scheduler.update(coefficients, prediction, x, { noise, history: rest });
    return [next.prevSample, ...(observed ? [input, output] : []), ...next.history];
  }

  /** Frees the compiled steps; the network stays the caller's. */
  dispose(): void {
    for (const step of this.compiled.values()) step.dispose();
    this.compiled.clear();
  }
}

/** Shapes of one step. */
export interface StepSize {
  /** [B, F, H, W, C] */
  sample: number[];
  /** [L, D] of one prompt. */
  text: number[];
  guided: boolean;
  /** [B, F, H, W, K] */
  condition?: number[];
  /** [B] */
  classLabels?: number[];
}

interface StepKind {
  guided: boolean;
  hasCondition: boolean;
  hasLabels: boolean;
  /** Hands out the network's input and output too. */
  observed: boolean;
}
