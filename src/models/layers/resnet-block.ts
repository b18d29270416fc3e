import { avgPool2x, type Tensor, tf, upsampleNearest2x } from '../../engine/index.js';
import { type ActivationName, activate } from './activation.js';
import { Block } from './block.js';
import { Conv2d } from './conv2d.js';
import { asVideos } from './frames.js';
import { GroupNorm } from './group-norm.js';
import { Linear } from './linear.js';

export interface ResnetBlockConfig {
  inChannels: number;
  /** Default `inChannels`. */
  outChannels?: number;
  /** Width of the time embedding; null for blocks without one (VAE). */
  tembChannels: number | null;
  groups: number;
  /** Groups of the second norm (default `groups`). */
  groupsOut?: number;
  eps: number;
  /** Default silu. */
  act?: ActivationName;
  /** How the time embedding enters: added before the second norm, or as scale and shift after it (default `default`). */
  timeScaleShift?: 'default' | 'scale_shift';
  /** The embedding is projected without an activation first (default false). */
  skipTimeAct?: boolean;
  /** The sum of both branches is divided by this (default 1). */
  outputScaleFactor?: number;
  /** Halve or double the image inside the block. */
  resample?: 'down' | 'up' | null;
}

/**
 * Residual block of two convolutions with a time embedding (diffusers' `ResnetBlock2D`). Parameters `norm1`, `conv1`,
 * `time_emb_proj`, `norm2`, `conv2`, `conv_shortcut`.
 */
export class ResnetBlock2D extends Block {
  private readonly norm1: GroupNorm;
  private readonly conv1: Conv2d;
  private readonly timeEmbProj: Linear | null;
  private readonly norm2: GroupNorm;
  private readonly conv2: Conv2d;
  private readonly convShortcut: Linear | null;
  private readonly options: { act: ActivationName; scaleShift: boolean; skipTimeAct: boolean; scale: number };
  private readonly resample: (x: Tensor) => Tensor;

  constructor(config: ResnetBlockConfig) {
    super();
    const {
      inChannels,
      outChannels = inChannels,
      tembChannels,
      groups,
      groupsOut = groups,
      eps,
      act = 'silu',
    } = config;
    const scaleShift = config.timeScaleShift === 'scale_shift';
    this.options = { act, scaleShift, skipTimeAct: config.skipTimeAct ?? false, scale: config.outputScaleFactor ?? 1 };
    this.resample = config.resample === 'down' ? avgPool2x : config.resample === 'up' ? upsampleNearest2x : x => x;
    this.norm1 = this.child('norm1', new GroupNorm(groups, inChannels, eps));
    this.conv1 = this.child('conv1', new Conv2d(inChannels, outChannels, 3));
    this.timeEmbProj =
      tembChannels === null
        ? null
        : this.child('time_emb_proj', new Linear(tembChannels, scaleShift ? 2 * outChannels : outChannels));
    this.norm2 = this.child('norm2', new GroupNorm(groupsOut, outChannels, eps));
    this.conv2 = this.child('conv2', new Conv2d(outChannels, outChannels, 3));
    this.convShortcut =
      inChannels === outChannels
        ? null
        : this.child('conv_shortcut', new Linear(inChannels, outChannels, { conv1x1: true }));
  }

  /**
   * @param x frames [B·F, H, W, in]
   * @param temb [B, tembChannels], the same for all frames of a video; null only without `tembChannels`
   * @returns [B·F, H', W', out]
   */
  override forward(x: Tensor, temb: Tensor | null = null): Tensor {
    const { act, scale } = this.options;
    return tf.tidy(() => {
      const input = this.resample(x);
      const h = this.conv1.forward(this.resample(this.norm1.forward(x, act)));
      const out = this.conv2.forward(this.second(h, temb));
      const sum = (this.convShortcut ? this.convShortcut.forward(input) : input).add(out);
      return scale === 1 ? sum : sum.div(scale);
    });
  }

  /** Second norm and activation, with the time embedding. */
  private second(h: Tensor, temb: Tensor | null): Tensor {
    const { act, scaleShift, skipTimeAct } = this.options;
    if (!this.timeEmbProj) return this.norm2.forward(h, act);
    if (!temb) throw new Error(`${this.name}: the block takes a time embedding`);
    const time = this.timeEmbProj.forward(skipTimeAct ? temb : activate(act, temb)).expandDims(1); // [B, 1, C or 2C]
    if (!scaleShift) return this.norm2.forward(asVideos(h, temb).add(time).reshape(h.shape), act);
    const [factor, shift] = tf.split(time, 2, -1) as [Tensor, Tensor];
    const normed = asVideos(this.norm2.forward(h), temb);
    return activate(act, normed.mul(factor.add(1)).add(shift)).reshape(h.shape);
  }
}
