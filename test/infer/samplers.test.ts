import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DDIMScheduler } from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import type { DenoisingNetwork } from '../../src/infer/denoise.js';
import { FirstFrameSampler } from '../../src/infer/first-frame.js';
import { InterpSampler } from '../../src/infer/interp.js';
import { Sr1Sampler, sr1Windows } from '../../src/infer/sr1.js';

/**
 * A "network" that predicts x_0 (with `prediction_type: sample`) by a rule of its input, so that what a sampler feeds it and
 * makes of its answers can be read off the result exactly.
 */
function rule(inChannels: number, x0: (input: Tensor) => Tensor): DenoisingNetwork & { calls: number[][] } {
  const calls: number[][] = [];
  return {
    calls,
    config: { inChannels, outChannels: 3 },
    forward: input => {
      calls.push(input.shape);
      return x0(input);
    },
  };
}

const scheduler = () => new DDIMScheduler({ prediction_type: 'sample', clip_sample: false, set_alpha_to_one: true });
const channels = (x: Tensor, from: number, count: number) => x.slice([0, 0, 0, 0, from], [-1, -1, -1, -1, count]);

let text: Tensor;
let empty: Tensor;
beforeAll(() => {
  text = tf.zeros([2, 1, 4]);
  empty = tf.zeros([1, 1, 4]);
});
afterAll(() => tf.dispose([text, empty]));
const common = () => ({ text, unconditional: empty, steps: 1, guidanceScale: 1, seeds: [1, 2] });

describe('InterpSampler', () => {
  it('puts windows in a row: K keyframes become 4(K-1)+1 frames, shared ones once', async () => {
    const keyframes = tf.tidy(() =>
      tf
        .range(0, 2 * 3)
        .reshape<Tensor>([2, 3, 1, 1, 1])
        .tile([1, 1, 2, 2, 3]),
    );
    const unet = rule(7, input => channels(input, 3, 3)); // answers with the blend
    for (const batchWindows of [undefined, 1, 3]) {
      const sampler = new InterpSampler({ unet, scheduler: scheduler() });
      const video = await sampler.sample({ ...common(), keyframes, batchWindows });
      expect(video.shape).toEqual([2, 9, 2, 2, 3]);
      const first = tf.tidy(() => Array.from(video.slice([0, 0, 0, 0, 0], [-1, -1, 1, 1, 1]).dataSync()));
      const expected = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
      first.forEach((value, i) => {
        expect(value).toBeCloseTo((expected[i % 9] ?? 0) + (i < 9 ? 0 : 3), 5);
      });
      video.dispose();
      sampler.dispose();
    }
    keyframes.dispose();
  });

  it('gives all windows of a video the same noise, and each video its own', async () => {
    const keyframes = tf.zeros([2, 3, 2, 2, 3]);
    const seen: number[][] = [];
    const sampler = new InterpSampler({ unet: rule(7, input => channels(input, 0, 3)), scheduler: scheduler() });
    const video = await sampler.sample({
      ...common(),
      keyframes,
      observe: ({ input }) => {
        for (const row of tf.unstack(channels(input, 0, 3))) seen.push(Array.from(row.dataSync()));
      },
    });
    expect(seen).toHaveLength(4); // two videos of two windows
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[2]).toEqual(seen[3]);
    expect(seen[0]).not.toEqual(seen[2]);
    tf.dispose([keyframes, video]);
    sampler.dispose();
  });

  it('refuses one keyframe and a wrong number of seeds', async () => {
    const sampler = new InterpSampler({ unet: rule(7, x => x), scheduler: scheduler() });
    const one = tf.zeros([2, 1, 2, 2, 3]);
    await expect(sampler.sample({ ...common(), keyframes: one })).rejects.toThrow(/1 keyframes .* two keyframes/);
    const two = tf.zeros([2, 2, 2, 2, 3]);
    await expect(sampler.sample({ ...common(), keyframes: two, seeds: [1] })).rejects.toThrow(
      /2 videos need 2 prompts and seeds, not 2 and 1/,
    );
    tf.dispose([one, two]);
  });
});

