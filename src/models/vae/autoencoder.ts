/** AutoencoderKL (Rombach et al. 2022, latent diffusion): images to latents and back. Loads diffusers' weights. */
import { type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { Linear } from '../layers/linear.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { WeightSource } from '../weights/source.js';
import {
  type AutoencoderKLConfig,
  autoencoderConfigJson,
  parseAutoencoderConfig,
  type VaeParseOptions,
} from './config.js';
import { Decoder } from './decoder.js';
import { type LatentDistribution, latentDistribution } from './distribution.js';
import { Encoder } from './encoder.js';
import { currentName } from './names.js';
import { decodeInStrips, encodeInStrips } from './strip-passes.js';

export interface VaePassOptions {
  /**
   * Work through the image in horizontal strips of this many rows of each level's image, which takes less memory and gives
   * the same result up to rounding. It saves memory only outside of compiled functions, where each strip is freed in time.
   */
  stripRows?: number;
}

export class AutoencoderKL extends Model {
  readonly config: AutoencoderKLConfig;
  protected override readonly weightStem = 'diffusion_pytorch_model';
  private readonly encoder: Encoder;
  private readonly decoder: Decoder;
  private readonly quantConv: Linear;
  private readonly postQuantConv: Linear;

  /**
   * @param json a diffusers config (`config.json`)
   * @throws InputError for options that are unknown, unsupported or do not fit together
   */
  constructor(json: JsonObject, options: VaeParseOptions = {}) {
    super();
    this.config = parseAutoencoderConfig(json, options);
    const { latentChannels } = this.config;
    this.encoder = this.child('encoder', new Encoder(this.config));
    this.decoder = this.child('decoder', new Decoder(this.config));
    this.quantConv = this.child('quant_conv', new Linear(2 * latentChannels, 2 * latentChannels, { conv1x1: true }));
    this.postQuantConv = this.child('post_quant_conv', new Linear(latentChannels, latentChannels, { conv1x1: true }));
  }

  override configJson(): JsonObject {
    return autoencoderConfigJson(this.config);
  }

  /** Pixels of an image a latent's side: 2^(levels - 1). */
  get downsampleFactor(): number {
    return 2 ** (this.config.blockOutChannels.length - 1);
  }

  /**
   * @param x [N, H, W, in] in [-1, 1]; a side that is no multiple of `downsampleFactor` is rounded down at each level
   * @returns the distribution of the latents, each [N, h, w, latent], not scaled
   * @throws InputError when the shape is another
   */
  encode(x: Tensor, { stripRows }: VaePassOptions = {}): LatentDistribution {
    const { inChannels } = this.config;
    const factor = this.downsampleFactor;
    if (x.rank !== 4 || x.shape[3] !== inChannels || Math.min(x.shape[1]!, x.shape[2]!) < factor) {
      throw wrongShape('encode', x, `[N, H, W, ${inChannels}] with sides of ${factor} pixels at least`);
    }
    return tf.tidy(() => {
      const moments = stripRows ? encodeInStrips(this.encoder, this.config, x, stripRows) : this.encoder.forward(x);
      return latentDistribution(this.quantConv.forward(moments)) as never;
    }) as LatentDistribution;
  }

  /**
   * @param z latents [N, h, w, latent], already divided by `config.scalingFactor`
   * @returns [N, H, W, out], about in [-1, 1]
   * @throws InputError when the shape is another
   */
  decode(z: Tensor, { stripRows }: VaePassOptions = {}): Tensor {
    const { latentChannels } = this.config;
    if (z.rank !== 4 || z.shape[3] !== latentChannels) throw wrongShape('decode', z, `[N, h, w, ${latentChannels}]`);
    return tf.tidy(() => {
      const input = this.postQuantConv.forward(z);
      return stripRows ? decodeInStrips(this.decoder, this.config, input, stripRows) : this.decoder.forward(input);
    });
  }

  /** Reconstruction through the latents' means: x [N, H, W, in] -> [N, H, W, out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => this.decode(this.encode(x).mean));
  }

  /** Attention may have its old names (`query`, `key`, `value`, `proj_attn`). */
  protected override nameOf(tensor: string, source: WeightSource): string {
    const current = currentName(tensor);
    return current !== tensor && source.has(current) ? tensor : current; // both spellings: the old one is unexpected
  }
}

const wrongShape = (what: string, { shape }: Tensor, allowed: string) =>
  new InputError(`AutoencoderKL ${what}: the input is [${shape}]; it must be ${allowed}.`, {
    code: 'model.input',
    input: what,
    shape,
  });
