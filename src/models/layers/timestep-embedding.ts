import type { Tensor } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { type ActivationName, activate } from './activation.js';
import { Block } from './block.js';
import { Linear } from './linear.js';

export interface TimestepEmbeddingConfig {
  inChannels: number;
  timeEmbedDim: number;
  /** Default silu. */
  act?: ActivationName;
  /** Width of the output (default `timeEmbedDim`). */
  outDim?: number;
  /** Activation after the second layer (default none). */
  postAct?: ActivationName | null;
  /** Width of a condition that is projected without bias and added to the input (default none). */
  condProjDim?: number | null;
}

/** Two-layer perceptron over a sinusoidal embedding. Parameters `linear_1`, `linear_2`, perhaps `cond_proj`. */
export class TimestepEmbedding extends Block {
  private readonly linear1: Linear;
  private readonly condProj: Linear | null;
  private readonly linear2: Linear;
  private readonly act: ActivationName;
  private readonly postAct: ActivationName | null;

  constructor({
    inChannels,
    timeEmbedDim,
    act = 'silu',
    outDim,
    postAct = null,
    condProjDim,
  }: TimestepEmbeddingConfig) {
    super();
    this.linear1 = this.child('linear_1', new Linear(inChannels, timeEmbedDim));
    this.condProj = condProjDim ? this.child('cond_proj', new Linear(condProjDim, inChannels, { bias: false })) : null;
    this.linear2 = this.child('linear_2', new Linear(timeEmbedDim, outDim ?? timeEmbedDim));
    this.act = act;
    this.postAct = postAct;
  }

  /**
   * @param sample [B, inChannels]
   * @param condition [B, condProjDim], optional
   * @returns [B, outDim]
   */
  override forward(sample: Tensor, condition?: Tensor | null): Tensor {
    if (condition && !this.condProj) {
      throw new InputError('A time condition was given, but the config has no time_cond_proj_dim.', {
        code: 'model.time-condition',
      });
    }
    const input = condition ? sample.add(this.condProj!.forward(condition)) : sample;
    const out = this.linear2.forward(activate(this.act, this.linear1.forward(input)));
    return this.postAct ? activate(this.postAct, out) : out;
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.linear2.outFeatures];
  }
}
