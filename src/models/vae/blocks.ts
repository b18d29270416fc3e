/** Down, middle and up blocks of the autoencoder. Activations are images [N, H, W, C]. */
import { type Tensor, tf } from '../../engine/index.js';
import type { ActivationName } from '../layers/activation.js';
import { Block } from '../layers/block.js';
import { ResnetBlock2D } from '../layers/resnet-block.js';
import { Downsample2D, Upsample2D } from '../layers/samplers.js';
import { PixelAttention } from './attention.js';

/** Of every group normalisation; upstream hard-codes it. */
export const NORM_EPS = 1e-6;

export interface VaeBlockConfig {
  groups: number;
  act: ActivationName;
}

const resnet = (inChannels: number, outChannels: number, { groups, act }: VaeBlockConfig) =>
  new ResnetBlock2D({ inChannels, outChannels, tembChannels: null, groups, act, eps: NORM_EPS });

const pixelAttention = (channels: number, { groups }: VaeBlockConfig) => new PixelAttention(channels, groups, NORM_EPS);

export interface LevelOptions {
  inChannels: number;
  outChannels: number;
  /** Residual blocks. */
  layers: number;
  /** Self-attention behind each of them. */
  attention: boolean;
  /** Halve (down) or double (up) the image at the end. */
  resample: boolean;
}

/** Residual blocks, each with an attention behind it if so configured. Parameters `attentions.i`, `resnets.i`. */
abstract class LevelBlock extends Block {
  readonly attentions: PixelAttention[];
  readonly resnets: ResnetBlock2D[];

  constructor({ inChannels, outChannels, layers, attention }: LevelOptions, config: VaeBlockConfig) {
    super();
    const indices = Array.from({ length: layers }, (_, i) => i);
    this.attentions = this.list('attentions', attention ? indices.map(() => pixelAttention(outChannels, config)) : []);
    this.resnets = this.list(
      'resnets',
      indices.map(i => resnet(i === 0 ? inChannels : outChannels, outChannels, config)),
    );
  }

  protected layers(x: Tensor): Tensor {
    let h = x;
    for (const [i, layer] of this.resnets.entries()) {
      h = layer.forward(h);
      h = this.attentions[i]?.forward(h) ?? h;
    }
    return h;
  }
}

/** diffusers' `DownEncoderBlock2D` and `AttnDownEncoderBlock2D`. */
export class DownEncoderBlock2D extends LevelBlock {
  readonly sampler: Downsample2D | null;

  constructor(options: LevelOptions, config: VaeBlockConfig) {
    super(options, config);
    this.sampler = options.resample ? this.child('downsamplers.0', new Downsample2D(options.outChannels, 0)) : null;
  }

  /** x [N, H, W, in] -> [N, ⌊H/2⌋, ⌊W/2⌋, out], or [N, H, W, out] at the last level */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const h = this.layers(x);
      return this.sampler ? this.sampler.forward(h) : h;
    });
  }
}

/** diffusers' `UpDecoderBlock2D` and `AttnUpDecoderBlock2D`. */
export class UpDecoderBlock2D extends LevelBlock {
  readonly sampler: Upsample2D | null;

  constructor(options: LevelOptions, config: VaeBlockConfig) {
    super(options, config);
    this.sampler = options.resample ? this.child('upsamplers.0', new Upsample2D(options.outChannels)) : null;
  }

  /** x [N, H, W, in] -> [N, 2H, 2W, out], or [N, H, W, out] at the last level */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const h = this.layers(x);
      return this.sampler ? this.sampler.forward(h) : h;
    });
  }
}

/** Residual block, attention, residual block (diffusers' `UNetMidBlock2D`). */
export class MidBlock2D extends Block {
  private readonly attention: PixelAttention;
  private readonly resnets: ResnetBlock2D[];

  constructor(channels: number, config: VaeBlockConfig) {
    super();
    this.attention = this.child('attentions.0', pixelAttention(channels, config));
    this.resnets = this.list('resnets', [resnet(channels, channels, config), resnet(channels, channels, config)]);
  }

  /** x [N, H, W, C] -> the same shape */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => this.resnets[1]!.forward(this.attention.forward(this.resnets[0]!.forward(x))));
  }
}
