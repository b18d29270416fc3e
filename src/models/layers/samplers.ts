/** Convolutional resampling of the latent UNet and the VAE. */
import { type Tensor, upsampleNearest } from '../../engine/index.js';
import { Block } from './block.js';
import { Conv2d } from './conv2d.js';

/** Halves the image with a strided 3×3 convolution (diffusers' `Downsample2D`). Parameter `conv`. */
export class Downsample2D extends Block {
  private readonly conv: Conv2d;

  /** @param padding zeros at each side; 0 pads one row below and one column right instead, as the VAE does */
  constructor(channels: number, padding = 1, outChannels = channels) {
    super();
    const sides =
      padding === 0
        ? ([
            [0, 1],
            [0, 1],
          ] as [[number, number], [number, number]])
        : padding;
    this.conv = this.child('conv', new Conv2d(channels, outChannels, 3, { stride: 2, padding: sides }));
  }

  /** x [N, H, W, C] -> [N, ⌈H/2⌉, ⌈W/2⌉, C] with padding 1 */
  override forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return this.conv.computeOutputShape(inputShape);
  }
}

/** Nearest neighbour to twice the size, or to a given one, then a 3×3 convolution (`Upsample2D`). Parameter `conv`. */
export class Upsample2D extends Block {
  private readonly conv: Conv2d;

  constructor(channels: number, outChannels = channels) {
    super();
    this.conv = this.child('conv', new Conv2d(channels, outChannels, 3));
  }

  /** x [N, H, W, C] -> [N, ...size, C] */
  override forward(x: Tensor, size: [number, number] = [x.shape[1]! * 2, x.shape[2]! * 2]): Tensor {
    return this.conv.forward(upsampleNearest(x, size));
  }

  override computeOutputShape([n, h, w]: (number | null)[]): (number | null)[] {
    return [n ?? null, h == null ? null : 2 * h, w == null ? null : 2 * w, this.conv.outChannels];
  }
}
