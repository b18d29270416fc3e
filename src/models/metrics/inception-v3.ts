/**
 * Inception v3 as the Fréchet inception distance takes it: the graph `inception-2015-12-05`, up to its last pool, with
 * torchvision's names for its units (pytorch-fid, inception.py; clean-fid, features.py).
 */
import { type Tensor, tf } from '../../engine/index.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import { checkInput } from './check-input.js';
import { metricOptions, wrongOption } from './config.js';
import { ConvUnit2d, type ConvUnit2dOptions } from './conv-unit.js';
import {
  InceptionE,
  inceptionA,
  inceptionB,
  inceptionC,
  inceptionD,
  type OuterChannels,
  reducePool,
} from './inception-blocks.js';

const SIZE = 299;
/** Published width of the last pool. */
const FEATURES = 2048;

/** Channels of the last block that add up to `features`, in the published proportion. */
function lastChannels(features: number): OuterChannels {
  const part = (published: number) => Math.floor((published * features) / FEATURES);
  const [branch1x1, half] = [part(320), part(384)];
  return { branch1x1, half, pool: features - branch1x1 - 4 * half };
}

export class InceptionV3 extends Model {
  protected readonly weightStem = 'model';
  /** Width of the output. */
  readonly features: number;
  private readonly json: JsonObject;
  private readonly stem: ConvUnit2d[];
  private readonly mixed: { forward(x: Tensor): Tensor }[];

  /**
   * Its weights are frozen.
   * @param json `width` (default 1, multiplies the inner channels), `features` (default 2048, a multiple of 32)
   * @param options.source where it is from, for messages
   * @throws InputError naming the key that is wrong
   */
  constructor(json: JsonObject = {}, { source = 'the Inception config' }: { source?: string } = {}) {
    super();
    this.json = json;
    const { channels: c, reader } = metricOptions(json, source, 'Inception v3');
    this.features = reader.count('features', FEATURES);
    if (this.features % 32 !== 0) throw wrongOption(source, 'features', this.features, 'a multiple of 32');
    reader.finish();

    let width = 3;
    const unit = (name: string, out: number, kernel: number, options: ConvUnit2dOptions = { padding: 'valid' }) => {
      const made = this.child(name, new ConvUnit2d(width, c(out), [kernel, kernel], options));
      width = made.outChannels;
      return made;
    };
    this.stem = [
      unit('Conv2d_1a_3x3', 32, 3, { stride: 2, padding: 'valid' }),
      unit('Conv2d_2a_3x3', 32, 3),
      unit('Conv2d_2b_3x3', 64, 3, { padding: 'same' }),
      unit('Conv2d_3b_1x1', 80, 1),
      unit('Conv2d_4a_3x3', 192, 3),
    ];

    type Mixed = ReturnType<typeof inceptionA> | ReturnType<typeof inceptionB> | InceptionE;
    const mixed = (name: string, make: (inChannels: number) => Mixed) => {
      const block = this.child(name, make(width));
      width = block.outChannels;
      return block;
    };
    const wide: OuterChannels = { branch1x1: c(320), half: c(384), pool: c(192) };
    this.mixed = [
      mixed('Mixed_5b', n => inceptionA(n, 32, c)),
      mixed('Mixed_5c', n => inceptionA(n, 64, c)),
      mixed('Mixed_5d', n => inceptionA(n, 64, c)),
      mixed('Mixed_6a', n => inceptionB(n, c)),
      mixed('Mixed_6b', n => inceptionC(n, 128, c)),
      mixed('Mixed_6c', n => inceptionC(n, 160, c)),
      mixed('Mixed_6d', n => inceptionC(n, 160, c)),
      mixed('Mixed_6e', n => inceptionC(n, 192, c)),
      mixed('Mixed_7a', n => inceptionD(n, c)),
      mixed('Mixed_7b', n => new InceptionE(n, wide, 'average', c)),
      mixed('Mixed_7c', n => new InceptionE(n, lastChannels(this.features), 'max', c)),
    ];
  }

  override configJson(): JsonObject {
    return { _class_name: 'InceptionV3', ...this.json };
  }

  /**
   * @param images [N, 299, 299, 3], (x - 128) / 128 of 0..255
   * @returns the last pool, [N, features]
   * @throws InputError when the shape does not fit
   */
  override forward(images: Tensor): Tensor {
    checkInput(images, 'Inception v3: images', ['N', SIZE, SIZE, 3]);
    return tf.tidy(() => {
      const [conv1a, conv2a, conv2b, conv3b, conv4a] = this.stem as [ConvUnit2d, ...ConvUnit2d[]];
      let h = conv2b!.forward(conv2a!.forward(conv1a.forward(images))); // [N, 147, 147, 64]
      h = conv4a!.forward(conv3b!.forward(reducePool(h))); // [N, 71, 71, 192]
      h = reducePool(h); // [N, 35, 35, 192]
      for (const block of this.mixed) h = block.forward(h); // [N, 8, 8, features]
      return h.mean([1, 2]);
    });
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.features];
  }
}
