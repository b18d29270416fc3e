/**
 * AdamW (Loshchilov & Hutter 2019) as PyTorch computes it, with moments keyed by parameter name, decoupled weight decay,
 * and an exponential moving average of the weights. Weights, moments and average live in TensorFlow resources that one
 * compiled function updates in place.
 */
import { type CompiledFunction, compile, type Tensor, tf, type Variable } from '../engine/index.js';
import { boolAttr, DType, nativeBackend, raw, T, typeAttr } from '../engine/raw.js';
import { isShared, Resource, readResource, releaseBuffer, shareBuffer, updateResource } from '../engine/resource.js';
import { updateHostAverage } from './host-average.js';

export interface OptimizerOptions {
  betas: [number, number];
  epsilon: number;
  /** Of variables that bring none of their own: matrices and kernels (rank 2 and more) decay, biases and norms do not. */
  weightDecay: number;
  /** Keep an exponential moving average of the weights. */
  ema: boolean;
  /** Keep it in the host's memory, not the device's. */
  averageOnHost?: boolean;
  compile?: boolean;
}

export interface TrainableVariable {
  name: string;
  variable: Variable;
  /** Factor on the learning rate (default 1). */
  rateScale?: number;
  weightDecay?: number;
}

export interface StepOptions {
  learningRate: number;
  /** Number of updates done before this one, from 0. */
  step: number;
  /** Factor on the gradients (clipping). */
  gradientScale: number;
  /** Decay of the average at this step; 1 leaves it as it is. */
  emaDecay?: number;
}

interface Slot {
  name: string;
  variable: Variable;
  weight: Resource;
  m: Resource;
  v: Resource;
  ema: Resource | null;
  hostAverage: Float32Array | null;
  rateScale: number;
  weightDecay: number;
  /** Native id that `shareBuffer` gave the variable. */
  shared: number;
}

export class AdamW {
  readonly slots: Slot[];
  private readonly update: CompiledFunction;
  private readonly norm: CompiledFunction;

  constructor(
    trainable: TrainableVariable[],
    readonly options: OptimizerOptions,
  ) {
    this.slots = trainable.map(({ name, variable, rateScale = 1, weightDecay }) => {
      const weight = new Resource(variable);
      const slot = {
        name,
        variable,
        weight,
        m: zeros(variable.shape),
        v: zeros(variable.shape),
        ema: options.ema && !options.averageOnHost ? new Resource(variable) : null,
        hostAverage: options.ema && options.averageOnHost ? Float32Array.from(variable.dataSync()) : null,
        rateScale,
        weightDecay: weightDecay ?? (variable.rank > 1 ? options.weightDecay : 0),
        shared: -1,
      };
      slot.shared = shareBuffer(variable, weight);
      return slot;
    });
    const enabled = options.compile ?? true;
    this.update = compile((...inputs) => this.updateAll(inputs), { name: 'adamw', enabled });
    this.norm = compile((...gradients) => [globalNorm(gradients)], { name: 'gradient_norm', enabled });
  }

  /** L2 norm of all gradients together. */
  gradientNorm(gradients: Tensor[]): number {
    return tf.tidy(() => this.norm(...gradients)[0]!.dataSync()[0]!);
  }

  /** One update of every variable, in place. `gradients` in the order of the constructor's list; they stay the caller's. */
  step(gradients: Tensor[], { learningRate, step, gradientScale, emaDecay = 0 }: StepOptions): void {
    const [beta1, beta2] = this.options.betas;
    const t = step + 1;
    const correction2 = Math.sqrt(1 - beta2 ** t);
    // TensorFlow's kernel divides by √v + ε with the bias correction folded into the rate; scaling ε makes it PyTorch's.
    const scalars = [learningRate, beta1 ** t, beta2 ** t, this.options.epsilon * correction2, gradientScale, emaDecay];
    for (const slot of this.slots) {
      if (!isShared(slot.variable, slot.shared)) slot.weight.assign(slot.variable); // someone assigned to the variable
      releaseBuffer(slot.variable);
    }
    tf.tidy(() => {
      const handles = this.slots.flatMap(s => [s.weight, s.m, s.v, ...(s.ema ? [s.ema] : [])].map(r => r.handle));
      this.update(...scalars.map(x => tf.scalar(x)), ...handles, ...gradients);
    });
    for (const slot of this.slots) {
      slot.shared = shareBuffer(slot.variable, slot.weight);
      if (slot.hostAverage && emaDecay < 1) updateHostAverage(slot.hostAverage, slot.weight.values(), emaDecay);
    }
  }

