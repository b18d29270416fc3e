import { type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { Conv2d } from '../layers/conv2d.js';
import { GroupNorm } from '../layers/group-norm.js';
import { DownEncoderBlock2D, MidBlock2D, NORM_EPS } from './blocks.js';
import { type AutoencoderKLConfig, hasAttention } from './config.js';

/** Images to the moments of their latents, before `quant_conv` (diffusers' `Encoder`). */
export class Encoder extends Block {
  readonly convIn: Conv2d;
  readonly downBlocks: DownEncoderBlock2D[];
  readonly midBlock: MidBlock2D;
  readonly convNormOut: GroupNorm;
  readonly convOut: Conv2d;

  constructor(config: AutoencoderKLConfig) {
    super();
    const { blockOutChannels: channels, normNumGroups: groups, actFn: act } = config;
    const last = channels.at(-1)!;
    this.convIn = this.child('conv_in', new Conv2d(config.inChannels, channels[0]!, 3));
    this.downBlocks = this.list(
      'down_blocks',
      channels.map((outChannels, i) => {
        const level = {
          inChannels: channels[Math.max(0, i - 1)]!,
          outChannels,
          layers: config.layersPerBlock,
          attention: hasAttention(config.downBlockTypes[i]!),
          resample: i < channels.length - 1,
        };
        return new DownEncoderBlock2D(level, { groups, act });
      }),
    );
    this.midBlock = this.child('mid_block', new MidBlock2D(last, { groups, act }));
    this.convNormOut = this.child('conv_norm_out', new GroupNorm(groups, last, NORM_EPS));
    this.convOut = this.child('conv_out', new Conv2d(last, 2 * config.latentChannels, 3));
  }

  /** x [N, H, W, in] -> mean and log-variance [N, h, w, 2·latent] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      let h = this.convIn.forward(x);
      for (const block of this.downBlocks) h = block.forward(h);
      return this.tail(h);
    });
  }

  /** What comes behind the levels: h [N, h, w, C] -> [N, h, w, 2·latent]. The activation is SiLU whatever `act_fn` says. */
  tail(h: Tensor): Tensor {
    return tf.tidy(() => this.convOut.forward(this.convNormOut.forward(this.midBlock.forward(h), 'silu')));
  }
}
