/** Videos to the scaled latents that a latent diffusion model works on, and back, a few frames at a time. */
import {
  type CompiledFunction,
  compile,
  estimate,
  type MemoryEstimate,
  type Precision,
  type Tensor,
  tf,
} from '../../engine/index.js';
import { InputError } from '../../errors.js';
import type { AutoencoderKL } from './autoencoder.js';
import { sampleLatents } from './distribution.js';

/** Large frames go through in strips: less memory, the same result up to rounding (see `strip-layers.ts`). */
export interface TileOptions {
  /** Frames with a side above this many pixels are tiled (default 768). */
  above?: number;
  /** Rows of a strip, of each level's image (default 32). */
  rows?: number;
}

export interface CodecOptions {
  vae: AutoencoderKL;
  precision?: Precision;
  compile?: boolean;
  /** Frames a call (default 1): more take more memory and are hardly faster. */
  slice?: number;
  /** false never tiles. */
  tile?: TileOptions | false;
}

export interface CodecCall {
  /** Told after each slice; an error thrown in it stops the work. */
  onFrame?: (done: number, total: number) => void;
}

const DEFAULT_TILE: Required<TileOptions> = { above: 768, rows: 32 };

type Pass = 'encode' | 'decode' | 'posterior';

/** Frame codec bound to an autoencoder. Compiled functions are kept between calls. */
export class VideoCodec {
  private readonly vae: AutoencoderKL;
  private readonly slice: number;
  private readonly tile: Required<TileOptions> | null;
  private readonly precision: Precision | undefined;
  private readonly whole: Record<Pass, CompiledFunction>;
  private readonly tiled: Record<Pass, CompiledFunction>;

