import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../src/data/ffmpeg.js';
import { tf } from '../../src/engine/index.js';
import { InterruptedError } from '../../src/errors.js';
import { findCascade } from '../../src/infer/cascade-folder.js';
import { readPrompts } from '../../src/infer/prompts.js';
import { type SampleRequest, samplePrompts } from '../../src/infer/sample.js';
import { STAGES } from '../../src/infer/stage-names.js';
import { unusedOptions } from '../../src/infer/stage-settings.js';
import { writeVideo } from '../../src/infer/video.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { writeTinyCascade } from '../helpers/tiny-cascade.js';

let root: string;
let models: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'show1-cascade-'));
  models = path.join(root, 'models');
  await writeTinyCascade(models, {
    name: stage => (stage === 'interp' ? 'show-1-interpolation' : stage),
    firstFrame: true,
  });
});
afterAll(() => rm(root, { recursive: true, force: true }));

const SMALL = { frames: 3, width: 8, height: 8, finalWidth: 48, finalHeight: 40, steps: 2, fps: 2 };
const ask = (out: string, changes: Partial<SampleRequest> = {}) =>
  samplePrompts({
    model: models,
    prompts: ['a red square moves up', 'a blue circle moves down'],
    out: path.join(root, out),
    stages: STAGES,
    seed: 3,
    ...SMALL,
    ...changes,
  });

/** Bytes of every video that a cascade's stages left behind. */
async function stageVideo(out: string, name: string): Promise<Float32Array> {
  const reader = openSafetensors(path.join(root, out, 'stages', `${name}.safetensors`));
  const video = (await reader.read('video')) as Float32Array;
  reader.close();
  return video;
}

