/**
 * Frame interpolation, Show-1's second stage: a window between each pair of neighbouring keyframes, conditioned on their
 * blend and a mask of the two (Show-1 `run_inference.py`, `pipeline_t2v_interp_pixel.py`).
 */
import { interpolationCondition } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import {
  checkRequest,
  Denoiser,
  type DenoiserOptions,
  forBatch,
  type SamplingOptions,
  type StepSize,
} from './denoise.js';
import { type NoiseSource, seededNoise } from './noise.js';

/** Frames of a window, both keyframes included. */
export const INTERP_WINDOW = 5;

export interface InterpOptions extends SamplingOptions {
  /** [B, K, H, W, 3] in [-1, 1] */
  keyframes: Tensor;
  /** Frames of a window, both keyframes included (default 5). */
  windowFrames?: number;
  /** Windows denoised together, of all videos; more need more memory and change nothing else (default: all). */
  batchWindows?: number;
}

export class InterpSampler {
  private readonly denoiser: Denoiser;

  constructor(options: DenoiserOptions) {
    this.denoiser = new Denoiser(options);
  }

  /**
   * All windows of a video start from the same noise, and the network's versions of the keyframes replace those given,
   * each by the window that it begins (the last by the window that it ends), as in the released script.
   * @returns [B, (K - 1) · (windowFrames - 1) + 1, H, W, 3] in about [-1, 1]; belongs to the caller
   */
  async sample(request: InterpOptions): Promise<Tensor> {
    const { keyframes, windowFrames = INTERP_WINDOW, seeds, steps, text, unconditional, onStep } = request;
    const [B, K, H, W, C] = keyframes.shape as [number, number, number, number, number];
    checkRequest('interp', B, request);
    if (K < 2 || windowFrames < 3) {
      throw new InputError(
        `interp: ${K} keyframes and windows of ${windowFrames} frames; two keyframes and windows of three frames are the least`,
        { code: 'infer.interp-frames' },
      );
    }
    const windows = B * (K - 1); // row w of video b is b · (K - 1) + w
    const { batchWindows = windows } = request;
    const chunks = Math.ceil(windows / batchWindows);
    this.denoiser.scheduler.setTimesteps(steps);
    const conditions = tf.tidy(() => {
      const rows = (from: number) => keyframes.slice([0, from], [-1, K - 1]).reshape([windows, H, W, C]);
      return interpolationCondition(rows(0), rows(1), windowFrames); // [B·(K-1), F, H, W, C + 1]
    });
    const embeddings = tf.tidy(() => [perWindow(text, K - 1), perWindow(forBatch(unconditional, B), K - 1)]);
    const [texts, negatives] = embeddings as [Tensor, Tensor];
    const results: Tensor[] = [];
    try {
      for (let chunk = 0; chunk < chunks; chunk++) {
        const from = chunk * batchWindows;
        const size = Math.min(batchWindows, windows - from);
        const noise = request.noise ?? windowNoise(seeds, K - 1, from, size);
        const [condition, chunkText, chunkNegative] = [conditions, texts, negatives].map(t => t.slice(from, size)) as [
          Tensor,
          Tensor,
          Tensor,
        ];
        try {
          results.push(
            await this.denoiser.run({
              ...request,
              text: chunkText,
              unconditional: chunkNegative,
              start: noise('interp initial noise', [size, windowFrames, H, W, C]),
              condition,
              noise,
              purpose: 'interp ',
              onStep: (done, total) => onStep?.(chunk * total + done, chunks * total),
            }),
          );
        } finally {
          tf.dispose([condition, chunkText, chunkNegative]);
        }
      }
      return joinWindows(results, B, K - 1);
    } finally {
      tf.dispose([conditions, texts, negatives, ...results]);
    }
  }

  /** Bytes that one step needs beside the weights, before it runs. */
  stepBytes(size: StepSize): number {
    return this.denoiser.estimate(size).activationBytes;
  }

  dispose(): void {
    this.denoiser.dispose();
  }
}

/** Each video's entry once for each of its windows: [B, …] -> [B·windows, …]. */
function perWindow(x: Tensor, windows: number): Tensor {
  const [B, ...rest] = x.shape as [number, ...number[]];
  return tf.stack(Array<Tensor>(windows).fill(x), 1).reshape([B * windows, ...rest]);
}

/** The windows of one video all draw the same numbers. */
function windowNoise(seeds: readonly number[], windows: number, from: number, size: number): NoiseSource {
  return seededNoise(Array.from({ length: size }, (_, i) => seeds[Math.floor((from + i) / windows)]!));
}

/** Puts windows [B·N, F, H, W, C] in a row; they share their end frames, and the later window's is kept. */
function joinWindows(parts: Tensor[], B: number, N: number): Tensor {
  return tf.tidy(() => {
    const all = parts.length === 1 ? parts[0]! : tf.concat(parts, 0);
    const [, F, H, W, C] = all.shape as [number, number, number, number, number];
    const starts = all.slice([0, 0], [-1, F - 1]).reshape([B, N * (F - 1), H, W, C]);
    const end = all
      .reshape([B, N, F, H * W * C])
      .slice([0, N - 1, F - 1], [-1, 1, 1])
      .reshape([B, 1, H, W, C]);
    return tf.concat([starts, end], 1);
  });
}
