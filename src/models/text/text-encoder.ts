/** What turns token ids into the states that a UNet attends to. */
import type { Tensor } from '../../engine/index.js';
import type { TokenBatch } from './tokenizer.js';

/** An encoder whose weights are in memory. */
export interface TextEncoder {
  /** Width of the output. */
  readonly width: number;
  /** ids [B, L], mask [B, L] -> [B, L, width] */
  forward(inputIds: Tensor, attentionMask: Tensor): Tensor;
  dispose(): unknown;
}

/** An encoder whose weights are read while it works: the more texts at a time, the better. */
export interface StreamedTextEncoder {
  /** Width of the output. */
  readonly width: number;
  /** ids and mask [B, L] -> B arrays [L, width], row-major; each text's is the same whatever its company. */
  encode(batch: TokenBatch, options?: { onLayer?: (done: number, total: number) => void }): Promise<Float32Array[]>;
  dispose(): unknown;
}

export const isStreamed = (encoder: TextEncoder | StreamedTextEncoder): encoder is StreamedTextEncoder =>
  'encode' in encoder;
