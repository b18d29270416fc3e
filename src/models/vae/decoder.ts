import { type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { Conv2d } from '../layers/conv2d.js';
import { GroupNorm } from '../layers/group-norm.js';
import { MidBlock2D, NORM_EPS, UpDecoderBlock2D } from './blocks.js';
import { type AutoencoderKLConfig, hasAttention } from './config.js';

/** Latents, behind `post_quant_conv`, to images (diffusers' `Decoder`). */
export class Decoder extends Block {
  readonly convIn: Conv2d;
  readonly upBlocks: UpDecoderBlock2D[];
  readonly midBlock: MidBlock2D;
  readonly convNormOut: GroupNorm;
  readonly convOut: Conv2d;

  constructor(config: AutoencoderKLConfig) {
    super();
    const { normNumGroups: groups, actFn: act } = config;
    const channels = config.blockOutChannels.toReversed();
    this.convIn = this.child('conv_in', new Conv2d(config.latentChannels, channels[0]!, 3));
    this.upBlocks = this.list(
      'up_blocks',
      channels.map((outChannels, i) => {
        const level = {
          inChannels: channels[Math.max(0, i - 1)]!,
          outChannels,
          layers: config.layersPerBlock + 1,
          attention: hasAttention(config.upBlockTypes[i]!),
          resample: i < channels.length - 1,
        };
        return new UpDecoderBlock2D(level, { groups, act });
      }),
    );
    this.midBlock = this.child('mid_block', new MidBlock2D(channels[0]!, { groups, act }));
    this.convNormOut = this.child('conv_norm_out', new GroupNorm(groups, channels.at(-1)!, NORM_EPS));
    this.convOut = this.child('conv_out', new Conv2d(channels.at(-1)!, config.outChannels, 3));
  }

  /** z [N, h, w, latent] -> [N, H, W, out] */
  override forward(z: Tensor): Tensor {
    return tf.tidy(() => {
      let h = this.head(z);
      for (const block of this.upBlocks) h = block.forward(h);
      return this.convOut.forward(this.convNormOut.forward(h, 'silu')); // SiLU whatever `act_fn` says
    });
  }

  /** What comes before the levels: z [N, h, w, latent] -> [N, h, w, C]. */
  head(z: Tensor): Tensor {
    return tf.tidy(() => this.midBlock.forward(this.convIn.forward(z)));
  }
}
