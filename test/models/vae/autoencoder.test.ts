import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, type Tensor, tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { AutoencoderKL, latentKl, parseAutoencoderConfig, sampleLatents } from '../../../src/models/vae/index.js';
import { checkGradients } from '../../engine/finite-difference.js';
import { tempFolder } from '../weights/files.js';
import { ATTENTION, noise, PLAIN, randomVae, worst } from './configs.js';

/** Stable Diffusion's VAE as newer versions of diffusers write its config. */
const NEWER = {
  _class_name: 'AutoencoderKL',
  _diffusers_version: '0.30.0',
  _name_or_path: 'somewhere',
  act_fn: 'silu',
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill('DownEncoderBlock2D'),
  force_upcast: false,
  in_channels: 3,
  latent_channels: 4,
  latents_mean: null,
  latents_std: null,
  layers_per_block: 2,
  mid_block_add_attention: true,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 512,
  scaling_factor: 0.18215,
  shift_factor: null,
  up_block_types: Array(4).fill('UpDecoderBlock2D'),
  use_post_quant_conv: true,
  use_quant_conv: true,
};

describe('config', () => {
  it("builds Stable Diffusion's VAE from a newer config", () => {
    const vae = new AutoencoderKL(NEWER);
    expect(vae.countParams()).toBe(83_653_863); // the count that diffusers reports
    expect(vae.downsampleFactor).toBe(8);
    expect(vae.config).toMatchObject({
      scalingFactor: 0.18215,
      latentChannels: 4,
      sampleSize: 512,
      forceUpcast: false,
    });
    expect(parseAutoencoderConfig(vae.configJson())).toEqual(vae.config);
  });

  it("has diffusers' defaults", () => {
    expect(new AutoencoderKL({}).configJson()).toEqual({
      _class_name: 'AutoencoderKL',
      _diffusers_version: '0.19.3',
      in_channels: 3,
      out_channels: 3,
      down_block_types: ['DownEncoderBlock2D'],
      up_block_types: ['UpDecoderBlock2D'],
      block_out_channels: [64],
      layers_per_block: 1,
      act_fn: 'silu',
      latent_channels: 4,
      norm_num_groups: 32,
      sample_size: 32,
      scaling_factor: 0.18215,
      force_upcast: true,
    });
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['use_quant_conv', { use_quant_conv: false }, /use_quant_conv is false; allowed: true only/],
    ['use_post_quant_conv', { use_post_quant_conv: false }, /allowed: true only/],
    ['mid_block_add_attention', { mid_block_add_attention: false }, /allowed: true only/],
    ['shift_factor', { shift_factor: 0.1 }, /shift_factor is 0.1; allowed: null only/],
    ['latents_mean', { latents_mean: [0, 0, 0, 0] }, /latents_mean is \[0,0,0,0\]; allowed: null only/],
    ['latents_std', { latents_std: 1 }, /allowed: null only/],
    ['down_block_types', { down_block_types: ['DownBlock2D', 'DownBlock2D'] }, /a list of DownEncoderBlock2D/],
    ['up_block_types', { up_block_types: ['UpDecoderBlock2D'] }, /has 1 entries, but block_out_channels has 2/],
    ['norm_num_groups', { norm_num_groups: 5 }, /8 of block_out_channels does not divide/],
    ['act_fn', { act_fn: 'relu' }, /act_fn: "relu" is no known activation/],
    ['scaling_factor', { scaling_factor: 0 }, /a number above 0 is needed/],
    ['latent_channels', { latent_channels: 0 }, /latent_channels is 0; allowed: a whole number from 1/],
    [
      'scale_factor',
      { scale_factor: 1 },
      /scale_factor \(1\) is not an option of this autoencoder. Did you mean scaling/,
    ],
    [
      '_class_name',
      { _class_name: 'AutoencoderKLTemporalDecoder' },
      /of AutoencoderKLTemporalDecoder, not of Autoencoder/,
    ],
  ])('refuses %s %o', (key, change, message) => {
    const build = () => new AutoencoderKL({ ...PLAIN, ...change }, { source: 'vae/config.json' });
    expect(build).toThrow(InputError);
    expect(build).toThrow(message);
    try {
      build();
    } catch (error) {
      expect(String(error)).toContain('vae/config.json');
      expect(String((error as InputError).data.key)).toMatch(new RegExp(`\\b${key}$`));
    }
  });
});

