import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { UNet2DConditionModel } from '../../src/models/index.js';
import { openSafetensors, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { modelFolder, pipelineFolder, put } from '../convert/folders.js';
import { torchCheckpoint } from '../models/metrics/checkpoints.js';
import { PIXEL } from '../models/unet3d/configs.js';
import { tempFolder } from '../models/weights/files.js';
import { capture } from './capture.js';

let root: string;
const at = (...name: string[]) => join(root, ...name);
beforeEach(() => {
  root = tempFolder();
});
const convert = (...args: string[]) => capture(['convert', ...args]);

describe('show1 convert dtype', () => {
  it('converts a pipeline, says what it wrote, and shows progress on stderr', async () => {
    await pipelineFolder(at('in'));
    const { code, stdout, stderr } = await convert('dtype', at('in'), at('out'), '--dtype', 'fp16');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^text_encoder {2}4 tensors, 7\.33 KiB, model\.safetensors\nunet {2}4 tensors, 7\.33 KiB, diffusion_pytorch_model\.safetensors\n/,
    );
    expect(stdout).toContain(`${at('out')}: pipeline, 7 other files copied\n`);
    expect(stderr).toMatch(/^converting, MiB {2}1\/1 {2}100% {2}in .* {2}unet\//m);
    expect(stderr).toContain('left out unet/diffusion_pytorch_model.bin');
    const weights = openSafetensors(at('out', 'unet'));
    expect(weights.info('a.weight').dtype).toBe('F16');
    weights.close();
  });

  it('prints one JSON document, and a note on shards that diffusers does not read', async () => {
    await modelFolder(at('in'));
    const { code, stdout, stderr } = await convert(
      ...['dtype', at('in'), at('out'), '--max-shard-size', '5KB', '--variant', 'fp32', '--json', '--quiet'],
    );
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ kind: 'model', out: at('out'), copied: 1, leftOut: [] });
    expect(result.models[0].files).toHaveLength(4);
    expect(readdirSync(at('out')).sort()).toEqual(['config.json', ...result.models[0].files]);
    expect(stderr).toMatch(/^.*out is in shards: diffusers 0\.19\.3, .* reads its models from one file only\n$/);
  });

  const wrong: [string, string[], RegExp][] = [
    ['nothing to do', [], /error: nothing to convert: give --dtype, --max-shard-size or --variant/],
    ['a type that is none', ['--dtype', 'int8'], /--dtype is "int8"; allowed: "fp32", "fp16", "bf16"/],
    ['a size that is none', ['--max-shard-size', 'big'], /--max-shard-size is "big"; allowed: a size such as 2GB/],
    ['a wrong option', ['--dtpye', 'fp16'], /unknown argument --dtpye; did you mean --dtype\?/],
  ];
  it.each(wrong)('refuses %s', async (_, args, message) => {
    await modelFolder(at('in'));
    const { code, stdout, stderr } = await convert('dtype', at('in'), at('out'), ...args);
    expect([code, stdout, existsSync(at('out'))]).toEqual([2, '', false]);
    expect(stderr).toMatch(message);
  });

  it('refuses values that fp16 cannot hold, a full folder, and what is no model', async () => {
    await modelFolder(at('in'), { 'big.weight': Float32Array.of(1e5) });
    const big = await convert('dtype', at('in'), at('out'), '--dtype', 'fp16', '--json');
    expect(big.code).toBe(2);
    expect(JSON.parse(big.stdout).error).toMatchObject({
      code: 'weights.range',
      message: expect.stringContaining('bf16'),
    });
    expect(existsSync(at('out'))).toBe(false);

    put(at('out', 'config.json'), '{}');
    const full = await convert('dtype', at('in'), at('out'), '--dtype', 'bf16');
    expect([full.code, full.stderr]).toEqual([2, expect.stringMatching(/out is not empty: .* --force to replace it/)]);
    expect((await convert('dtype', at('in'), at('out'), '--dtype', 'bf16', '--force', '--quiet')).code).toBe(0);

    put(at('photos', 'a.jpg'), '');
    const none = await convert('dtype', at('photos'), at('out2'), '--dtype', 'bf16');
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/photos holds no weights to convert/)]);
  });
});

