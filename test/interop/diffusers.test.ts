/**
 * Folders that Python's diffusers writes (random tiny models, test/reference/diffusers_folder.py) give the same numbers
 * here, and Python loads what is written here unchanged. Works with diffusers 0.19.3, which Show-1 was made with, and with
 * later versions; `golden.test.ts` compares one of the runs without Python.
 */
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type AnyScheduler,
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  loadScheduler,
} from '../../src/diffusion/index.js';
import { type Tensor, tf } from '../../src/engine/index.js';
import { findModel } from '../../src/infer/model-folder.js';
import { inspectFirstFrame, openFirstFrame } from '../../src/infer/stage-runner.js';
import { FIRST_FRAME } from '../../src/infer/stage-settings.js';
import type { Model } from '../../src/models/layers/model.js';
import { CLIPTextModel, T5EncoderModel } from '../../src/models/text/index.js';
import { UNet2DConditionModel } from '../../src/models/unet2d/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import type { SaveOptions } from '../../src/models/weights/pretrained.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { hostValue, readTensor, toChannelsFirst, toChannelsLast } from '../../src/verify/tensors.js';
import { recordedNoise } from '../../src/verify/trajectory.js';
import type { TensorValue } from '../../src/verify/types.js';
import { hashValues } from '../helpers/hash-weights.js';
import { tempFolder } from '../models/weights/files.js';
import { type LoadJob, loadInPython, pythonLacks, type Report, readTensors, writePythonFolders } from './python.js';
import { compareAll, replayVideo, tokensOf } from './replay.js';

const lacking = pythonLacks();
const SKIPPED = lacking ? ` (skipped: ${lacking}; SHOW1_TEST_PYTHON names another)` : '';
vi.setConfig({ testTimeout: 600_000, hookTimeout: 900_000 });

const LOAD: Record<string, (dir: string) => Promise<Model>> = {
  UNet3DConditionModel: dir => UNet3DConditionModel.fromPretrained(dir),
  UNet2DConditionModel: dir => UNet2DConditionModel.fromPretrained(dir),
  AutoencoderKL: dir => AutoencoderKL.fromPretrained(dir),
  CLIPTextModel: dir => CLIPTextModel.fromPretrained(dir),
  T5EncoderModel: dir => T5EncoderModel.fromPretrained(dir),
};
const VIDEO_PARTS = { unet: 'UNet3DConditionModel', vae: 'AutoencoderKL', text_encoder: 'CLIPTextModel' };
const VIDEOS = ['ddim', 'dpm-fp16', 'ddpm-sharded'] as const;

const value = (x: Tensor): TensorValue => tf.tidy(() => hostValue(x) as never) as TensorValue;

