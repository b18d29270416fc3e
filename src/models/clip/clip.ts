/** CLIP (Radford et al. 2021): texts and images in one space, loading transformers' weights. */
import { type Tensor, tf } from '../../engine/index.js';
import type { Initializer } from '../layers/initializers.js';
import { Model } from '../layers/model.js';
import { ClipLinear } from '../text/clip-layers.js';
import { isPositionIds } from '../text/clip-text.js';
import { ClipTextTransformer } from '../text/clip-transformer.js';
import type { JsonObject } from '../weights/pretrained.js';
import { type ClipConfig, parseClipConfig } from './config.js';
import { ClipVisionTransformer } from './vision.js';

export interface ClipOutput {
  /** Unit length: [T, P]. */
  textEmbeds: Tensor;
  /** Unit length: [N, P]. */
  imageEmbeds: Tensor;
  /** exp(logit_scale) times the cosines: [N, T]. */
  logitsPerImage: Tensor;
  /** The transpose: [T, N]. */
  logitsPerText: Tensor;
}

export class CLIPModel extends Model {
  protected readonly weightStem = 'model';
  readonly config: ClipConfig;
  private readonly json: JsonObject;
  private readonly logitScale;
  private readonly text;
  private readonly vision;
  private readonly visualProjection;
  private readonly textProjection;

  /**
   * Its weights are frozen; `model.trainable = true` lets them train.
   * @param json transformers' `config.json` of a CLIPModel
   * @param options.source where it is from, for messages
   * @throws InputError naming the key that is wrong
   */
  constructor(json: JsonObject, { source = 'the CLIP config' }: { source?: string } = {}) {
    super();
    const { _fixture, ...rest } = json;
    this.json = rest;
    this.config = parseClipConfig(json, source);
    const { text, vision, projectionDim, logitScaleInit } = this.config;
    const fill: Initializer = shape => tf.fill(shape, logitScaleInit);
    this.logitScale = this.param('logit_scale', [], { init: fill });
    this.text = this.child('text_model', new ClipTextTransformer(text));
    this.vision = this.child('vision_model', new ClipVisionTransformer(vision));
    const projection = ({ hiddenSize, initializerFactor }: typeof text | typeof vision) =>
      new ClipLinear(hiddenSize, projectionDim, initializerFactor * hiddenSize ** -0.5, { bias: false });
    this.visualProjection = this.child('visual_projection', projection(vision));
    this.textProjection = this.child('text_projection', projection(text));
    this.trainable = false;
  }

  override configJson(): JsonObject {
    return { ...this.json, architectures: ['CLIPModel'], model_type: 'clip' };
  }

  /** Width of the embeddings: the P of [N, P]. */
  get width(): number {
    return this.config.projectionDim;
  }

  /** Most tokens of a text. */
  get maxLength(): number {
    return this.config.text.maxPositionEmbeddings;
  }

  /** Height and width of the images. */
  get imageSize(): number {
    return this.config.vision.imageSize;
  }

  /**
   * @param pixels [N, imageSize, imageSize, 3], resized and normalised as the model's preprocessor does
   * @returns [N, P], not normalised
   * @throws InputError when the images have another size
   */
  encodeImage(pixels: Tensor): Tensor {
    return tf.tidy(() => this.visualProjection.forward(this.vision.forward(pixels)));
  }

  /**
   * @param inputIds [T, L] int32, at most `maxLength` tokens
   * @param attentionMask [T, L], 1 for tokens that may be attended, 0 for padding; left out: all may
   * @returns [T, P], not normalised
   * @throws InputError when the shapes do not fit
   */
  encodeText(inputIds: Tensor, attentionMask?: Tensor | null): Tensor {
    return tf.tidy(() => this.textProjection.forward(this.text.forward(inputIds, attentionMask).pooled));
  }

  /** Every text against every image; arguments as for `encodeText` and `encodeImage`. */
  override forward(inputIds: Tensor, pixels: Tensor, attentionMask?: Tensor | null): ClipOutput {
    return tf.tidy(() => {
      const textEmbeds = unit(this.encodeText(inputIds, attentionMask)); // [T, P]
      const imageEmbeds = unit(this.encodeImage(pixels)); // [N, P]
      const logitsPerText = tf.matMul(textEmbeds, imageEmbeds, false, true).mul(this.logitScale.value().exp()); // [T, N]
      return { textEmbeds, imageEmbeds, logitsPerImage: logitsPerText.transpose(), logitsPerText } as never;
    }) as ClipOutput;
  }

  /** TF.js's entry: `logitsPerImage`, `logitsPerText`, `textEmbeds`, `imageEmbeds`, in transformers' order. */
  override call(inputs: Tensor | Tensor[]): Tensor[] {
    const [inputIds, pixels, attentionMask] = inputs as Tensor[];
    const { logitsPerImage, logitsPerText, textEmbeds, imageEmbeds } = this.forward(inputIds!, pixels!, attentionMask);
    return [logitsPerImage, logitsPerText, textEmbeds, imageEmbeds];
  }

  /** The position numbers that old files hold are left aside. */
  protected override nameOf(tensor: string): string | null {
    return isPositionIds(tensor) ? null : tensor;
  }
}

/** Rows scaled to unit length. */
const unit = (x: Tensor): Tensor => x.div(x.square().sum(-1, true).sqrt());
