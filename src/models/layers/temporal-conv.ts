import { dropout, type Tensor, temporalConv, tf } from '../../engine/index.js';
import { Block } from './block.js';
import { foldFrames, unfoldFrames } from './frames.js';
import { GroupNorm } from './group-norm.js';
import { fanIn, type Initializer, zeros } from './initializers.js';
import type { Parameter } from './parameter.js';

/** Groups of every norm here, hard-coded in Show-1's class: channels must be multiples of it. */
const GROUPS = 32;
const KERNEL = 3;

/** Convolution over time alone (`nn.Conv3d` with kernel (3, 1, 1)). Parameters `weight`, `bias`. */
class TemporalConv extends Block {
  private readonly weight: Parameter;
  private readonly bias: Parameter;

  constructor(inChannels: number, outChannels: number, init: Initializer) {
    super();
    const shape = [outChannels, inChannels, KERNEL, 1, 1];
    this.weight = this.param('weight', shape, { layout: 'temporal-conv', init });
    this.bias = this.param('bias', [outChannels], { init });
  }

  /** x [B, F, H, W, in] -> [B, F, H, W, out] */
  override forward(x: Tensor): Tensor {
    return temporalConv(x, this.weight.value(), this.bias.value());
  }
}

/**
 * Four times GroupNorm, SiLU, dropout, convolution over time, added to the input (diffusers' `TemporalConvLayer`). The
 * last convolution starts at zero, so a fresh layer is the identity. Norm statistics run over all frames of a video.
 */
export class TemporalConvLayer extends Block {
  private readonly stages: { norm: GroupNorm; conv: TemporalConv; dropout: number }[];

  /** @param dropoutRate active inside the engine's `withDropout` only; none before the first convolution */
  constructor(inDim: number, outDim = inDim, dropoutRate = 0, normGroups = GROUPS) {
    super();
    this.stages = [1, 2, 3, 4].map(i => {
      // Upstream's nn.Sequential: the first has no dropout entry, so its convolution has number 2, the others' 3.
      const [from, to] = i === 1 ? [inDim, outDim] : [outDim, inDim];
      const init = i === 4 ? zeros : fanIn(from * KERNEL);
      return {
        norm: this.child(`conv${i}.0`, new GroupNorm(normGroups, from, 1e-5)),
        conv: this.child(`conv${i}.${i === 1 ? 2 : 3}`, new TemporalConv(from, to, init)),
        dropout: i === 1 ? 0 : dropoutRate,
      };
    });
  }

  /** x frames [B·F, H, W, C], `frames` of them a video -> the same shape */
  override forward(x: Tensor, frames: number): Tensor {
    return tf.tidy(() => {
      let h = unfoldFrames(x, frames); // [B, F, H, W, C]
      for (const { norm, conv, dropout: rate } of this.stages) {
        h = conv.forward(dropout(norm.forward(h, 'silu'), rate));
      }
      return foldFrames(h).add(x);
    });
  }
}
