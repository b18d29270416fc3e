/** Down, middle and up blocks, with temporal layers in a video model. Activations are frames [B·F, H, W, C]. */
import { type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import type { ResnetBlock2D } from '../layers/resnet-block.js';
import { Downsample2D, Upsample2D } from '../layers/samplers.js';
import type { TemporalConvLayer } from '../layers/temporal-conv.js';
import type { TransformerTemporalModel } from '../layers/temporal-transformer.js';
import {
  type LevelConfig,
  resnet,
  type SpatialAttention,
  spatialAttention,
  temporalAttentions,
  temporalConvs,
  type VideoContext,
} from './level.js';

/** The layers of a down or up block: each a resnet, a temporal convolution and, with attention, a spatial and a temporal one. */
abstract class LevelBlock extends Block {
  protected readonly resnets: ResnetBlock2D[];
  private readonly tempConvs: TemporalConvLayer[];
  private readonly attentions: SpatialAttention[];
  private readonly tempAttentions: TransformerTemporalModel[];

  /** @param inputs channels that each layer reads */
  constructor(level: LevelConfig, inputs: number[]) {
    super();
    const attended = level.kind.attention === 'none' ? [] : inputs;
    this.resnets = this.list(
      'resnets',
      inputs.map(channels => resnet(level, channels)),
    );
    this.tempConvs = this.list('temp_convs', temporalConvs(level, inputs.length));
    this.attentions = this.list(
      'attentions',
      attended.map(() => spatialAttention(level)),
    );
    this.tempAttentions = this.list('temp_attentions', temporalAttentions(level, attended.length));
  }

  protected layer(i: number, x: Tensor, { frames, temb, text }: VideoContext): Tensor {
    return tf.tidy(() => {
      let h = this.resnets[i]!.forward(x, temb);
      h = this.tempConvs[i]?.forward(h, frames) ?? h;
      h = this.attentions[i]?.forward(h, text) ?? h;
      return this.tempAttentions[i]?.forward(h, frames) ?? h;
    });
  }
}

export class DownBlock extends LevelBlock {
  private readonly sampler: Downsample2D | ResnetBlock2D | null = null;

  constructor(level: LevelConfig, inChannels: number, layers: number, downsample: boolean) {
    super(level, [inChannels, ...Array<number>(layers - 1).fill(level.channels)]);
    if (downsample) {
      const { channels, config, kind } = level;
      const sampler =
        kind.sampler === 'conv'
          ? new Downsample2D(channels, config.downsamplePadding)
          : resnet(level, channels, 'down');
      this.sampler = this.child<Downsample2D | ResnetBlock2D>('downsamplers.0', sampler);
    }
  }

  /**
   * @param x [B·F, H, W, in]
   * @returns every layer's output and the downsampler's: the skips; the last is the block's output
   */
  override forward(x: Tensor, context: VideoContext): Tensor[] {
    const outputs: Tensor[] = [];
    for (const i of this.resnets.keys()) outputs.push(this.layer(i, outputs.at(-1) ?? x, context));
    const last = outputs.at(-1)!;
    if (this.sampler instanceof Downsample2D) outputs.push(this.sampler.forward(last));
    else if (this.sampler) outputs.push(this.sampler.forward(last, context.temb));
    return outputs;
  }
}

export class UpBlock extends LevelBlock {
  private readonly sampler: Upsample2D | ResnetBlock2D | null = null;

  /**
   * @param inChannels channels of the level below's output
   * @param skipChannels channels of the skips in the order they are used
   */
  constructor(level: LevelConfig, inChannels: number, skipChannels: number[], upsample: boolean) {
    const { channels, kind } = level;
    super(
      level,
      skipChannels.map((skip, i) => skip + (i === 0 ? inChannels : channels)),
    );
    if (upsample) {
      const sampler = kind.sampler === 'conv' ? new Upsample2D(channels) : resnet(level, channels, 'up');
      this.sampler = this.child<Upsample2D | ResnetBlock2D>('upsamplers.0', sampler);
    }
  }

  /** Number of skips that `forward` takes. */
  get skips(): number {
    return this.resnets.length;
  }

  /**
   * @param x [B·F, H, W, in]
   * @param skips in the order they are used: the deepest first
   * @param size height and width of the next level's skips; convolutional upsampling meets sizes that are not doubles
   * @returns [B·F, H', W', out]
   */
  override forward(x: Tensor, context: VideoContext, skips: Tensor[], size: [number, number] | null): Tensor {
    let h = x;
    for (const [i, skip] of skips.entries()) {
      h = tf.tidy(() => this.layer(i, tf.concat([h, skip], 3), context));
    }
    if (!this.sampler) return h;
    return this.sampler instanceof Upsample2D
      ? this.sampler.forward(h, size ?? undefined)
      : this.sampler.forward(h, context.temb);
  }
}

/** Resnet and temporal convolution, attentions, resnet and temporal convolution. */
export class MidBlock extends Block {
  private readonly resnets: ResnetBlock2D[];
  private readonly tempConvs: TemporalConvLayer[];
  private readonly attention: SpatialAttention;
  private readonly tempAttentions: TransformerTemporalModel[];

  constructor(level: LevelConfig) {
    super();
    this.resnets = this.list('resnets', [resnet(level, level.channels), resnet(level, level.channels)]);
    this.tempConvs = this.list('temp_convs', temporalConvs(level, 2));
    this.attention = this.child('attentions.0', spatialAttention(level));
    this.tempAttentions = this.list('temp_attentions', temporalAttentions(level, 1));
  }

  /** x [B·F, H, W, C] -> the same shape */
  override forward(x: Tensor, { frames, temb, text }: VideoContext): Tensor {
    return tf.tidy(() => {
      const convolve = (i: 0 | 1, input: Tensor) => {
        const h = this.resnets[i]!.forward(input, temb);
        return this.tempConvs[i]?.forward(h, frames) ?? h;
      };
      const h = this.attention.forward(convolve(0, x), text);
      return convolve(1, this.tempAttentions[0]?.forward(h, frames) ?? h);
    });
  }
}
