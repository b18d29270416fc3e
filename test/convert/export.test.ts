import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertFolder, exportPipeline } from '../../src/convert/index.js';
import { findModel } from '../../src/infer/model-folder.js';
import { UNet3DConditionModel } from '../../src/models/index.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { train } from '../../src/train/loop.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';
import { tempFolder, thrown } from '../models/weights/files.js';
import { hasPython, runPython } from './diffusers.js';
import { expectSameFiles } from './folders.js';

let root: string;
let out: string;
const at = (...name: string[]) => join(root, ...name);
const json = (...name: string[]) => JSON.parse(readFileSync(join(out, ...name), 'utf8'));
const short = { train: { steps: 2, batchSize: 1, ema: { decay: 0.9 } }, checkpoint: { everySteps: 1, keepLast: 5 } };
beforeAll(async () => {
  root = await tinyData();
  out = join(tempFolder(), 'pipeline');
  const quiet = { print: () => {} };
  await train(tinyConfig(root, 'base', short), quiet);
  await train(tinyConfig(root, 'sr1', short, STAGE_CHANGES.sr1), quiet);
  await train(tinyConfig(root, 'sr2', short, STAGE_CHANGES.sr2), quiet);
}, 300_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe('an exported run', () => {
  it('is a pipeline of its averaged weights and the parts it was trained with', async () => {
    const seen: [number, number][] = [];
    const onProgress = (done: number, total: number) => void seen.push([done, total]);
    const result = await exportPipeline(at('base'), out, { dtype: null, onProgress });
    expect(result).toMatchObject({ out, stage: 'base', step: 2, weights: 'ema' });
    expect(result.notes).toEqual([expect.stringMatching(/out_channels 3: .* Python pipelines need 6/)]);
    expect(result.parts).toEqual({
      unet: 'UNet3DConditionModel',
      scheduler: 'DDPMScheduler',
      text_encoder: 'T5EncoderModel',
      tokenizer: 'PreTrainedTokenizerFast',
    });
    expect(seen.at(-1)).toEqual([result.bytes, result.bytes]);
    expectSameFiles(await filesOf(join(out, 'unet')), await filesOf(at('base', 'checkpoints', 'step-2', 'ema')));
    for (const part of ['scheduler', 'text_encoder', 'tokenizer']) {
      expectSameFiles(await filesOf(join(out, part)), await filesOf(at('base', part)));
    }
    expect(readdirSync(out).sort()).toEqual(['model_index.json', 'scheduler', 'text_encoder', 'tokenizer', 'unet']);
    expect(json('model_index.json')).toMatchObject({
      _class_name: 'TextToVideoIFPipeline',
      _diffusers_version: '0.19.3',
      _show1: { stage: 'base', step: 2, weights: 'ema', video: { frames: 4, height: 16, width: 16 } },
      feature_extractor: [null, null],
      unet: ['showone.models.unet_3d_condition', 'UNet3DConditionModel'],
      text_encoder: ['transformers', 'T5EncoderModel'],
    });
  });

  it('is found as a model, loads, and can be converted on', async () => {
    const { unet, recipe } = await findModel(out, 'ema');
    expect(unet).toBe(join(out, 'unet'));
    expect(recipe).toEqual((await findModel(at('base'), 'ema')).recipe); // it samples as the run does
    const half = join(tempFolder(), 'half');
    await convertFolder(out, half, { dtype: 'BF16' });
    const direct = join(tempFolder(), 'direct');
    await exportPipeline(at('base'), direct, { dtype: 'BF16' });
    expectSameFiles(await filesOf(half), await filesOf(direct));
    const model = await UNet3DConditionModel.fromPretrained(join(half, 'unet'));
    model.dispose();
    expect((await thrown(() => exportPipeline(out, `${out}-2`, { dtype: null }))).message).toMatch(
      /is a diffusers pipeline already: use show1 convert dtype/,
    );
  });

  it('may be a checkpoint, its last weights, and without the text encoder', async () => {
    const step1 = join(tempFolder(), 'step-1');
    const checkpoint = at('base', 'checkpoints', 'step-1');
    const result = await exportPipeline(checkpoint, step1, { dtype: null, weights: 'raw', textEncoder: false });
    expect(result).toMatchObject({ step: 1, weights: 'raw' });
    expect(result.notes).toEqual([
      expect.stringContaining('no text_encoder/'),
      expect.stringContaining('no tokenizer/'),
      expect.stringContaining('out_channels 3'),
    ]);
    expectSameFiles(await filesOf(join(step1, 'unet')), await filesOf(join(checkpoint, 'unet')));
    const index = JSON.parse(readFileSync(join(step1, 'model_index.json'), 'utf8'));
    expect([index.text_encoder, index.tokenizer]).toEqual([
      [null, null],
      [null, null],
    ]);
  });

  it('of the first super-resolution has the schedule of its condition’s noise', async () => {
    const sr1 = join(tempFolder(), 'sr1');
    const result = await exportPipeline(at('sr1'), sr1, { dtype: 'F16', maxShardBytes: 1e6 });
    expect(result.parts.image_noising_scheduler).toBe('DDPMScheduler');
    const index = JSON.parse(readFileSync(join(sr1, 'model_index.json'), 'utf8'));
    expect(index._class_name).toBe('TextToVideoIFSuperResolutionPipeline_Cond');
    expect(
      JSON.parse(readFileSync(join(sr1, 'image_noising_scheduler', 'scheduler_config.json'), 'utf8')),
    ).toMatchObject({ _class_name: 'DDPMScheduler', beta_schedule: 'squaredcos_cap_v2', num_train_timesteps: 1000 });
    const weights = openSafetensors(join(sr1, 'unet'));
    expect(new Set(weights.names().map(name => weights.info(name).dtype))).toEqual(new Set(['F16']));
    weights.close();
    expect(existsSync(join(sr1, 'unet', 'diffusion_pytorch_model.safetensors.index.json'))).toBe(true);
  });

  it('is refused when a part is gone, and nothing is left', async () => {
    const [gone, target] = [join(tempFolder(), 'run'), join(tempFolder(), 'none')];
    await cp(at('base'), gone, { recursive: true });
    await rm(join(gone, 'tokenizer'), { recursive: true });
    const error = await thrown(() => exportPipeline(gone, target, { dtype: null }));
    expect(error).toMatchObject({ code: 'convert.missing-part' });
    expect(error.message).toMatch(/tokenizer is missing, .* leave both out with --no-text-encoder/);
    await rm(join(gone, 'text_encoder'), { recursive: true });
    expect((await thrown(() => exportPipeline(gone, target, { dtype: null }))).message).toMatch(
      /There is no text encoder/,
    );
    await rm(join(gone, 'checkpoints'), { recursive: true });
    expect((await thrown(() => exportPipeline(gone, target, { dtype: null }))).message).toMatch(
      /no complete checkpoint/,
    );
    expect(existsSync(target)).toBe(false);
  });
});

const LOAD = `
import json, sys, torch, diffusers
from diffusers import DiffusionPipeline, UNet3DConditionModel
job = json.load(sys.stdin)
pipe = DiffusionPipeline.from_pretrained(job['dir'])
parts = {k: [type(v).__module__.split('.')[0], type(v).__name__] for k, v in pipe.components.items()}
unet, info = UNet3DConditionModel.from_pretrained(job['dir'], subfolder='unet', output_loading_info=True)
x, text = (torch.tensor(job[k]) for k in ('sample', 'text'))
with torch.no_grad():
  out = unet.eval()(x, torch.tensor(7), text).sample
ids = pipe.tokenizer(job['prompt'], return_tensors='pt').input_ids
encoded = pipe.text_encoder(ids)[0]
print(json.dumps({'class': type(pipe).__name__, 'parts': parts, 'out': out.tolist(), 'width': encoded.shape[-1],
  'info': {k: sorted(map(str, v)) for k, v in info.items()}}))
`;

describe.skipIf(!hasPython('torch', 'diffusers', 'transformers'))('diffusers', () => {
  it('loads an exported last stage as its pipeline, and its UNet computes the same', async () => {
    const sr2 = join(tempFolder(), 'sr2');
    const result = await exportPipeline(at('sr2'), sr2, { dtype: null });
    expect(result).toMatchObject({ stage: 'sr2', notes: [], parts: { vae: 'AutoencoderKL' } });
    const { tf } = await import('../../src/engine/index.js');
    const { sample } = await import('../engine/finite-difference.js');
    const [video, text] = [sample([1, 3, 8, 8, 4]), sample([1, 5, 32], 2)]; // channels last
    const python = runPython<{
      class: string;
      parts: Record<string, string[]>;
      out: number[][];
      width: number;
      info: object;
    }>(LOAD, {
      dir: sr2,
      sample: video.transpose([0, 4, 1, 2, 3]).arraySync(),
      text: text.arraySync(),
      prompt: 'a red square moves up',
    });
    expect(python.class).toBe('VideoToVideoSDPipeline');
    expect(python.parts).toMatchObject({
      unet: ['diffusers', 'UNet3DConditionModel'],
      vae: ['diffusers', 'AutoencoderKL'],
      text_encoder: ['transformers', 'T5EncoderModel'],
      tokenizer: ['transformers', 'PreTrainedTokenizerFast'],
      scheduler: ['diffusers', 'DDPMScheduler'],
    });
    expect(python.info).toEqual({ missing_keys: [], unexpected_keys: [], mismatched_keys: [], error_msgs: [] });
    expect(python.width).toBe(32);
    const unet = await UNet3DConditionModel.fromPretrained(join(sr2, 'unet'));
    const ours = unet.forward(video, 7, text);
    const theirs = tf.tensor(python.out as never).transpose([0, 2, 3, 4, 1]);
    expect(ours.sub(theirs).abs().max().dataSync()[0]).toBeLessThan(1e-5);
    unet.dispose();
  });
});
