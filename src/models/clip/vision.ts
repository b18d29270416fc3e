/** CLIP's vision transformer (ViT): patches and a class token, layers, and the class token's normed state. */
import { conv2d, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Block } from '../layers/block.js';
import { normal } from '../layers/initializers.js';
import { LayerNorm } from '../layers/layer-norm.js';
import { ClipEncoder } from '../text/clip-layers.js';
import type { ClipVisionConfig } from './config.js';

/** `CLIPVisionTransformer`: everything below `vision_model.`. */
export class ClipVisionTransformer extends Block {
  private readonly classToken;
  private readonly patches;
  private readonly positions;
  private readonly normBefore;
  private readonly encoder;
  private readonly normAfter;

  constructor(private readonly config: ClipVisionConfig) {
    super();
    const { hiddenSize: D, numChannels, imageSize, patchSize, layerNormEps, initializerFactor } = config;
    const tokens = Math.floor(imageSize / patchSize) ** 2 + 1;
    const init = normal(config.initializerRange * initializerFactor);
    this.classToken = this.param('embeddings.class_embedding', [D], { init: normal(initializerFactor * D ** -0.5) });
    const kernel = [D, numChannels, patchSize, patchSize];
    this.patches = this.param('embeddings.patch_embedding.weight', kernel, { layout: 'conv2d', init });
    this.positions = this.param('embeddings.position_embedding.weight', [tokens, D], { init });
    this.normBefore = this.child('pre_layrnorm', new LayerNorm(D, layerNormEps)); // transformers' spelling
    this.encoder = this.child('encoder', new ClipEncoder(config));
    this.normAfter = this.child('post_layernorm', new LayerNorm(D, layerNormEps));
  }

  /**
   * @param pixels [N, imageSize, imageSize, channels], normalised
   * @returns the class token after the last norm, [N, D]
   * @throws InputError when the images have another size
   */
  override forward(pixels: Tensor): Tensor {
    return tf.tidy(() => {
      const { imageSize, numChannels, hiddenSize: D } = this.config;
      const expected = [imageSize, imageSize, numChannels];
      if (pixels.rank !== 4 || pixels.shape.slice(1).join() !== expected.join()) {
        throw new InputError(
          `CLIP: pixels is [${pixels.shape}]; it must be [N, ${expected.join(', ')}], channels last: resize the images first.`,
          { code: 'clip.input', input: 'pixels', shape: pixels.shape },
        );
      }
      const N = pixels.shape[0] as number;
      const patches = this.embedPatches(pixels).reshape([N, -1, D]); // [N, P, D]
      const classToken = this.classToken.value().add(tf.zeros([N, 1, D])); // [N, 1, D]
      const tokens = tf.concat([classToken, patches], 1).add(this.positions.value()); // [N, 1 + P, D]
      const hidden = this.encoder.forward(this.normBefore.forward(tokens));
      return this.normAfter.forward(hidden.slice([0, 0, 0], [-1, 1, -1]).reshape([N, D]));
    });
  }

  /**
   * A convolution whose windows do not overlap is a matrix product of the patches, which takes a third less time. Where the
   * patches leave a rest of the image it stays a convolution.
   */
  private embedPatches(pixels: Tensor): Tensor {
    const { imageSize, numChannels, patchSize: p, hiddenSize: D } = this.config;
    const kernel = this.patches.value(); // [p, p, channels, D]
    if (imageSize % p !== 0) return conv2d(pixels, kernel, null, { stride: p });
    const [n, row] = [imageSize / p, p * numChannels];
    const blocks = pixels.reshape([-1, n, p, n, row]).transpose([0, 1, 3, 2, 4]); // [N, n, n, p, p · channels]
    return tf.matMul(blocks.reshape([-1, p * row]), kernel.reshape([p * row, D]));
  }
}