  /** @throws InputError when `slice` or a tile option is no whole number from 1 */
  constructor({ vae, precision, compile: enabled, slice = 1, tile = {} }: CodecOptions) {
    this.vae = vae;
    this.slice = slice;
    this.precision = precision;
    this.tile = tile === false ? null : { ...DEFAULT_TILE, ...tile };
    for (const [name, value] of Object.entries({ slice, ...this.tile })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new InputError(`VideoCodec: ${name} is ${value}; a whole number from 1 is needed.`, {
          code: 'vae.option',
          option: name,
          value,
        });
      }
    }
    const rows = this.tile?.rows;
    this.whole = this.functions({ precision, enabled });
    // Op by op: inside a compiled function TensorFlow would choose the order, and with it the memory.
    this.tiled = this.functions({ precision, enabled: false }, rows);
  }

  private functions(options: { precision?: Precision; enabled?: boolean }, stripRows?: number) {
    const { encode, decode, posterior } = this.passes(stripRows);
    return {
      posterior: compile(posterior, { ...options, name: 'vae_posterior', ordered: true }),
      encode: compile(encode, { ...options, name: 'vae_encode', ordered: true }),
      decode: compile(decode, { ...options, name: 'vae_decode', ordered: true }),
    };
  }

  private passes(stripRows?: number): Record<Pass, (...inputs: Tensor[]) => Tensor[]> {
    const { vae } = this;
    const factor = vae.config.scalingFactor;
    return {
      encode: (frames, noise) => [sampleLatents(vae.encode(frames!, { stripRows }), noise!).mul(factor)],
      decode: latents => [vae.decode(latents!.div(factor), { stripRows })],
      posterior: frames => {
        const { mean, std } = vae.encode(frames!, { stripRows });
        return [tf.concat([mean, std], -1)];
      },
    };
  }

  /**
   * What one slice will need, before it runs (see engine `estimate`); the autoencoder may be without memory. The frames
   * before and after the work are not counted.
   */
  estimate(direction: 'encode' | 'decode', { height, width }: { height: number; width: number }): MemoryEstimate {
    const { downsampleFactor: factor, config } = this.vae;
    const fn = this.passes(this.isLarge(height, width) ? this.tile!.rows : undefined)[direction];
    const latents = { shape: [this.slice, height / factor, width / factor, config.latentChannels] };
    const frames = { shape: [this.slice, height, width, config.inChannels] };
    return estimate(fn, direction === 'encode' ? [frames, latents] : [latents], { precision: this.precision });
  }

  /**
   * @param video [B, F, H, W, in] in [-1, 1]
   * @param noise standard normal [B, F, h, w, latent]
   * @returns (mean + std · noise) · scaling factor: [B, F, h, w, latent]; the caller's
   * @throws InputError when shapes do not fit, or H or W is no multiple of the autoencoder's factor
   */
  async encode(video: Tensor, noise: Tensor, call: CodecCall = {}): Promise<Tensor> {
    const { pass, latents } = this.encoding('encode', video);
    if (noise.shape.join() !== latents.join()) {
      throw new InputError(`VideoCodec: the noise is [${noise.shape}]; a video [${video.shape}] needs [${latents}].`, {
        code: 'model.input',
        input: 'noise',
        shape: noise.shape,
      });
    }
    return this.run(pass, [video, noise], call);
  }

  /**
   * What `encode` draws from, to be kept: `draw` makes latents of it, the same bits as `encode` with the same noise.
   * @param video [B, F, H, W, in] in [-1, 1]
   * @returns means, then standard deviations, not scaled: [B, F, h, w, 2·latent]; the caller's
   * @throws InputError as `encode`
   */
  async posterior(video: Tensor, call: CodecCall = {}): Promise<Tensor> {
    return this.run(this.encoding('posterior', video).pass, [video], call);
  }

  /**
   * @param posterior [..., 2·latent] as from `posterior`
   * @param noise standard normal [..., latent]
   * @returns (mean + std · noise) · scaling factor: [..., latent]; the caller's
   */
  draw(posterior: Tensor, noise: Tensor): Tensor {
    return tf.tidy(() => {
      const [mean, std] = tf.split(posterior, 2, -1) as [Tensor, Tensor];
      return sampleLatents({ mean, std }, noise).mul(this.vae.config.scalingFactor);
    });
  }

  /** Checks a video, and says what encodes it to latents of which shape. */
  private encoding(pass: 'encode' | 'posterior', video: Tensor): { pass: CompiledFunction; latents: number[] } {
    const { downsampleFactor: factor, config } = this.vae;
    const [B, F, H, W] = checkVideo(video, 'video', config.inChannels);
    if (H % factor || W % factor) {
      throw new InputError(
        `VideoCodec: frames of ${W}x${H} pixels: width and height must be multiples of ${factor} for this autoencoder. Resize or crop them first.`,
        { code: 'vae.size', width: W, height: H, factor },
      );
    }
    return { pass: this.pick(pass, H, W), latents: [B, F, H / factor, W / factor, config.latentChannels] };
  }

  /**
   * @param latents scaled [B, F, h, w, latent]
   * @returns [B, F, H, W, out], about in [-1, 1]; the caller's
   * @throws InputError when the shape is another
   */
  async decode(latents: Tensor, call: CodecCall = {}): Promise<Tensor> {
    const { downsampleFactor: factor, config } = this.vae;
    const [, , h, w] = checkVideo(latents, 'latents', config.latentChannels);
    return this.run(this.pick('decode', h * factor, w * factor), [latents], call);
  }

  private pick(direction: Pass, height: number, width: number): CompiledFunction {
    return (this.isLarge(height, width) ? this.tiled : this.whole)[direction];
  }

  private isLarge(height: number, width: number): boolean {
    return this.tile !== null && Math.max(height, width) > this.tile.above;
  }

  /** Applies `fn` to slices of the frames of `videos` [B, F, ...] and puts the results together again. */
  private async run(fn: CompiledFunction, videos: Tensor[], { onFrame }: CodecCall): Promise<Tensor> {
    const [B, F] = videos[0]!.shape as [number, number];
    const done: Tensor[] = [];
    try {
      for (let start = 0; start < B * F; start += this.slice) {
        const count = Math.min(this.slice, B * F - start);
        const output = tf.tidy(() => {
          const frames = videos.map(video => video.reshape([B * F, ...video.shape.slice(2)]));
          return fn(...frames.map(x => x.slice([start, 0, 0, 0], [count, -1, -1, -1])))[0]!;
        });
        done.push(output);
        onFrame?.(start + count, B * F);
        await new Promise(resolve => setImmediate(resolve)); // let Ctrl-C and progress through
      }
      return tf.tidy(() => {
        const frames = done.length === 1 ? done[0]! : tf.concat(done, 0); // [B·F, ...]
        return frames.reshape([B, F, ...frames.shape.slice(1)]);
      });
    } finally {
      tf.dispose(done);
    }
  }

  /** Frees the compiled functions; the autoencoder stays the caller's. */
  dispose(): void {
    for (const fn of [...Object.values(this.whole), ...Object.values(this.tiled)]) fn.dispose();
  }
}

function checkVideo(x: Tensor, what: string, channels: number): [number, number, number, number] {
  if (x.rank !== 5 || x.shape[4] !== channels || x.size === 0) {
    throw new InputError(`VideoCodec: ${what} is [${x.shape}]; it must be [B, F, H, W, ${channels}].`, {
      code: 'model.input',
      input: what,
      shape: x.shape,
    });
  }
  return x.shape.slice(0, 4) as [number, number, number, number];
}
