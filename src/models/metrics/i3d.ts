/**
 * I3D (Carreira & Zisserman 2017): Inception-v1 inflated to three dimensions, trained on Kinetics-400; its logits are the
 * features of the Fréchet video distance. Architecture: piergiaj/pytorch-i3d, pytorch_i3d.py, with TensorFlow's padding.
 */
import { type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from '../layers/block.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import { checkInput } from './check-input.js';
import { metricOptions } from './config.js';
import { ConvUnit3d } from './conv-unit.js';
import { averagePool3d, maxPool3d } from './pool3d.js';

/** Channels of a mixed block's units b0, b1a, b1b, b2a, b2b, b3b. */
type MixedChannels = readonly [number, number, number, number, number, number];

const MIXED: readonly (readonly [name: string, channels: MixedChannels])[] = [
  ['Mixed_3b', [64, 96, 128, 16, 32, 32]],
  ['Mixed_3c', [128, 128, 192, 32, 96, 64]],
  ['Mixed_4b', [192, 96, 208, 16, 48, 64]],
  ['Mixed_4c', [160, 112, 224, 24, 64, 64]],
  ['Mixed_4d', [128, 128, 256, 24, 64, 64]],
  ['Mixed_4e', [112, 144, 288, 32, 64, 64]],
  ['Mixed_4f', [256, 160, 320, 32, 128, 128]],
  ['Mixed_5b', [256, 160, 320, 32, 128, 128]],
  ['Mixed_5c', [384, 192, 384, 48, 128, 128]],
];

/** Pools before a mixed block: size (and stride) along time, rows, columns. */
const POOL_BEFORE: Record<string, { size: [number, number, number]; stride: [number, number, number] }> = {
  Mixed_3b: { size: [1, 3, 3], stride: [1, 2, 2] },
  Mixed_4b: { size: [3, 3, 3], stride: [2, 2, 2] },
  Mixed_5b: { size: [2, 2, 2], stride: [2, 2, 2] },
};

/** Four branches side by side: 1³; 1³ then 3³, twice; a 3³ maximum, then 1³. */
class MixedBlock extends Block {
  readonly outChannels: number;
  private readonly b0;
  private readonly b1a;
  private readonly b1b;
  private readonly b2a;
  private readonly b2b;
  private readonly b3b;

  constructor(inChannels: number, [c0, c1a, c1b, c2a, c2b, c3b]: MixedChannels) {
    super();
    this.b0 = this.child('b0', new ConvUnit3d(inChannels, c0, 1));
    this.b1a = this.child('b1a', new ConvUnit3d(inChannels, c1a, 1));
    this.b1b = this.child('b1b', new ConvUnit3d(c1a, c1b, 3));
    this.b2a = this.child('b2a', new ConvUnit3d(inChannels, c2a, 1));
    this.b2b = this.child('b2b', new ConvUnit3d(c2a, c2b, 3));
    this.b3b = this.child('b3b', new ConvUnit3d(inChannels, c3b, 1));
    this.outChannels = c0 + c1b + c2b + c3b;
  }

  /** x [B, T, H, W, in] -> [B, T, H, W, out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const branches = [
        this.b0.forward(x),
        this.b1b.forward(this.b1a.forward(x)),
        this.b2b.forward(this.b2a.forward(x)),
        this.b3b.forward(maxPool3d(x, [3, 3, 3], [1, 1, 1])),
      ];
      return tf.concat(branches, 4);
    });
  }
}

const SIZE = 224;
/** Fewer leave less than the two time steps that the last pool takes. */
const MIN_FRAMES = 9;

export class InceptionI3d extends Model {
  protected readonly weightStem = 'model';
  /** Width of the output. */
  readonly features: number;
  private readonly json: JsonObject;
  private readonly stem: [ConvUnit3d, ConvUnit3d, ConvUnit3d];
  private readonly mixed: { name: string; block: MixedBlock }[];
  private readonly logits;

  /**
   * Its weights are frozen.
   * @param json `width` (default 1, multiplies the inner channels), `num_classes` (default 400)
   * @param options.source where it is from, for messages
   * @throws InputError naming the key that is wrong
   */
  constructor(json: JsonObject = {}, { source = 'the I3D config' }: { source?: string } = {}) {
    super();
    this.json = json;
    const { channels, reader } = metricOptions(json, source, 'I3D');
    this.features = reader.count('num_classes', 400);
    reader.finish();
    const [c1, c2] = [channels(64), channels(192)];
    this.stem = [
      this.child('Conv3d_1a_7x7', new ConvUnit3d(3, c1, 7, { stride: 2 })),
      this.child('Conv3d_2b_1x1', new ConvUnit3d(c1, c1, 1)),
      this.child('Conv3d_2c_3x3', new ConvUnit3d(c1, c2, 3)),
    ];
    let width = c2;
    this.mixed = MIXED.map(([name, published]) => {
      const block = this.child(name, new MixedBlock(width, published.map(channels) as unknown as MixedChannels));
      width = block.outChannels;
      return { name, block };
    });
    this.logits = this.child('logits', new ConvUnit3d(width, this.features, 1, { relu: false }));
  }

  override configJson(): JsonObject {
    return { _class_name: 'InceptionI3d', ...this.json };
  }

  /**
   * @param video [B, T, 224, 224, 3] in [-1, 1], T at least 9
   * @returns logits, their mean over time, [B, num_classes]
   * @throws InputError when the shape does not fit
   */
  override forward(video: Tensor): Tensor {
    checkInput(video, 'I3D: video', ['B', 'T', SIZE, SIZE, 3]);
    if ((video.shape[1] as number) < MIN_FRAMES) {
      throw new InputError(`I3D: video has ${video.shape[1]} frames; at least ${MIN_FRAMES} are needed.`, {
        code: 'metrics.frames',
        frames: video.shape[1],
      });
    }
    return tf.tidy(() => {
      const [conv1a, conv2b, conv2c] = this.stem;
      let h = conv1a.forward(video); // [B, T/2, 112, 112, 64]
      h = maxPool3d(h, [1, 3, 3], [1, 2, 2]); // [B, T/2, 56, 56, 64]
      h = conv2c.forward(conv2b.forward(h)); // [B, T/2, 56, 56, 192]
      for (const { name, block } of this.mixed) {
        const pool = POOL_BEFORE[name];
        h = block.forward(pool ? maxPool3d(h, pool.size, pool.stride) : h);
      } // [B, T/8, 7, 7, 1024]
      h = averagePool3d(h, [2, 7, 7]); // [B, T/8 - 1, 1, 1, 1024]
      return this.logits.forward(h).mean([1, 2, 3]); // [B, num_classes]
    });
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.features];
  }
}