describe('Sr1Sampler', () => {
  it('covers every frame, whatever their number', () => {
    expect(sr1Windows(29, 8)).toEqual([0, 7, 14, 21]);
    expect(sr1Windows(8, 8)).toEqual([0]);
    expect(sr1Windows(5, 8)).toEqual([0]);
    expect(sr1Windows(10, 8)).toEqual([0, 2]); // the last window is moved back, not left out
    for (let frames = 1; frames < 60; frames++) {
      const starts = sr1Windows(frames, 8);
      expect(starts.at(-1)! + Math.min(frames, 8)).toBe(frames);
      for (const [i, start] of starts.slice(1).entries()) expect(start).toBeLessThanOrEqual(starts[i]! + 7);
    }
  });

  it('starts on the clean frame, and each later window on a frame of the one before', async () => {
    const video = tf.zeros([2, 10, 2, 2, 3]);
    const firstFrame = tf.fill([2, 1, 8, 8, 3], 0.5);
    // Answers with the first frame of the condition plus one for every frame: the carried frame shows in the result.
    const unet = rule(6, input => {
      const first = channels(input, 3, 3).slice([0, 0], [-1, 1]);
      return tf.add(first, tf.range(0, input.shape[1]!).reshape([1, -1, 1, 1, 1]));
    });
    const sampler = new Sr1Sampler({ unet, scheduler: scheduler() });
    const result = await sampler.sample({ ...common(), video, firstFrame });
    expect(result.shape).toEqual([2, 10, 8, 8, 3]);
    const values = Array.from(tf.tidy(() => result.slice([1, 0, 0, 0, 0], [1, -1, 1, 1, 1]).dataSync()));
    // Window 1: 0.5 … 7.5; window 2 begins on frame 2, which is 2.5.
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(0.5 + i, 4);
    });
    tf.dispose([video, firstFrame, result]);
    sampler.dispose();
  });

  it('without a clean frame takes the bicubic enlargement, with the noise level as label', async () => {
    const video = tf.fill([2, 3, 2, 2, 3], 0.2);
    const sampler = new Sr1Sampler({ unet: rule(6, input => channels(input, 3, 3)), scheduler: scheduler() });
    const result = await sampler.sample({ ...common(), video, firstFrame: null, noiseLevel: 250 });
    const [first, second] = tf.tidy(() =>
      [0, 1].map(f => Array.from(result.slice([0, f], [1, 1]).dataSync())),
    ) as unknown as number[][];
    expect(Math.max(...first!.map(value => Math.abs(value - 0.2)))).toBeLessThan(1 / 127); // 8-bit grid
    expect(new Set(second!.map(value => value.toFixed(3))).size).toBeGreaterThan(20); // noised
    const labels: number[][] = [];
    const unet: DenoisingNetwork = {
      config: { inChannels: 6, outChannels: 3 },
      forward: (input, _, __, conditions) => {
        labels.push(Array.from(conditions!.classLabels!.dataSync()));
        return channels(input, 0, 3);
      },
    };
    const eager = new Sr1Sampler({ unet, scheduler: scheduler(), compile: false });
    (await eager.sample({ ...common(), video, firstFrame: 'noisy', noiseLevel: 120 })).dispose();
    expect(labels).toEqual([[120, 120]]);
    await expect(sampler.sample({ ...common(), video, firstFrame: null, noiseLevel: 1000 })).rejects.toThrow(
      /noise level 1000 is not an integer in \[0, 1000\)/,
    );
    tf.dispose([video, result]);
    sampler.dispose();
  });
});

describe('FirstFrameSampler', () => {
  it('enlarges one frame with a noised condition', async () => {
    const image = tf.fill([2, 1, 4, 6, 3], -0.25);
    const unet = rule(6, input => channels(input, 3, 3));
    const sampler = new FirstFrameSampler({ unet, scheduler: scheduler() });
    const frame = await sampler.sample({ ...common(), image, height: 16, width: 24, noiseLevel: 0 });
    expect(frame.shape).toEqual([2, 1, 16, 24, 3]);
    const mean = tf.tidy(() => frame.mean().dataSync()[0]!);
    expect(mean).toBeCloseTo(-0.25, 1);
    tf.dispose([image, frame]);
    sampler.dispose();
  });
});
