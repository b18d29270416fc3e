/**
 * Encoding and decoding in strips: the levels run strip by strip, the middle, which attends to everything and is small,
 * as a whole. Where a level attends too (`Attn…Block2D`), its image is joined for the attention.
 */
import { type Tensor, tf } from '../../engine/index.js';
import type { PixelAttention } from './attention.js';
import type { DownEncoderBlock2D, UpDecoderBlock2D } from './blocks.js';
import type { AutoencoderKLConfig } from './config.js';
import type { Decoder } from './decoder.js';
import type { Encoder } from './encoder.js';
import { stripConv, stripDownsample, stripNormConv, stripResnet, stripUpsample } from './strip-layers.js';
import { Strips } from './strips.js';

/** Splits an image; it stays the caller's. */
const split = (x: Tensor, rows: number): Strips =>
  Strips.build(x.shape[1]!, rows, (from, to) => x.slice([0, from, 0, 0], [-1, to - from, -1, -1]));

function attend(x: Strips, attention: PixelAttention, rows: number): Strips {
  const whole = x.join();
  const y = tf.tidy(() => attention.forward(whole));
  whole.dispose();
  const strips = split(y, rows);
  y.dispose();
  return strips;
}

function layers(x: Strips, block: DownEncoderBlock2D | UpDecoderBlock2D, config: AutoencoderKLConfig, rows: number) {
  let h = x;
  for (const [i, resnet] of block.resnets.entries()) {
    h = stripResnet(h, resnet, config.actFn, rows);
    const attention = block.attentions[i];
    if (attention) h = attend(h, attention, rows);
  }
  return h;
}

/** The same as `encoder.forward(x)` in strips of `rows` rows: x [N, H, W, in] -> [N, h, w, 2·latent]. */
export function encodeInStrips(encoder: Encoder, config: AutoencoderKLConfig, x: Tensor, rows: number): Tensor {
  let h = stripConv(split(x, rows), encoder.convIn, rows);
  for (const block of encoder.downBlocks) {
    h = layers(h, block, config, rows);
    if (block.sampler) h = stripDownsample(h, block.sampler, rows);
  }
  const low = h.join();
  const moments = encoder.tail(low);
  low.dispose();
  return moments;
}

/** The same as `decoder.forward(z)` in strips of `rows` rows: z [N, h, w, latent] -> [N, H, W, out]. */
export function decodeInStrips(decoder: Decoder, config: AutoencoderKLConfig, z: Tensor, rows: number): Tensor {
  const low = decoder.head(z);
  let h = split(low, rows);
  low.dispose();
  for (const block of decoder.upBlocks) {
    h = layers(h, block, config, rows);
    if (block.sampler) h = stripUpsample(h, block.sampler, rows);
  }
  return stripNormConv(h, decoder.convNormOut, decoder.convOut, rows).join();
}
