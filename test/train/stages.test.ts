import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/index.js';
import { DDPMScheduler } from '../../src/diffusion/index.js';
import { randomNormal, rngKey, type Tensor, tf } from '../../src/engine/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { frozenCodec } from '../../src/train/codec.js';
import { readStats } from '../../src/train/logging/index.js';
import { train } from '../../src/train/loop.js';
import { areaDownsample } from '../../src/train/low-resolution.js';
import { plan } from '../../src/train/plan.js';
import { randomCrop } from '../../src/train/random-crop.js';
import { createStage } from '../../src/train/stages/index.js';
import { windowCondition } from '../../src/train/stages/interp.js';
import { drawCondition, drawLevel } from '../../src/train/stages/sr1.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';

let root: string;
const quiet = { print: () => {} };
const LATER = ['interp', 'sr1', 'sr2'] as const;
type Later = (typeof LATER)[number];
const at = (run: string, step: number) => path.join(root, run, 'checkpoints', `step-${step}`);
const config = (stage: Later, output: string, changes: Record<string, Record<string, unknown>> = {}) =>
  tinyConfig(root, output, changes, STAGE_CHANGES[stage]);

beforeAll(async () => {
  root = await tinyData();
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(LATER)('stage %s', stage => {
  it('trains, lowers the held-out loss, shows condition, sample and truth, and resumes bit for bit', async () => {
    const validate = { everySteps: 6, clips: 2, sampler: { steps: 2, guidanceScale: 2 }, heldOutEverySteps: 2 };
    const before = tf.memory().numTensors;
    await train(config(stage, `${stage}-straight`, { validate }), quiet);
    expect(tf.memory().numTensors).toBe(before);

    const run = path.join(root, `${stage}-straight`);
    const stats = await readStats(path.join(run, 'stats.jsonl'));
    const heldOut = stats.filter(line => 'heldOut/loss' in line).map(line => line['heldOut/loss'] as number);
    expect(heldOut).toHaveLength(3);
    expect(heldOut[2]!).toBeLessThan(heldOut[0]!);

    const samples = path.join(run, 'samples', 'step-6');
    const list = JSON.parse(await readFile(path.join(samples, 'samples.json'), 'utf8')) as Record<string, string>[];
    expect(list).toHaveLength(2);
    const { width, height } = await sharp(path.join(samples, list[0]!.path!)).metadata();
    expect(width).toBe(3 * height!); // three videos beside each other
    expect(existsSync(path.join(samples, 'sheet.png'))).toBe(true);
    const parts = ['scheduler', 'text_encoder', 'tokenizer', ...(stage === 'sr2' ? ['vae'] : [])];
    for (const part of parts) expect(existsSync(path.join(run, part)), part).toBe(true);

    const controller = new AbortController();
    const interrupted = config(stage, `${stage}-interrupted`);
    const print = (line: string) => {
      if (line.startsWith('step 2/')) controller.abort();
    };
    await expect(train(interrupted, { signal: controller.signal, print })).rejects.toMatchObject({ exitCode: 130 });
    await train(interrupted, { ...quiet, resume: true });
    const [left, right] = [await filesOf(at(`${stage}-straight`, 6)), await filesOf(at(`${stage}-interrupted`, 6))];
    expect([...left.keys()].sort()).toEqual([...right.keys()].sort());
    for (const [name, bytes] of left) expect(bytes.equals(right.get(name)!), name).toBe(true);
  });

  it('is planned on the shape that its loss reads', async () => {
    const { batchShape, calibration } = await plan(config(stage, 'plan'));
    const shapes = { interp: [2, 4, 16, 16, 3], sr1: [2, 4, 8, 8, 6], sr2: [2, 4, 8, 8, 4] };
    expect(batchShape).toEqual(shapes[stage]);
    expect(calibration!.secondsPerStep).toBeGreaterThan(0);
  });

  it('learns a variance with twice the output channels', async () => {
    const { unet } = STAGE_CHANGES[stage].model as { unet: Record<string, unknown> };
    const wide = config(stage, `${stage}-variance`, {
      model: { unet: { ...unet, out_channels: stage === 'sr2' ? 8 : 6 } },
      diffusion: { scheduler: { prediction_type: 'epsilon', variance_type: 'learned_range' } },
      train: { steps: 1 },
      validate: { everySteps: 1, clips: 1, sampler: { steps: 2, scheduler: 'ddpm' } },
    });
    expect((await train(wide, quiet)).loss).toBeGreaterThan(0);
  });

  it('refuses a UNet of another stage', async () => {
    const { unet } = STAGE_CHANGES[stage].model as { unet: Record<string, unknown> };
    const wrong = config(stage, 'wrong', { model: { unet: { ...unet, in_channels: 5, out_channels: 5 } } });
    await expect(train(wrong, quiet)).rejects.toThrow(/in_channels 5; it must be \d \(base takes 3, interp 7, sr1 6/);
  });
});

/** The stage's context without training. */
function contextOf(stage: Later, changes: Record<string, Record<string, unknown>> = {}) {
  const run = config(stage, 'context', changes);
  const scheduler = DDPMScheduler.fromConfig({});
  const unet = new UNet3DConditionModel(run.model.unet as Record<string, unknown>);
  unet.initialize(0);
  return { config: run, unet, schedule: scheduler.schedule, predictionType: scheduler.config.predictionType };
}
const valuesOf = (x: Tensor) => Array.from(x.dataSync());

describe('interp’s condition', () => {
  it('is drawn from the first and the last frame alone, with a mask of the two', () => {
    const frame = (value: number) => tf.fill([1, 1, 2, 2, 3], value);
    const video = tf.concat([frame(-1), frame(9), frame(9), frame(9), frame(1)], 1); // the middle must not show
    const condition = windowCondition(video);
    expect(condition.shape).toEqual([1, 5, 2, 2, 4]);
    const at = (f: number) => valuesOf(condition.slice([0, f, 0, 0, 0], [1, 1, 1, 1, 4]));
    expect([0, 1, 2, 3, 4].map(f => at(f)[0])).toEqual([-1, -0.5, 0, 0.5, 1]);
    expect([0, 1, 2, 3, 4].map(f => at(f)[3])).toEqual([1, 0, 0, 0, 1]);
  });
});

describe('sr1’s condition', () => {
  const video = () => randomNormal([3, 4, 16, 16, 3], rngKey(1, 0, 'video')).clipByValue(-1, 1);
  const draw = (conditioning: Record<string, unknown>, key = rngKey(0, 7, 'noise')) =>
    drawCondition(config('sr1', 'draw', { conditioning: { scale: 4, ...conditioning } }).conditioning, video(), key);
  const firstFrame = (x: Tensor) => valuesOf(x.slice([0, 0], [-1, 1]));

  it('begins with the clip’s own first frame, or with the small one enlarged, never with noise', () => {
    const own = draw({ firstFrame: 1 });
    expect(firstFrame(own)).toEqual(firstFrame(video()));
    const [small, level0] = [draw({ firstFrame: 0 }), draw({ firstFrame: 0, noiseLevel: { min: 0, max: 0 } })];
    expect(firstFrame(small)).toEqual(firstFrame(level0)); // whatever the level
    const error = areaDownsample(small.slice([0, 0], [-1, 1]), 4).sub(
      areaDownsample(video(), 4).slice([0, 0], [-1, 1]),
    );
    expect(error.abs().max().dataSync()[0]).toBeLessThan(0.3); // bicubic keeps the mean of a block roughly
  });

  it('is as noisy as its level says, and drawn from the key alone', () => {
    const levels = new Set<number>();
    for (let i = 0; i < 40; i++) {
      const { conditioning } = config('sr1', 'levels', { conditioning: { noiseLevel: { min: 5, max: 8 } } });
      for (const value of valuesOf(drawLevel(conditioning, 3, rngKey(0, i, 'noise')))) levels.add(value);
    }
    expect([...levels].sort()).toEqual([5, 6, 7, 8]);
    const rest = (x: Tensor) => x.slice([0, 1], [-1, -1]);
    const clean = rest(draw({ noiseLevel: { min: 0, max: 0 } }));
    const noisy = (level: number) => rest(draw({ noiseLevel: { min: level, max: level } }));
    const distance = (level: number) => noisy(level).sub(clean).square().mean().dataSync()[0]!;
    expect(distance(100)).toBeLessThan(distance(300));
    expect(distance(300)).toBeLessThan(distance(600));
    expect(valuesOf(noisy(300))).toEqual(valuesOf(noisy(300)));
    expect(valuesOf(noisy(300))).not.toEqual(valuesOf(rest(draw({}, rngKey(0, 8, 'noise')))));
  });
});

describe('the crop', () => {
  it('holds a clip and the condition of that very place', async () => {
    const context = contextOf('sr1', { conditioning: { scale: 4, crop: 8, noiseLevel: { min: 0, max: 0 } } });
    const clips = randomNormal([2, 3, 16, 16, 3], rngKey(1, 1, 'video'));
    const key = rngKey(0, 3, 'noise');
    const prepared = await createStage(context).prepare(clips, key);
    expect(prepared.shape).toEqual([2, 3, 8, 8, 6]);
    const whole = valuesOf(tf.concat([clips, drawCondition(context.config.conditioning, clips, key)], 4));
    const at = whole.findIndex((value, i) => i % 6 === 0 && value === valuesOf(prepared)[0]);
    expect(whole.slice(at, at + 6)).toEqual(valuesOf(prepared).slice(0, 6));
  });

  it('is one square of each clip, on the grid of the small clip, anywhere, and the same for the same key', () => {
    const numbers = tf.range(0, 2 * 3 * 16 * 12).reshape([2, 3, 16, 12, 1]); // every value tells its place
    const places = new Set<string>();
    for (let i = 0; i < 60; i++) {
      const crop = randomCrop(numbers, 8, 4, rngKey(0, i, 'crop'));
      expect(crop.shape).toEqual([2, 3, 8, 8, 1]);
      const values = valuesOf(crop);
      const [y, x] = [Math.floor(values[0]! / 12), values[0]! % 12];
      places.add(`${y},${x}`);
      const expected = numbers.slice([0, 0, y, x, 0], [1, 3, 8, 8, 1]);
      expect(values.slice(0, 3 * 64)).toEqual(valuesOf(expected));
    }
    expect([...places].sort()).toEqual(['0,0', '0,4', '4,0', '4,4', '8,0', '8,4']);
    const draw = () => valuesOf(randomCrop(numbers, 8, 4, rngKey(0, 1, 'crop')));
    expect(draw()).toEqual(draw());
  });
});

describe('sr2', () => {
  it('trains on the lower nine tenths of the timesteps unless told otherwise', () => {
    expect(config('sr2', 'max').diffusion.timesteps.max).toBe(900);
    const short = config('sr2', 'max', {
      diffusion: { scheduler: { num_train_timesteps: 100 } },
      validate: { heldOutTimesteps: [10] },
    });
    expect(short.diffusion.timesteps.max).toBe(90);
    expect(config('sr2', 'max', { diffusion: { timesteps: { max: 1000 } } }).diffusion.timesteps.max).toBe(1000);
    expect(config('sr1', 'max').diffusion.timesteps.max).toBeUndefined();
  });

  it('learns on (mean + std · noise) · scaling factor of the frozen autoencoder', async () => {
    const vae = new AutoencoderKL({
      down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
      up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
      block_out_channels: [8, 8],
      norm_num_groups: 4,
      scaling_factor: 0.5,
    });
    vae.initialize(1);
    const context = contextOf('sr2');
    const codec = frozenCodec(vae, context.config);
    const stage = createStage({ ...context, codec });
    stage.check();
    const clips = randomNormal([2, 3, 16, 16, 3], rngKey(2, 0, 'clips')).clipByValue(-1, 1);
    const latents = await stage.prepare(clips, rngKey(0, 1, 'noise'));
    expect(latents.shape).toEqual([2, 3, 8, 8, 4]);
    const frames = vae.encode(clips.reshape([6, 16, 16, 3]));
    const [mean, std] = [frames.mean, frames.std].map(x => x.reshape(latents.shape)) as [Tensor, Tensor];
    const noise = latents.div(0.5).sub(mean).div(std);
    const { mean: m, variance } = tf.moments(noise);
    expect(Math.abs(m.dataSync()[0]!)).toBeLessThan(0.1);
    expect(Math.abs(variance.dataSync()[0]! - 1)).toBeLessThan(0.15);
    expect(valuesOf(await stage.prepare(clips, rngKey(0, 1, 'noise')))).toEqual(valuesOf(latents));
    expect(valuesOf(await stage.prepare(clips, rngKey(0, 2, 'noise')))).not.toEqual(valuesOf(latents));
    codec.dispose();
  });

  it('cuts its square out of the latents of whole frames', async () => {
    const vae = new AutoencoderKL({
      down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
      up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
      block_out_channels: [8, 8],
      norm_num_groups: 4,
    });
    vae.initialize(1);
    const context = contextOf('sr2');
    const codec = frozenCodec(vae, context.config);
    const clips = randomNormal([2, 3, 16, 16, 3], rngKey(2, 0, 'clips')).clipByValue(-1, 1);
    const prepare = (crop: number) => {
      const { conditioning } = config('sr2', 'crop', { conditioning: { scale: 2, crop } });
      const stage = createStage({ ...context, config: { ...context.config, conditioning }, codec });
      return stage.prepare(clips, rngKey(0, 1, 'noise'));
    };
    const [whole, square] = [await prepare(0), await prepare(8)];
    expect([whole.shape, square.shape]).toEqual([
      [2, 3, 8, 8, 4],
      [2, 3, 4, 4, 4],
    ]);
    for (const b of [0, 1]) {
      const cut = valuesOf(square.slice([b], [1]));
      const places = Array.from({ length: 25 }, (_, i) => [Math.floor(i / 5), i % 5] as const);
      const same = places.filter(
        ([y, x]) => String(valuesOf(whole.slice([b, 0, y, x], [1, -1, 4, 4]))) === String(cut),
      );
      expect(same).toHaveLength(1);
    }
    codec.dispose();
  });

  it('leaves the autoencoder as it was', async () => {
    const folder = path.join(root, 'sr2-frozen', 'vae');
    await train(config('sr2', 'sr2-frozen', { train: { steps: 1 } }), quiet);
    const bytes = (dir: string) => {
      const reader = openSafetensors(dir);
      const all = reader.names().map(name => Buffer.from(reader.readSync(name).buffer).toString('base64'));
      reader.close();
      return all;
    };
    const before = bytes(folder);
    await train(config('sr2', 'sr2-frozen', { train: { steps: 3 } }), { ...quiet, resume: true });
    expect(bytes(folder)).toEqual(before);
  });
});

describe('what a config cannot ask for', () => {
  const messages = (changes: Record<string, Record<string, unknown>>, stage: Later): string => {
    try {
      config(stage, 'refused', changes);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  it.each([
    ['interp', { data: { frames: 2 } }, /data\.frames is 2; stage interp .* allowed: 3 or more/],
    ['sr1', { data: { frames: 1 } }, /data\.frames is 1; stage sr1 .* allowed: 2 or more/],
    ['sr1', { data: { width: 18 } }, /data\.width is 18; allowed: a multiple of conditioning\.scale, 4/],
    ['sr1', { conditioning: { noiseLevel: { min: 9, max: 3 } } }, /noiseLevel\.min is 9; allowed: at most .*max, 3/],
    ['sr1', { conditioning: { crop: 6 } }, /crop is 6; allowed: 0, or a multiple of conditioning\.scale, 4, up to 16/],
    ['sr1', { conditioning: { crop: 20 } }, /crop is 20; allowed/],
    ['sr2', { model: { vae: undefined } }, /model names no VAE; stage sr2 needs model\.vae\.path/],
    [
      'sr2',
      { data: { width: 30 }, model: { vae: { tiny: { blockOutChannels: [8, 8, 8] } } } },
      /data\.width is 30; allowed: a multiple of 4/,
    ],
    ['sr2', { conditioning: { strength: 0.1 }, validate: { sampler: { steps: 9 } } }, /strength 0\.1 leaves none/],
    ['interp', { model: { vae: { path: 'x' } } }, /model\.vae is given, but stage interp works on pixels/],
    ['sr2', { model: { vae: { path: 'x', tiny: {} } } }, /model\.vae has both path and tiny/],
    ['sr1', { validate: { prompts: ['a'] } }, /validate\.prompts is given, but stage sr1 samples clips/],
  ] as [Later, Record<string, Record<string, unknown>>, RegExp][])('%s %j', (stage, changes, message) => {
    expect(messages(changes, stage)).toMatch(message);
  });

  it('sr2 with frames that a given autoencoder cannot halve', () => {
    const vae = new AutoencoderKL({
      down_block_types: Array(3).fill('DownEncoderBlock2D'),
      up_block_types: Array(3).fill('UpDecoderBlock2D'),
      block_out_channels: [8, 8, 8],
      norm_num_groups: 4,
    });
    const context = contextOf('sr2', {
      data: { width: 18 },
      model: { ...(STAGE_CHANGES.sr2.model as object), vae: { path: 'x' } },
    });
    const codec = frozenCodec(vae, context.config);
    expect(() => createStage({ ...context, codec }).check()).toThrow(/data\.width is 18; the VAE .* multiple of 4/);
    codec.dispose();
  });

  it('sr1 with a UNet that takes no noise level', async () => {
    const { unet } = STAGE_CHANGES.sr1.model as { unet: Record<string, unknown> };
    const { class_embed_type: _, ...plain } = unet;
    await expect(train(config('sr1', 'plain', { model: { unet: plain } }), quiet)).rejects.toThrow(
      /needs class_embed_type "timestep", not null/,
    );
  });

  it('parseConfig takes every stage', () => {
    for (const stage of LATER) expect(parseConfig(config(stage, 'again') as never).config.stage).toBe(stage);
  });
});
