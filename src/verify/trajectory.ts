/** Fixtures of kind `trajectory`: whole pipelines replayed with recorded noise, every step's sample and network output. */
import { join } from 'node:path';
import { DDPMScheduler, schedulerFromConfig } from '../diffusion/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { BaseSampler } from '../infer/base.js';
import type { ObservedStep, SamplingOptions } from '../infer/denoise.js';
import { InterpSampler } from '../infer/interp.js';
import type { NoiseSource } from '../infer/noise.js';
import { Sr1Sampler } from '../infer/sr1.js';
import { Sr2Sampler } from '../infer/sr2.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { AutoencoderKL } from '../models/vae/index.js';
import type { JsonObject } from '../models/weights/pretrained.js';
import { openSafetensors } from '../models/weights/safetensors.js';
import { hostValue, readTensor, toChannelsFirst, toChannelsLast } from './tensors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';

/** What `_fixture` says of a trajectory. */
interface Meta {
  scheduler: JsonObject;
  num_inference_steps: number;
  guidance_scale: number;
  weights_file: { unet: string; vae?: string };
  num_frames?: number;
  height?: number;
  width?: number;
  strength?: number;
  noise_level?: number;
  image_noising_scheduler?: JsonObject;
  vae_config?: JsonObject;
}

/** @throws InputError when the fixture lacks what its pipeline needs */
export async function verifyTrajectory(fixture: Fixture): Promise<CheckResult> {
  const { io, config, name } = fixture;
  const meta = fixture.meta as unknown as Meta;
  if (!meta.weights_file?.unet || !meta.scheduler) {
    throw new InputError(`Fixture ${name}: a trajectory's "_fixture" needs "weights_file": {"unet"} and "scheduler".`, {
      code: 'verify.trajectory',
      name,
    });
  }
  const unet = new UNet3DConditionModel(config, { source: `fixture ${name}` });
  const owned: { dispose(): unknown }[] = [unet];
  const recorded = new Recorder();
  try {
    await loadFrom(join(fixture.dir, meta.weights_file.unet), unet);
    const scheduler = schedulerFromConfig(meta.scheduler, `fixture ${name}`);
    const read = (key: string) => keep(owned, toChannelsLast(readTensor(io, key)));
    const common = {
      text: read('in.prompt_embeds'),
      unconditional: read('in.negative_prompt_embeds'),
      steps: meta.num_inference_steps,
      guidanceScale: meta.guidance_scale,
      noise: recordedNoise(fixture),
      observe: (step: ObservedStep) => recorded.add(step),
    } satisfies Partial<SamplingOptions>;
    const seeds = Array<number>(common.text.shape[0]!).fill(0); // unused: all noise is recorded
    const request = { ...common, seeds };

    let video: Tensor;
    if (io.has('in.video_uint8')) {
      const vae = keep(owned, new AutoencoderKL(meta.vae_config ?? {}, { source: `fixture ${name}` }));
      await loadFrom(join(fixture.dir, meta.weights_file.vae ?? ''), vae);
      const sampler = keep(owned, new Sr2Sampler({ unet, scheduler, vae }));
      const frames = tf.tidy(() => readTensor(io, 'in.video_uint8').div(127.5).sub(1).expandDims(0)); // [1, F, H, W, 3]
      video = await sampler.translate({ ...request, video: keep(owned, frames), strength: meta.strength });
    } else if (io.has('in.image')) {
      const noising = DDPMScheduler.fromConfig(meta.image_noising_scheduler ?? { beta_schedule: 'squaredcos_cap_v2' });
      const sampler = keep(owned, new Sr1Sampler({ unet, scheduler, noisingSchedule: noising.schedule }));
      const low = read('in.image');
      const target = io.get('in.initial_noise')!.shape; // [B, C, F, H, W]
      video = await sampler.sample({
        ...request,
        video: low,
        firstFrame: io.has('in.first_frame_cond') ? read('in.first_frame_cond') : 'noisy',
        scale: target[3]! / low.shape[2]!,
        windowFrames: target[2]!,
        noiseLevel: meta.noise_level,
      });
    } else if (io.has('in.pixel_values')) {
      const sampler = keep(owned, new InterpSampler({ unet, scheduler }));
      const window = read('in.pixel_values'); // only its ends are read
      const frames = window.shape[1]!;
      const ends = tf.tidy(() => tf.concat([window.slice([0, 0], [-1, 1]), window.slice([0, frames - 1], [-1, 1])], 1));
      video = await sampler.sample({ ...request, keyframes: keep(owned, ends), windowFrames: frames });
    } else {
      const sampler = keep(owned, new BaseSampler({ unet, scheduler }));
      const [, , frames, height, width] = io.get('in.initial_noise')!.shape as [number, number, number, number, number];
      video = await sampler.sample({ ...request, frames, height, width });
    }
    keep(owned, video);
    const actual = recorded.values();
    actual.set('out.timesteps', { shape: [scheduler.timesteps.length], data: Float32Array.from(scheduler.timesteps) });
    actual.set('out.video', tf.tidy(() => hostValue(toChannelsFirst(video)) as never) as TensorValue);
    const checks: Check[] = [];
    for (const [key, expected] of io) {
      const found = actual.get(key);
      if (found) checks.push({ name: key, actual: found, expected, kind: 'output' });
    }
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    for (const one of owned.reverse()) one.dispose();
  }
}

