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

  /** @param xs [B·F, H, W, C] each; several are joined along the channels */
  protected layer(i: number, xs: Tensor[], { frames, temb, text, run }: VideoContext): Tensor {
    const layer = (t: Tensor, tokens: Tensor, ...parts: Tensor[]): Tensor[] => {
      let h = parts.length > 1 ? tf.concat(parts, 3) : parts[0]!;
      h = this.resnets[i]!.forward(h, t);
      h = this.tempConvs[i]?.forward(h, frames) ?? h;
      h = this.attentions[i]?.forward(h, tokens) ?? h;
      return [this.tempAttentions[i]?.forward(h, frames) ?? h];
    };
    return run(this, layer, [temb, text, ...xs])[0]!;
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
    for (const i of this.resnets.keys()) outputs.push(this.layer(i, [outputs.at(-1) ?? x], context));
    const { sampler } = this;
    if (!sampler) return outputs;
    const sample = (h: Tensor, temb: Tensor): Tensor[] => [
      sampler instanceof Downsample2D ? sampler.forward(h) : sampler.forward(h, temb),
    ];
    return [...outputs, ...context.run(this, sample, [outputs.at(-1)!, context.temb])];
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
    for (const [i, skip] of skips.entries()) h = this.layer(i, [h, skip], context);
    const { sampler } = this;
    if (!sampler) return h;
    const sample = (x: Tensor, temb: Tensor): Tensor[] => [
      sampler instanceof Upsample2D ? sampler.forward(x, size ?? undefined) : sampler.forward(x, temb),
    ];
    return context.run(this, sample, [h, context.temb])[0]!;
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
  override forward(x: Tensor, { frames, temb, text, run }: VideoContext): Tensor {
    const convolve = (i: 0 | 1, input: Tensor, t: Tensor) => {
      const h = this.resnets[i]!.forward(input, t);
      return this.tempConvs[i]?.forward(h, frames) ?? h;
    };
    const attend = (input: Tensor, t: Tensor, tokens: Tensor): Tensor[] => {
      const h = this.attention.forward(convolve(0, input, t), tokens);
      return [this.tempAttentions[0]?.forward(h, frames) ?? h];
    };
    const [h] = run(this, attend, [x, temb, text]) as [Tensor];
    return run(this, (input: Tensor, t: Tensor) => [convolve(1, input, t)], [h, temb])[0]!;
  }
}