describe.skipIf(lacking)(`diffusers in Python${SKIPPED}`, () => {
  const out = tempFolder();
  const written = tempFolder();
  let report: Report;
  /** diffusers 0.19, whose numbers ours are. */
  let isOld: boolean;
  const io = (name: string) => readTensors(join(out, `${name}.safetensors`));

  beforeAll(() => {
    report = writePythonFolders(out, 7);
    isOld = report.diffusers.startsWith('0.19.');
  });

  describe('a folder of VideoToVideoSDPipeline', () => {
    it.each(VIDEOS)('%s: is what its name says', name => {
      const files = (part: string) => readdirSync(join(out, name, part));
      const isSharded = (part: string) => files(part).some(file => /-00001-of-.*\.safetensors$/.test(file));
      if (name === 'dpm-fp16') {
        expect(files('unet')).toContain('diffusion_pytorch_model.fp16.safetensors');
        expect(files('unet')).not.toContain('diffusion_pytorch_model.safetensors');
        expect(files('text_encoder')).toContain('model.fp16.safetensors');
      }
      expect(isSharded('text_encoder')).toBe(name === 'ddpm-sharded');
      expect(isSharded('unet')).toBe(name === 'ddpm-sharded' && !isOld); // 0.19 has one file a model
    });

    it.each(VIDEOS)('%s: gives the same tokens, embeddings, latents of every step and video', async name => {
      const recorded = io(name);
      const ids = recorded.get('in.input_ids')!;
      const texts = [report.prompt, report.negative];
      expect(tokensOf(join(out, name, 'tokenizer'), texts, ids.shape[1]!)).toEqual(Array.from(ids.data));
      const before = tf.memory().numTensors;
      const { misses, errors } = await replayVideo(join(out, name), recorded, report.cases[name], report);
      expect(misses).toEqual([]);
      expect(Object.keys(errors)).toHaveLength(6);
      expect(tf.memory().numTensors).toBe(before);
    });

    it.each(VIDEOS)('%s: gives the same timesteps', async name => {
      const { steps, timesteps } = report.cases[name];
      const scheduler = await loadScheduler(join(out, name), { subfolder: 'scheduler' });
      scheduler.setTimesteps(steps);
      expect(scheduler.timesteps).toEqual(timesteps);
    });
  });

  it('a folder of IFSuperResolutionPipeline: gives the same embeddings, images of every step and result', async () => {
    const dir = join(out, 'if-sr');
    const recorded = io('if-sr');
    const { steps, guidance, noise_level: noiseLevel, ...size } = report.cases['if-sr'];
    expect({ steps, guidance, noiseLevel }).toEqual(FIRST_FRAME);
    const encoder = await T5EncoderModel.fromPretrained(join(dir, 'text_encoder'));
    const [text, unconditional] = tf.tidy(() => {
      const states = encoder.forward(readTensor(recorded, 'in.input_ids'), readTensor(recorded, 'in.attention_mask'));
      return tf.split(states, 2);
    }) as [Tensor, Tensor];
    encoder.dispose();
    const folder = await findModel(dir, 'raw');
    expect(await inspectFirstFrame(folder)).toBe(text.shape[2]);
    const settings = { steps, guidance, negative: '', frames: 1, fps: 1, ...size };
    const runner = await openFirstFrame(folder, { settings });
    const seen: number[] = [];
    const image = tf.tidy(() => toChannelsLast(readTensor(recorded, 'in.image')).expandDims(1)); // [1, 1, h, w, 3]
    const result = await runner.run({
      text,
      unconditional,
      input: image,
      seeds: [0], // all noise is recorded
      noise: recordedNoise({ io: recorded, name: dir }),
      observe: ({ sample }) => seen.push(...Array.from(firstFrame(sample).data)),
    });
    const actual = new Map<string, TensorValue>([
      ['out.prompt_embeds', value(text)],
      ['out.negative_prompt_embeds', value(unconditional)],
      ['out.image', firstFrame(result)],
      ['out.steps', { shape: [steps, 1, 3, size.height, size.width], data: seen }],
    ]);
    tf.dispose([text, unconditional, image, result]);
    runner.close();
    expect(compareAll(actual, recorded).misses).toEqual([]);
  });

  it.each(['options', 'groups16'])('a UNet3DConditionModel, %s: gives the same output', async name => {
    const recorded = io(name);
    const unet = await UNet3DConditionModel.fromPretrained(join(out, name));
    const sample = tf.tidy(() => {
      const [x, t, text] = ['sample', 'timestep', 'text'].map(key => toChannelsLast(readTensor(recorded, `in.${key}`)));
      return toChannelsFirst(unet.forward(x!, t!, text!));
    });
    const found = new Map([['out.sample', value(sample)]]);
    expect(compareAll(found, recorded, { atol: 1e-4, rtol: 1e-4 }).misses).toEqual([]);
    sample.dispose();
    unet.dispose();
  });

  describe('schedulers', () => {
    /**
     * Later diffusers walk otherwise: DDPM with linspace spacing (0.32: to the next timestep visited, not T//N back), and
     * Karras' levels (0.22: as they are, not those of the nearest timesteps).
     */
    const CHANGED = ['ddpm-linspace', 'dpm-karras'];

    it('walk the same steps', async () => {
      const recorded = io('schedulers');
      const misses: Record<string, string[]> = {};
      for (const name of report.cases.schedulers.names) {
        const scheduler = await loadScheduler(join(out, 'schedulers', name));
        const wanted = ['timesteps', 'steps'].map(key => [`out.${key}`, recorded.get(`${name}.${key}`)!] as const);
        const noises = readTensor(recorded, `${name}.noises`);
        misses[name] = compareAll(walk(scheduler, name, noises), new Map(wanted), { atol: 1e-5, rtol: 1e-5 }).misses;
        noises.dispose();
      }
      const different = Object.keys(misses).filter(name => misses[name]!.length > 0);
      expect(different, JSON.stringify(misses, null, 1)).toEqual(isOld ? [] : CHANGED);
    });

    it('come back to Python with the same config', async () => {
      const jobs = report.cases.schedulers.names.map(name => ({
        dir: join(written, 'schedulers', name),
        original: join(out, 'schedulers', name),
      }));
      for (const { dir, original } of jobs) await (await loadScheduler(original)).savePretrained(dir);
      const { schedulers } = loadInPython({ schedulers: jobs });
      expect(schedulers).toHaveLength(jobs.length);
      // Later options at what 0.19 always does: a later version that reads our file would take another value for the second.
      const later = { rescale_betas_zero_snr: ['absent', false], final_sigmas_type: ['absent', 'sigma_min'] };
      for (const [i, { classes, config, ...found }] of schedulers.entries()) {
        const { dir } = jobs[i]!;
        const added = Object.entries(later).filter(([key]) => isOld && key in config);
        expect({ ...found, config }, dir).toEqual({
          ...{ same_timesteps: true, same_betas: true },
          config: Object.fromEntries(added),
        });
        expect(classes[0], dir).toBe(classes[1]);
      }
    });
  });

  describe('what is written here', () => {
    it('loads in Python to the last bit, with nothing missing, unexpected or changed', async () => {
      const models: NonNullable<LoadJob['models']> = [];
      const rewrite = async (part: string, cls: string, options: SaveOptions = {}) => {
        const [dir, original] = [join(written, part), join(out, part)];
        const model = await LOAD[cls]!(original);
        await model.savePretrained(dir, options);
        model.dispose();
        const library = /^(CLIP|T5)/.test(cls) ? 'transformers' : 'diffusers';
        models.push({ library, class: cls, dir, original, variant: options.dtype === 'F16' ? 'fp16' : undefined });
      };
      for (const name of VIDEOS) {
        for (const [part, cls] of Object.entries(VIDEO_PARTS)) {
          const isSharded = name === 'ddpm-sharded' && (part === 'text_encoder' || !isOld);
          const dtype = name === 'dpm-fp16' ? 'F16' : 'F32';
          await rewrite(`${name}/${part}`, cls, { dtype, maxShardBytes: isSharded ? 60_000 : undefined });
        }
        const scheduler = await loadScheduler(join(out, name), { subfolder: 'scheduler' });
        await scheduler.savePretrained(join(written, name, 'scheduler'));
        for (const rest of ['tokenizer', 'model_index.json']) {
          cpSync(join(out, name, rest), join(written, name, rest), { recursive: true });
        }
      }
      await rewrite('if-sr/unet', 'UNet2DConditionModel');
      await rewrite('if-sr/text_encoder', 'T5EncoderModel');
      for (const name of ['options', 'groups16']) await rewrite(name, 'UNet3DConditionModel');

      const pipelines = VIDEOS.map(name => ({ class: 'VideoToVideoSDPipeline', dir: join(written, name) }));
      const found = loadInPython({ models, pipelines });
      expect(found.models).toHaveLength(models.length);
      for (const [i, { tensors, ...model }] of found.models.entries()) {
        const { dir, variant } = models[i]!;
        expect(model, dir).toEqual({
          ...{
            missing_keys: [],
            unexpected_keys: [],
            mismatched_keys: [],
            different: [],
            config: {},
            unknown_options: [],
          },
          dtypes: [variant ? 'torch.float16' : 'torch.float32'],
        });
        expect(tensors, dir).toBeGreaterThan(15);
        expect(storedTypes(dir), dir).toEqual([variant ? 'F16' : 'F32']);
      }
      expect(found.pipelines).toHaveLength(VIDEOS.length);
      for (const parts of found.pipelines) expect(parts).toMatchObject(VIDEO_PARTS);
    });

    it('notes the type of the weights that are written, not of those that were read', async () => {
      const dir = join(written, 'widened');
      const model = await CLIPTextModel.fromPretrained(join(out, 'dpm-fp16', 'text_encoder'));
      await model.savePretrained(dir);
      model.dispose();
      const { dtype, torch_dtype: old } = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
      expect(dtype ?? old).toBe('float32');
    });
  });

  it('options that a config leaves out have the defaults of the class', () => {
    const ours: Record<string, Record<string, unknown>> = {
      UNet3DConditionModel: new UNet3DConditionModel({}).configJson(),
      UNet2DConditionModel: new UNet2DConditionModel({}).configJson(),
      AutoencoderKL: new AutoencoderKL({}).configJson(),
      DDIMScheduler: new DDIMScheduler().toConfig(),
      DDPMScheduler: new DDPMScheduler().toConfig(),
      DPMSolverMultistepScheduler: new DPMSolverMultistepScheduler().toConfig(),
    };
    for (const [name, config] of Object.entries(ours)) {
      const defaults = Object.entries(report.defaults[name]!).filter(([key]) => key in config);
      const json = JSON.parse(JSON.stringify(config)) as Record<string, unknown>; // as null: -Infinity
      const wrong = defaults.filter(([key, theirs]) => JSON.stringify(json[key]) !== JSON.stringify(theirs));
      // Since 0.26 the walk ends at σ = 0 where a config does not say; ours ends where that of 0.19.3 does.
      const changed = name === 'DPMSolverMultistepScheduler' && !isOld ? ['final_sigmas_type'] : [];
      expect(
        wrong.map(([key]) => key),
        name,
      ).toEqual(changed);
      expect(defaults.length, name).toBeGreaterThan(11);
    }
  });
});