function keep<T extends { dispose(): unknown }>(owned: { dispose(): unknown }[], value: T): T {
  owned.push(value);
  return value;
}

async function loadFrom(file: string, model: UNet3DConditionModel | AutoencoderKL): Promise<void> {
  const weights = openSafetensors(file);
  try {
    await model.loadStateDict(weights);
  } finally {
    weights.close();
  }
}

/** Tensors of the file that stand for our purposes: `in.X` is what the purpose `…X` with spaces asks for. */
export function recordedNoise({ io, name }: Pick<Fixture, 'io' | 'name'>): NoiseSource {
  const asVideo = (x: Tensor, shape: readonly number[]): Tensor => {
    if (x.rank === 5) return toChannelsLast(x); // [B, C, F, H, W]
    const [B, F, H, W, C] = shape as [number, number, number, number, number];
    return x.reshape([B, F, C, H, W]).transpose([0, 1, 3, 4, 2]); // frames folded: [B·F, C, H, W]
  };
  return (purpose, shape) =>
    tf.tidy(() => {
      const step = /step noise (\d+)$/.exec(purpose);
      if (step) {
        const all = readTensor(io, 'in.step_noises'); // [N, B·F, C, H, W]
        return asVideo(all.slice([Number(step[1])], [1]).squeeze([0]), shape);
      }
      const key = { initial: 'initial_noise', augmentation: 'aug_noise', vae: 'vae_noise', latent: 'latent_noise' }[
        /(initial|augmentation|vae|latent) noise$/.exec(purpose)?.[1] ?? ''
      ];
      if (!key)
        throw new InputError(`Fixture ${name} has no noise for "${purpose}".`, { code: 'verify.noise', purpose });
      return asVideo(readTensor(io, `in.${key}`), shape);
    });
}

/** Collects what each step showed, in the file's layout. */
export class Recorder {
  private readonly steps: TensorValue[] = [];
  private readonly outputs: TensorValue[] = [];
  private firstInput: TensorValue | null = null;

  add({ index, input, output, sample }: ObservedStep): void {
    const value = (x: Tensor) => tf.tidy(() => hostValue(toChannelsFirst(x)) as never) as TensorValue;
    if (index === 0) this.firstInput = value(input);
    this.outputs.push(value(output));
    this.steps.push(value(sample));
  }

  values(): Map<string, TensorValue> {
    const stacked = (list: TensorValue[]): TensorValue => ({
      shape: [list.length, ...(list[0]?.shape ?? [])],
      data: Float32Array.from(list.flatMap(({ data }) => Array.from(data))),
    });
    return new Map([
      ['out.steps', stacked(this.steps)],
      ['out.unet_outputs', stacked(this.outputs)],
      ...(this.firstInput ? [['out.first_unet_input', this.firstInput] as const] : []),
    ]);
  }
}
