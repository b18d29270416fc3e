/**
 * The first super-resolution stage: a pixel UNet enlarges four times, window by window, conditioned on the noised
 * low-resolution video and on one clean large frame, which each window hands to the next (Show-1 `run_inference.py`,
 * `pipeline_t2v_sr_pixel_cond.py`).
 */
import type { NoiseSchedule } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { bicubicUpsample } from './bicubic.js';
import { checkRequest, Denoiser, type DenoiserOptions, type SamplingOptions, type StepSize } from './denoise.js';
import { seededNoise } from './noise.js';
import { noisyCondition } from './super-resolution.js';

/** Constants of the released pipeline. */
export const SR1 = { scale: 4, windowFrames: 8, noiseLevel: 250 } as const;

export interface Sr1SamplerOptions extends DenoiserOptions {
  /** Schedule of the condition's noise (the folder's `image_noising_scheduler`; default squaredcos_cap_v2). */
  noisingSchedule?: NoiseSchedule;
}

export interface Sr1Options extends SamplingOptions {
  /** [B, F, h, w, 3] in [-1, 1] */
  video: Tensor;
  /**
   * The clean first frame, [B, 1, scale·h, scale·w, 3]; left out or null: the bicubic enlargement of the video's own; `noisy`
   * leaves the first window's noised one.
   */
  firstFrame?: Tensor | 'noisy' | null;
  scale?: number;
  /** Frames of a window; windows share one frame (default 8). */
  windowFrames?: number;
  /** Timestep of the condition's noise (default 250). */
  noiseLevel?: number;
}

/** First frames of the windows: each starts on its predecessor's last frame; the last one is moved back to end in time. */
export function sr1Windows(frames: number, windowFrames: number): number[] {
  if (frames <= windowFrames) return [0];
  const starts: number[] = [];
  for (let start = 0; start + windowFrames < frames; start += windowFrames - 1) starts.push(start);
  return [...starts, frames - windowFrames];
}

export class Sr1Sampler {
  private readonly denoiser: Denoiser;

  constructor(private readonly options: Sr1SamplerOptions) {
    this.denoiser = new Denoiser(options);
  }

  /**
   * As in the released script every window draws the same noise, and each writes all its frames, the first one too.
   * @returns [B, F, scale·h, scale·w, 3] in about [-1, 1]; belongs to the caller
   */
  async sample(request: Sr1Options): Promise<Tensor> {
    const { video, firstFrame = null, seeds, steps, onStep } = request;
    const { scale = SR1.scale, windowFrames = SR1.windowFrames, noiseLevel = SR1.noiseLevel } = request;
    const { noise = seededNoise(seeds) } = request;
    const [B, F, h, w, C] = video.shape as [number, number, number, number, number];
    const size: [number, number] = [h * scale, w * scale];
    checkRequest('sr1', B, request);
    if (windowFrames < 2) {
      throw new InputError(`sr1: windows of ${windowFrames} frame; two are the least, because windows share one`, {
        code: 'infer.sr1-window',
      });
    }
    this.denoiser.scheduler.setTimesteps(steps);
    const starts = sr1Windows(F, windowFrames);
    const length = Math.min(F, windowFrames);
    const labels = tf.fill([B], noiseLevel, 'int32');
    const given = firstFrame === 'noisy' ? null : (firstFrame?.clone() ?? (await this.bicubicFirstFrame(video, size)));
    let clean = given; // the frame that the window starts on, [B, 1, H, W, C]
    let done = null as Tensor | null; // frames so far, [B, f, H, W, C]
    try {
      for (const [i, start] of starts.entries()) {
        const condition = tf.tidy(() => {
          const window = video.slice([0, start], [-1, length]);
          const noisy = noisyCondition(window, size, noiseLevel, noise, this.options.noisingSchedule);
          if (!clean) return noisy;
          return length === 1 ? clean.clone() : tf.concat([clean, noisy.slice([0, 1], [-1, -1])], 1);
        });
        try {
          const window = await this.denoiser.run({
            ...request,
            start: noise('sr1 initial noise', [B, length, ...size, C]),
            condition,
            classLabels: labels,
            noise,
            purpose: 'sr1 ',
            onStep: (step, total) => onStep?.(i * total + step, starts.length * total),
          });
          const earlier = done;
          done = earlier ? tf.tidy(() => tf.concat([earlier.slice([0, 0], [-1, start]), window], 1)) : window;
          if (earlier) tf.dispose([earlier, window]);
        } finally {
          condition.dispose();
        }
        clean?.dispose();
        const next = starts[i + 1];
        clean = done!.slice([0, next ?? 0], [-1, 1]);
      }
      return done as Tensor;
    } catch (error) {
      done?.dispose();
      throw error;
    } finally {
      labels.dispose();
      clean?.dispose();
    }
  }

  private async bicubicFirstFrame(video: Tensor, size: [number, number]): Promise<Tensor> {
    const first = video.slice([0, 0], [-1, 1]); // [B, 1, h, w, 3]
    return bicubicUpsample(first, size).finally(() => first.dispose());
  }

  /** Bytes that one step needs beside the weights, before it runs. */
  stepBytes(size: StepSize): number {
    return this.denoiser.estimate(size).activationBytes;
  }

  dispose(): void {
    this.denoiser.dispose();
  }
}