  /** Body of the compiled update; inputs: six scalars, the handles of each slot, the gradients. */
  private updateAll(inputs: Tensor[]): Tensor[] {
    const [rate, beta1Power, beta2Power, epsilon, gradientScale, emaDecay] = inputs as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const ema = this.options.ema && !this.options.averageOnHost;
    const [beta1, beta2] = this.options.betas.map(b => tf.scalar(b)) as [Tensor, Tensor];
    const perSlot = ema ? 4 : 3;
    this.slots.forEach(({ weight, rateScale, weightDecay }, i) => {
      const [w, m, v, average] = inputs.slice(6 + perSlot * i, 6 + perSlot * (i + 1)) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const gradient = inputs[6 + perSlot * this.slots.length + i]!.mul(gradientScale);
      const own = rateScale === 1 ? rate : rate.mul(rateScale);
      if (weightDecay > 0) {
        updateResource('AssignSubVariableOp', w, readResource(w, weight.shape).mul(own.mul(weightDecay)));
      }
      applyAdam([w, m, v, beta1Power, beta2Power, own, beta1, beta2, epsilon, gradient]);
      if (ema) {
        const away = readResource(average, weight.shape).sub(readResource(w, weight.shape)); // ema - w
        updateResource('AssignSubVariableOp', average, away.mul(tf.scalar(1).sub(emaDecay)));
      }
    });
    return [rate.clone()];
  }

  /** Runs `fn` with the averaged weights in the model's variables; a copy is made only of an average on the host. */
  async withAverage<R>(fn: () => Promise<R> | R): Promise<R> {
    if (!this.options.ema) return await fn();
    if (this.options.averageOnHost) {
      const weights = this.slots.map(({ weight }) => Float32Array.from(weight.values()));
      this.load(this.slots.map(({ hostAverage }) => hostAverage!));
      try {
        return await fn();
      } finally {
        this.load(weights);
      }
    }
    this.exchange(slot => slot.ema!);
    try {
      return await fn();
    } finally {
      this.exchange(slot => slot.weight);
    }
  }

  /** Puts values into the weights. */
  private load(values: Float32Array[]): void {
    this.slots.forEach((slot, i) => {
      slot.weight.load(values[i]!);
      slot.shared = shareBuffer(slot.variable, slot.weight);
    });
  }

  private exchange(pick: (slot: Slot) => Resource): void {
    for (const slot of this.slots) slot.shared = shareBuffer(slot.variable, pick(slot));
  }

  dispose(): void {
    this.update.dispose();
    this.norm.dispose();
    for (const { weight, m, v, ema } of this.slots) for (const r of [weight, m, v, ema]) r?.dispose();
  }
}

function zeros(shape: number[]): Resource {
  const initial = tf.zeros(shape);
  const resource = new Resource(initial);
  initial.dispose();
  return resource;
}

function applyAdam(inputs: Tensor[]): void {
  const backend = nativeBackend();
  const attrs = [typeAttr('T', DType.float32), boolAttr('use_locking', false), boolAttr('use_nesterov', false)];
  backend.binding.executeOp('ResourceApplyAdam', attrs, backend.getInputTensorIds(inputs), 0);
}

/** √Σ‖g‖², through L2Loss (half the squared sum, one pass, no temporary). */
function globalNorm(gradients: Tensor[]): Tensor {
  const halves = gradients.map(g => raw('L2Loss', [T(g)], [g]));
  return tf
    .addN(halves as never)
    .mul(2)
    .sqrt();
}