/** Types of the tensors in a folder's files. */
function storedTypes(dir: string): string[] {
  const file = openSafetensors(dir);
  const types = new Set(file.names().map(name => file.info(name).dtype));
  file.close();
  return [...types];
}

/** [1, 1, H, W, C] as [1, C, H, W] */
const firstFrame = (x: Tensor) =>
  tf.tidy(() => hostValue(toChannelsFirst(x.squeeze<Tensor>([1]))) as never) as TensorValue;

/** A scheduler's own loop over outputs that follow from its name, as diffusers_folder.py's `walk`. */
function walk(scheduler: AnyScheduler, name: string, noises: Tensor): Map<string, TensorValue> {
  const [N, B, C, H, W] = noises.shape as [number, number, number, number, number];
  const numbers = (key: string, shape: number[]) => {
    const count = shape.reduce((product, n) => product * n, 1);
    return tf.tensor(
      hashValues(`${name}.${key}`, count).map(v => v * Math.fround(1.7)),
      shape,
    );
  };
  scheduler.setTimesteps(N);
  const samples: number[] = [];
  tf.tidy(() => {
    let x = numbers('sample', [B, C, H, W]);
    for (const [i, t] of scheduler.timesteps.entries()) {
      const output = numbers(`output.${i}`, [B, scheduler.learnsVariance ? 2 * C : C, H, W]);
      const noise = noises.slice([i], [1]).squeeze<Tensor>([0]);
      x = scheduler.step(output, t, x, { noise, channelAxis: 1 }).prevSample;
      samples.push(...x.dataSync());
    }
  });
  scheduler.reset();
  const { timesteps } = scheduler;
  return new Map<string, TensorValue>([
    ['out.timesteps', { shape: [timesteps.length], data: timesteps }],
    ['out.steps', { shape: [timesteps.length, B, C, H, W], data: samples }],
  ]);
}