describe('show1 convert inflate', () => {
  it('makes a video UNet of an image UNet', async () => {
    const image = new UNet2DConditionModel(JSON.parse(JSON.stringify(PIXEL).replaceAll('3D', '2D')));
    image.initialize(1);
    await image.savePretrained(at('image'));
    const count = image.countParams();
    image.dispose();
    const { code, stdout } = await convert(
      'inflate',
      at('image'),
      at('video'),
      '--seed',
      '4',
      '--dtype',
      'bf16',
      '--json',
    );
    expect(code).toBe(0);
    const { parameters, bytes } = JSON.parse(stdout);
    expect(parameters.spatial).toBe(count);
    expect(bytes).toBe(2 * (parameters.spatial + parameters.temporal));
    const weights = openSafetensors(at('video'));
    expect(weights.info('mid_block.temp_attentions.0.proj_out.weight').dtype).toBe('BF16');
    weights.close();

    const again = await convert('inflate', at('image'), at('again'), '--seed', '4', '--quiet');
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(again.stdout).toMatch(
      /again: \d+ K weights of the image model, \d+(\.\d+)? [KM] new temporal ones, .* MiB\n$/,
    );
    rmSync(at('image', 'diffusion_pytorch_model.safetensors'));
    expect(await convert('inflate', at('image'), at('none'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/No weights found in .*image/),
    });
  });
});

describe('show1 convert export', () => {
  it('refuses what is no run', async () => {
    await pipelineFolder(at('in'));
    const runs: [string, RegExp][] = [
      [at('nowhere'), /error: .*nowhere: there is no such folder/],
      [at('in'), /in holds neither a run .* nor a diffusers pipeline|is a diffusers pipeline already/],
    ];
    for (const [run, message] of runs) {
      const { code, stdout, stderr } = await convert('export', run, at('out'));
      expect([code, stdout, existsSync(at('out'))]).toEqual([2, '', false]);
      expect(stderr).toMatch(message);
    }
  });
});

describe('show1 convert metrics', () => {
  it('names the network, its layout and its hash, and what to know of it', async () => {
    const tensors = torchCheckpoint('c3d', { width: 1 / 32 });
    await writeSafetensors(
      at('c3d.safetensors'),
      Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor })),
    );
    const { code, stdout, stderr } = await convert('metrics', at('c3d.safetensors'), at('out'), '--quiet');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/trained in PyTorch.*convert with --pool5 padded/)]);
    expect(stdout).toMatch(
      /out: c3d from c3d\.safetensors \(c3d-pytorch\), 22 tensors, .* KiB\n {2}sha256 of c3d\.safetensors: [0-9a-f]{64}\n$/,
    );
    const again = await convert(
      ...['metrics', at('c3d.safetensors'), at('out'), '--force', '--pool5', 'padded', '--json', '--quiet'],
    );
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(JSON.parse(again.stdout)).toMatchObject({ kind: 'c3d', source: { layout: 'c3d-pytorch' }, notes: [] });
  });

  it('refuses what is no checkpoint of a network', async () => {
    await modelFolder(at('in'));
    put(at('i3d.pt'), 'PK');
    const wrong: [string[], RegExp][] = [
      [[at('in')], /error: .*diffusion_pytorch_model\.safetensors is no evaluation network of a known layout/],
      [[at('i3d.pt')], /i3d\.pt is a PyTorch pickle.*\n {2}python3 -c 'import torch/],
      [[at('none.safetensors')], /no weights at .*none\.safetensors: no such file/],
      [[at('in'), '--kind', 'i4d'], /--kind is "i4d"; allowed: "i3d", "c3d", "inception-v3", "clip"/],
    ];
    for (const [[file, ...options], message] of wrong) {
      const { code, stdout, stderr } = await convert('metrics', file!, at('out'), ...options);
      expect([code, stdout, existsSync(at('out'))]).toEqual([2, '', false]);
      expect(stderr).toMatch(message);
    }
  });
});

describe('show1 convert', () => {
  it('needs a command that exists', async () => {
    expect((await convert()).stderr).toMatch(/convert needs a command: inflate, dtype, export or metrics/);
    expect(await convert('dtyp', 'a', 'b')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/did you mean dtype\?/),
    });
    expect(await convert('dtype', 'a')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/argument is missing/),
    });
  });
});