describe('the whole cascade', () => {
  it('makes 4(K-1)+1 frames at the final size, frees everything, and keeps each stage for later', async () => {
    const before = tf.memory().numTensors;
    const lines: string[] = [];
    const shares: number[] = [];
    const result = await ask('all', { print: line => lines.push(line), onProgress: done => shares.push(done) });
    expect(tf.memory().numTensors).toBe(before);
    expect(result.stages.map(({ stage }) => stage)).toEqual([...STAGES]);
    const video = await decode(result.samples[0]!.path);
    const scale = Math.floor(256 / 48);
    expect([video.frames, video.width, video.height]).toEqual([9, 48 * scale, 40 * scale]);
    for (const stage of STAGES) expect(existsSync(result.samples[1]!.stages[stage]!), stage).toBe(true);
    expect(shares.at(-1)).toBeCloseTo(1, 5);
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
    expect(lines.join('\n')).toMatch(/sr1: .* of 9×32×32/);
    expect(lines.join('\n')).not.toMatch(/no image model/);

    // A longer prefix begins where the shorter one ended; a video does not depend on its batch.
    const [a, b] = [await stageVideo('all', '00-sr2'), await stageVideo('all', '01-sr2')];
    expect(a.some((value, i) => value !== b[i])).toBe(true);
    await ask('prefix', { stages: ['base', 'interp'], batch: 1 });
    const asked: string[] = [];
    await ask('prefix', { batch: 1, batchWindows: 1, onProgress: (_, __, what) => asked.push(what) });
    expect(asked.some(what => what.startsWith('base') && what.includes('step'))).toBe(false);
    const again = await stageVideo('prefix', '01-sr2');
    expect(Math.max(...again.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(2e-3);
  });

  it('goes on after an interruption with the stage that was not finished', async () => {
    const controller = new AbortController();
    const first = ask('interrupted', {
      signal: controller.signal,
      onProgress: (_, __, what) => what.startsWith('sr1') && controller.abort(),
    });
    await expect(first).rejects.toThrow(InterruptedError);
    const asked: string[] = [];
    await ask('interrupted', { onProgress: (_, __, what) => asked.push(what) });
    expect(asked.filter(what => /^(base|interp) step/.test(what))).toEqual([]);
    expect(await stageVideo('interrupted', '00-sr2')).toEqual(await stageVideo('all', '00-sr2'));
    const other = await ask('interrupted', { seed: 4, stages: ['base'], keepStages: true });
    expect(other.samples[0]!.seed).toBe(4); // another seed does not find the old video
    expect(await stageVideo('interrupted', '00-base')).not.toEqual(await stageVideo('all', '00-base'));
  });

  it('starts from a video, and says plainly when the first frame is bicubic', async () => {
    const small = path.join(root, 'small.mp4');
    await writeVideo(
      small,
      { data: new Uint8Array(5 * 16 * 16 * 3).fill(90), frames: 5, height: 16, width: 16 },
      { fps: 4 },
    );
    const lines: string[] = [];
    const copy = path.join(root, 'no-first-frame');
    await cp(path.join(models, 'sr1'), path.join(copy, 'sr1'), { recursive: true });
    await cp(path.join(models, 'base', 'text_encoder'), path.join(copy, 'sr1', 'text_encoder'), { recursive: true });
    await cp(path.join(models, 'base', 'tokenizer'), path.join(copy, 'sr1', 'tokenizer'), { recursive: true });
    const result = await ask('from-sr1', {
      model: copy,
      stages: ['sr1'],
      steps: { sr1: 1 },
      video: small,
      prompts: ['a red square'],
      print: line => lines.push(line),
    });
    expect(lines.join('\n')).toMatch(/no image model for the clean first frame .* bicubic enlargement/);
    expect(result.settings).toMatchObject({ frames: 5, width: 64, steps: 1 });
  });
});

describe('before any long work', () => {
  const broken = async (change: (dir: string) => Promise<void>, stages: readonly string[] = STAGES) => {
    const dir = await mkdtemp(path.join(root, 'broken-'));
    await cp(models, dir, { recursive: true });
    await change(dir);
    const asked: string[] = [];
    const request = ask('never', { model: dir, stages, onProgress: (_, __, what) => asked.push(what) });
    return { request, asked };
  };
  const weights = (dir: string, stage: string, part = 'unet') =>
    path.join(dir, stage, part, 'diffusion_pytorch_model.safetensors');

  const edit = async (dir: string, part: string, changes: Record<string, unknown>) => {
    const file = path.join(dir, part, 'scheduler_config.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...config, ...changes }));
  };

  const CASES: [string, (dir: string) => Promise<void>, RegExp][] = [
    ['a missing stage', dir => rm(path.join(dir, 'sr1'), { recursive: true }), /lacks sr1 .*found base, interp, sr2/],
    [
      'a missing VAE',
      dir => rm(path.join(dir, 'sr2/vae'), { recursive: true }),
      /sr2.vae is missing: .*model_index.json lists it/,
    ],
    [
      'a missing scheduler',
      dir => rm(path.join(dir, 'sr1/scheduler'), { recursive: true }),
      /sr1.scheduler is missing/,
    ],
    [
      'another stage’s UNet',
      dir => cp(path.join(dir, 'base/unet'), path.join(dir, 'sr1/unet'), { recursive: true, force: true }),
      /takes 3 channels, but stage sr1 has 6/,
    ],
    ['a header longer than the file', dir => truncate(weights(dir, 'sr2'), 2000), /sr2/],
    [
      'a cut file',
      async dir => truncate(weights(dir, 'sr2', 'vae'), (await stat(weights(dir, 'sr2', 'vae'))).size - 4),
      /sr2.vae/,
    ],
    [
      'a pickle',
      dir => rename(weights(dir, 'sr1'), path.join(dir, 'sr1/unet/diffusion_pytorch_model.bin')),
      /safetensors/,
    ],
    [
      'a missing shard',
      async dir => {
        const index = { weight_map: { 'conv_in.weight': 'diffusion_pytorch_model-00001-of-00002.safetensors' } };
        await rm(weights(dir, 'sr1'));
        await writeFile(
          path.join(dir, 'sr1/unet/diffusion_pytorch_model.safetensors.index.json'),
          JSON.stringify(index),
        );
      },
      /diffusion_pytorch_model-00001-of-00002.safetensors is missing/,
    ],
    [
      'a tensor of the wrong shape',
      async dir => {
        const file = path.join(dir, 'sr2/unet/config.json');
        const config = JSON.parse(await readFile(file, 'utf8'));
        await writeFile(file, JSON.stringify({ ...config, cross_attention_dim: 48 }));
      },
      /of another shape:\n.*attn2.to_k.weight: the model has \[\d+,48\]/,
    ],
    [
      'no text encoder',
      dir => rm(path.join(dir, 'base/text_encoder'), { recursive: true }),
      /stage base has no text encoder: looked for/,
    ],
    [
      'an unknown scheduler of a later stage',
      dir => edit(dir, 'sr2/scheduler', { _class_name: 'PNDMScheduler' }),
      /sr2.scheduler.*PNDMScheduler.*--sampler/s,
    ],
    [
      'a broken noising schedule',
      dir => edit(dir, 'sr1/image_noising_scheduler', { beta_schedule: 'foo' }),
      /image_noising_scheduler: .*beta_schedule is "foo"/,
    ],
    [
      'a broken schedule of the first frame',
      dir => edit(dir, 'IF-II-L-v1.0/scheduler', { beta_schedule: 'foo' }),
      /IF-II-L-v1.0.scheduler/,
    ],
  ];
  it.each(CASES)('names %s', async (_, change, message) => {
    const { request, asked } = await broken(change);
    await expect(request).rejects.toThrow(message);
    expect(asked.filter(what => what.includes('step'))).toEqual([]);
  });

  it('says which options no stage uses', () => {
    const overrides = { strength: 0.5, finalWidth: 8, frames: 3, steps: { base: 2, sr2: 3 }, guidance: 2 };
    expect(unusedOptions(overrides, ['base', 'interp'])).toEqual([
      '--final-width is for stage sr2, which does not run (base, interp do): it is not used',
      '--strength is for stage sr2, which does not run (base, interp do): it is not used',
      '--steps is for stage sr2, which does not run (base, interp do): it is not used',
    ]);
    expect(unusedOptions(overrides, ['base', 'interp', 'sr1', 'sr2'])).toEqual([]);
  });

  it('names prompt files that are none', async () => {
    await expect(readPrompts([], '')).rejects.toThrow(/--prompts "": /);
    const file = path.join(root, 'prompts.txt');
    await writeFile(file, Buffer.from('a cat', 'utf16le'));
    await expect(readPrompts([], file)).rejects.toThrow(/is no UTF-8 text .*save it as UTF-8/);
    await writeFile(file, '\uFEFFa cat\n# none\n\n a dog ');
    expect(await readPrompts([], file)).toEqual(['a cat', 'a dog']);
  });

  it('names stages that are out of order, unknown, or without input', async () => {
    await expect(ask('x', { stages: ['base', 'sr1'] })).rejects.toThrow(/give stages in the order base,interp,sr1,sr2/);
    await expect(ask('x', { stages: ['base', 'sr3'] })).rejects.toThrow(/"sr3" is no stage/);
    await expect(ask('x', { stages: ['sr1'] })).rejects.toThrow(/from any other with --video/);
    await expect(ask('x', { model: 'stage9=x' })).rejects.toThrow(/"stage9" is no stage/);
    await expect(ask('x', { strength: 0 })).rejects.toThrow(/strength is 0; it must be above 0/);
    await expect(ask('x', { steps: { sr2: 0.5 } })).rejects.toThrow(/stage sr2: steps is 0.5/);
    await expect(ask('x', { steps: 1 })).rejects.toThrow(/stage sr2 takes the last 0.8 of 1 steps, which is none/);
    await expect(ask('x', { steps: 1001 })).rejects.toThrow(/inference steps is 1001; it must be .* 1 to 1000/);
    await expect(ask('x', { finalWidth: 21 })).rejects.toThrow(
      /stage sr2 would make frames of 21×40; .* multiples of 2: change --final-width/,
    );
    await expect(ask('x', { width: 7 })).rejects.toThrow(
      /stage base would make frames of 7×8; .* change --width and --height/,
    );
    await expect(ask('x', { frames: 1 })).rejects.toThrow(/interp fills the time between keyframes, but gets 1/);
    await expect(ask('x', { seed: 2 ** 53 })).rejects.toThrow(/--seed is 9007199254740992/);
    await writeFile(path.join(root, 'a-file'), '');
    await expect(ask('a-file', { stages: ['base'] })).rejects.toThrow(/--out .* the folder cannot be made/);
  });
});

describe('what goes wrong on the way', () => {
  it('stops at values that are no numbers instead of making a video of them', async () => {
    const dir = await mkdtemp(path.join(root, 'nan-'));
    await cp(models, dir, { recursive: true });
    const unet = await UNet3DConditionModel.fromPretrained(path.join(dir, 'base/unet'));
    tf.tidy(() => {
      const bias = unet.parameters().get('conv_out.bias')!;
      bias.assign(tf.fill(bias.shape, Number.NaN));
    });
    await unet.savePretrained(path.join(dir, 'base/unet'));
    unet.dispose();
    await expect(ask('nan', { model: dir, stages: ['base'], keepStages: true })).rejects.toThrow(
      /stage base gave a video with values that are no numbers/,
    );
    expect(existsSync(path.join(root, 'nan/stages/00-base.safetensors'))).toBe(false);
  });

  it('runs a stage again whose kept file is damaged', async () => {
    await ask('damaged', { stages: ['base'], keepStages: true });
    const file = path.join(root, 'damaged/stages/00-base.safetensors');
    const before = await readFile(file);
    await truncate(file, 100);
    await ask('damaged', { stages: ['base'], keepStages: true });
    expect((await readFile(file)).equals(before)).toBe(true);
  });
});

describe('findCascade', () => {
  it('takes the released names, hub caches, and a folder named for one stage', async () => {
    const hub = path.join(root, 'hub');
    for (const [stage, name] of [
      ['base', 'models--showlab--show-1-base'],
      ['sr1', 'models--showlab--show-1-sr1'],
      ['sr2', 'models--showlab--show-1-sr2'],
    ] as const) {
      await cp(path.join(models, stage), path.join(hub, name, 'snapshots', 'abc123'), { recursive: true });
    }
    const interp = path.join(models, 'show-1-interpolation');
    const { stages, firstFrame } = await findCascade([hub, `interp=${interp}`], STAGES);
    expect([...stages.keys()]).toEqual([...STAGES]);
    expect(stages.get('sr1')!.root).toMatch(/show-1-sr1.snapshots.abc123$/);
    expect(stages.get('interp')!.root).toBe(interp);
    expect(firstFrame).toBeUndefined();
    expect((await findCascade([models], STAGES)).firstFrame!.root).toMatch(/IF-II-L-v1.0$/);
  });

  it('names candidates when a stage is ambiguous', async () => {
    const dir = path.join(root, 'two');
    for (const name of ['a-base', 'b-base'])
      await cp(path.join(models, 'base'), path.join(dir, name), { recursive: true });
    await expect(findCascade([dir], ['base'])).rejects.toThrow(
      /a-base and b-base could both be the base stage; say which: --model base=/,
    );
    expect((await findCascade([dir, `base=${path.join(dir, 'b-base')}`], ['base'])).stages.get('base')!.root).toMatch(
      /b-base$/,
    );
  });
});