describe('AutoencoderKL', () => {
  it('gives distributions of the clamped shape and samples from them', () => {
    const before = tf.memory().numTensors;
    const vae = randomVae(ATTENTION, { spread: 3 }); // weights large enough for the clamp to bite
    const parameters = vae.parameters().size;
    const x = noise([2, 8, 12, 3]);
    const latents = vae.encode(x);
    const e = noise([2, 2, 3, 4], 7);
    const sample = sampleLatents(latents, e);
    for (const tensor of [latents.mean, latents.logvar, latents.std, sample])
      expect(tensor.shape).toEqual([2, 2, 3, 4]);
    const [mean, logvar, std, z] = [latents.mean, latents.logvar, latents.std, sample].map(t => t.dataSync());
    expect(Math.min(...logvar!)).toBe(-30);
    expect(Math.max(...logvar!)).toBe(20);
    const draw = e.dataSync();
    for (const i of mean!.keys()) {
      expect(std![i]).toBeCloseTo(Math.exp(logvar![i]! / 2), -Math.log10(std![i]!) + 4);
      expect(Math.abs(z![i]! - (mean![i]! + std![i]! * draw[i]!))).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(z![i]!)));
    }
    tf.dispose([x, e, sample, latents.mean, latents.logvar, latents.std]);
    expect(tf.memory().numTensors).toBe(before + parameters);
    vae.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('reconstructs through the means', () => {
    const vae = randomVae();
    tf.tidy(() => {
      const x = noise([1, 4, 6, 3]);
      const y = vae.forward(x);
      expect(y.shape).toEqual([1, 4, 6, 3]);
      expect(worst(y, vae.decode(vae.encode(x).mean))).toBe(0);
    });
    vae.dispose();
  });

  it('measures the divergence from the standard normal', () => {
    const kl = (mean: number, std: number) =>
      tf.tidy(() => {
        const t = (value: number) => tf.fill([2, 1, 1, 3], value);
        return latentKl({ mean: t(mean), std: t(std), logvar: t(2 * Math.log(std)) }).dataSync();
      });
    expect(Math.max(...kl(0, 1).map(Math.abs))).toBeLessThan(1e-6);
    for (const value of kl(2, 0.5)) expect(value).toBeCloseTo(3 * (-Math.log(0.5) + (0.25 + 4) / 2 - 0.5), 5);
  });

  it('computes the same compiled, and has gradients', () => {
    const vae = randomVae();
    const x = noise([1, 4, 4, 3]);
    const e = noise([1, 2, 2, 4]);
    const pass = (image: Tensor, draw: Tensor) => tf.tidy(() => vae.decode(sampleLatents(vae.encode(image), draw)));
    const compiled = compile((image, draw) => [pass(image!, draw!)], { name: 'vae_test' });
    const [a, [b]] = [pass(x, e), compiled(x, e)];
    expect(worst(a, b!)).toBeLessThan(2e-5);
    checkGradients(pass, [x, e], { step: 3e-3, tolerance: 5e-3 });
    compiled.dispose();
    tf.dispose([x, e, a, b!]);
    vae.dispose();
  });

  it('saves and loads a folder', async () => {
    const dir = join(tempFolder(), 'vae');
    const vae = randomVae(ATTENTION);
    await vae.savePretrained(dir);
    expect(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'))).toEqual(vae.configJson());
    const loaded = await AutoencoderKL.fromPretrained(dir);
    expect(loaded.config).toEqual(vae.config);
    const x = noise([1, 8, 8, 3]);
    const [a, b] = [vae.forward(x), loaded.forward(x)];
    expect(worst(a, b)).toBe(0);
    tf.dispose([x, a, b]);
    vae.dispose();
    loaded.dispose();
  });

  it('refuses other shapes', () => {
    const vae = new AutoencoderKL(ATTENTION);
    const fails = (run: () => unknown, message: RegExp) => {
      expect(run).toThrow(InputError);
      expect(run).toThrow(message);
    };
    tf.tidy(() => {
      fails(() => vae.encode(tf.zeros([1, 8, 8, 4])), /encode: the input is \[1,8,8,4\]; it must be \[N, H, W, 3\]/);
      fails(() => vae.encode(tf.zeros([1, 2, 8, 3])), /sides of 4 pixels at least/);
      fails(() => vae.decode(tf.zeros([8, 8, 4])), /decode: the input is \[8,8,4\]; it must be \[N, h, w, 4\]/);
    });
  });
});
