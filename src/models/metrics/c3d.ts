/**
 * C3D (Tran et al. 2015), fine-tuned on UCF-101; its class probabilities make the Inception score of videos. Architecture:
 * tgan2, models/c3d/c3d_ucf101.py (Caffe's pools, which cover the border), and jfzhang95/pytorch-video-recognition.
 */
import { type Tensor, tf } from '../../engine/index.js';
import { Linear } from '../layers/linear.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import { checkInput } from './check-input.js';
import { metricOptions } from './config.js';
import { ConvUnit3d } from './conv-unit.js';
import { maxPool3d } from './pool3d.js';

/** Convolutions and their channels, a line for what is between two pools. */
const CONVOLUTIONS = [
  [['conv1', 64]],
  [['conv2', 128]],
  [
    ['conv3a', 256],
    ['conv3b', 256],
  ],
  [
    ['conv4a', 512],
    ['conv4b', 512],
  ],
  [
    ['conv5a', 512],
    ['conv5b', 512],
  ],
] as const;
const HIDDEN = 4096;
const [FRAMES, SIZE] = [16, 112];
/** Places of the last map: 1 frame of 4x4. */
const PLACES = 16;

/**
 * Where the last pool's windows lie on its 7x7 map: `ceil` from the corner on, over the border at the end (Caffe, Chainer,
 * and the weights made there); `padded` with a border of one at all sides (the PyTorch ports, and weights trained in them).
 */
export const C3D_POOL5 = ['ceil', 'padded'] as const;
export type C3dPool5 = (typeof C3D_POOL5)[number];

export class C3D extends Model {
  protected readonly weightStem = 'model';
  /** Width of the output. */
  readonly features: number;
  private readonly json: JsonObject;
  private readonly pool5: C3dPool5;
  private readonly groups: ConvUnit3d[][];
  private readonly fc6;
  private readonly fc7;
  private readonly fc8;

  /**
   * Its weights are frozen.
   * @param json `width` (default 1, multiplies the inner channels), `num_classes` (default 101), `pool5` (`ceil`, default,
   *   or `padded`)
   * @param options.source where it is from, for messages
   * @throws InputError naming the key that is wrong
   */
  constructor(json: JsonObject = {}, { source = 'the C3D config' }: { source?: string } = {}) {
    super();
    this.json = json;
    const { channels, reader } = metricOptions(json, source, 'C3D');
    this.features = reader.count('num_classes', 101);
    this.pool5 = reader.choice('pool5', C3D_POOL5, 'ceil');
    reader.finish();
    let width = 3;
    this.groups = CONVOLUTIONS.map(group =>
      group.map(([name, published]) => {
        const unit = this.child(name, new ConvUnit3d(width, channels(published), 3));
        width = unit.outChannels;
        return unit;
      }),
    );
    const hidden = channels(HIDDEN);
    this.fc6 = this.child('fc6', new Linear(PLACES * width, hidden));
    this.fc7 = this.child('fc7', new Linear(hidden, hidden));
    this.fc8 = this.child('fc8', new Linear(hidden, this.features));
    this.trainable = false;
  }

  override configJson(): JsonObject {
    return { _class_name: 'C3D', ...this.json };
  }

  /**
   * @param video [B, 16, 112, 112, 3]: BGR, 0..255, the mean subtracted
   * @returns logits [B, num_classes]
   * @throws InputError when the shape does not fit
   */
  override forward(video: Tensor): Tensor {
    checkInput(video, 'C3D: video', ['B', FRAMES, SIZE, SIZE, 3]);
    return tf.tidy(() => {
      let h = video;
      for (const [i, group] of this.groups.entries()) {
        for (const unit of group) h = unit.forward(h);
        h = i === 4 ? this.lastPool(h) : maxPool3d(h, i === 0 ? [1, 2, 2] : [2, 2, 2], i === 0 ? [1, 2, 2] : [2, 2, 2]);
      } // [B, 1, 4, 4, 512]
      const flat = h.transpose([0, 4, 1, 2, 3]).reshape([h.shape[0]!, -1]); // [B, 8192], channels first as in the file
      return this.fc8.forward(tf.relu(this.fc7.forward(tf.relu(this.fc6.forward(flat))))); // [B, num_classes]
    });
  }

  /** h [B, 2, 7, 7, C] -> [B, 1, 4, 4, C] */
  private lastPool(h: Tensor): Tensor {
    if (this.pool5 === 'ceil') return maxPool3d(h, [2, 2, 2], [2, 2, 2]);
    // Zeros never exceed what a ReLU gave.
    const padded = tf.pad(h, [
      [0, 0],
      [0, 0],
      [1, 0],
      [1, 0],
      [0, 0],
    ]); // 8x8: even, so that SAME adds nothing
    return maxPool3d(padded, [2, 2, 2], [2, 2, 2]);
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.features];
  }
}
