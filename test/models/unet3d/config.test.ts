import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/errors.js';
import {
  detectFamily,
  parseUNet3DConfig,
  UNet3DConditionModel,
  unet3dConfigJson,
} from '../../../src/models/unet3d/index.js';
import { LATENT, LATENT_SHOW1, PIXEL, SR } from './configs.js';

const names = (config: Record<string, unknown>) => [...new UNet3DConditionModel(config).parameters().keys()];
const shapes = (config: Record<string, unknown>) =>
  new Map([...new UNet3DConditionModel(config).parameters()].map(([name, p]) => [name, p.torchShape]));

describe('the UNet config', () => {
  it('tells the two upstream classes apart by their options', () => {
    expect([PIXEL, SR, LATENT_SHOW1, LATENT].map(detectFamily)).toEqual(['show1', 'show1', 'show1', 'diffusers']);
    expect(detectFamily({ ...LATENT, _fixture: {}, time_cond_proj_dim: null })).toBe('diffusers');
    expect(detectFamily({ transfromer_in_opt: false })).toBe('show1');
    // What neither class knows decides nothing: it would change the meaning of a head count.
    expect(detectFamily({ ...LATENT, later_option: null })).toBe('diffusers');
    expect(() => names({ ...LATENT, later_option: 1 })).toThrow('later_option (1) is not an option of this UNet');
  });

  it('has the defaults of the class', () => {
    expect(parseUNet3DConfig({})).toMatchObject({
      ...{ family: 'diffusers', crossAttentionDim: 1024, attentionHeadDim: 64, useLinearProjection: true },
      ...{ transformerIn: true, blockOutChannels: [320, 640, 1280, 1280], layersPerBlock: 2, actFn: 'silu' },
    });
    expect(parseUNet3DConfig({}, { family: 'show1' })).toMatchObject({
      ...{ family: 'show1', crossAttentionDim: 1280, attentionHeadDim: 8, useLinearProjection: false },
      ...{ transformerIn: false, midBlockType: 'UNetMidBlock3DCrossAttn', encoderHidDimType: null },
    });
    expect(parseUNet3DConfig({ encoder_hid_dim: 8 }).encoderHidDimType).toBe('text_proj');
  });

  it.each([PIXEL, SR, LATENT_SHOW1, LATENT])('is the same after writing and reading', config => {
    const parsed = parseUNet3DConfig(config);
    const json = JSON.parse(JSON.stringify(unet3dConfigJson(parsed)));
    expect(json._class_name).toBe('UNet3DConditionModel');
    expect(parseUNet3DConfig(json)).toEqual(parsed);
  });

  it('gives temporal norms the groups that the version of its library did', () => {
    const read = (config: Record<string, unknown>) => parseUNet3DConfig({ ...config, norm_num_groups: 16 });
    for (const [_diffusers_version, groups] of [
      ...([undefined, '0.19.3', '0.23.1'] as const).map(version => [version, 32] as const),
      ...(['0.24.0.dev0', '0.24.0', '0.42.1', '1.0.0'] as const).map(version => [version, 16] as const),
    ]) {
      const config = read({ ...LATENT, _diffusers_version });
      expect(config.temporalNormGroups, _diffusers_version).toBe(groups);
      expect(parseUNet3DConfig(unet3dConfigJson(config))).toEqual(config);
    }
    expect(read({ ...LATENT_SHOW1, _diffusers_version: '0.42.1' }).temporalNormGroups).toBe(32);
    const narrow = { ...LATENT, block_out_channels: [4, 8], norm_num_groups: 2, attention_head_dim: 4 };
    expect(names({ ...narrow, _diffusers_version: '0.42.1' })).toContain('transformer_in.norm.weight');
    expect(() => names(narrow)).toThrow('4 channels do not divide into 32 groups');
  });

  it('keeps what only matters to other programs', () => {
    expect(unet3dConfigJson(parseUNet3DConfig({ ...PIXEL, upcast_attention: true })).upcast_attention).toBe(true);
    expect(unet3dConfigJson(parseUNet3DConfig(LATENT))).not.toHaveProperty('upcast_attention');
  });

  it('decides which layers there are', () => {
    const pixel = names(PIXEL);
    expect(pixel).toContain('down_blocks.1.attentions.0.add_k_proj.weight');
    expect(pixel).toContain('mid_block.temp_attentions.0.transformer_blocks.0.attn2.to_out.0.bias');
    expect(pixel).toContain('up_blocks.0.upsamplers.0.time_emb_proj.weight');
    expect(pixel.some(name => name.startsWith('class_embedding'))).toBe(false);
    const sr = names(SR);
    expect(sr).toContain('class_embedding.linear_1.weight');
    expect(sr.some(name => name.includes('attentions.0.to_k') && !name.includes('temp_'))).toBe(false);
    const latent = names(LATENT);
    expect(latent).toContain('transformer_in.proj_in.weight');
    expect(latent).toContain('down_blocks.0.downsamplers.0.conv.weight');
    expect(names(LATENT_SHOW1).some(name => name.startsWith('transformer_in'))).toBe(false);
    expect(names({ ...LATENT_SHOW1, transfromer_in_opt: true })).toContain('transformer_in.proj_in.weight');
    expect(names({ ...LATENT_SHOW1, mid_block_type: null }).some(name => name.startsWith('mid_block'))).toBe(false);
  });

  it('keeps upstream’s meanings of attention_head_dim', () => {
    // Not a divisor of 32 channels: the inner width shows how many heads of what size there are.
    const inner = (config: Record<string, unknown>, name: string) => shapes(config).get(name)![0];
    const temporal = 'down_blocks.0.temp_attentions.0.proj_in.weight';
    expect(inner({ ...LATENT_SHOW1, attention_head_dim: 5 }, temporal)).toBe(30); // 5 heads of 6
    expect(inner({ ...LATENT, attention_head_dim: 12 }, temporal)).toBe(24); // 2 heads of 12
    expect(inner(LATENT, 'transformer_in.proj_in.weight')).toBe(8 * 8);
    expect(inner({ ...LATENT_SHOW1, transfromer_in_opt: true }, 'transformer_in.proj_in.weight')).toBe(8 * 64);
    // Lists: reversed for the heads of up blocks' transformers, not reversed for the head sizes of added-KV attention.
    const latent = { ...LATENT_SHOW1, attention_head_dim: [5, 7], up_block_types: ['CrossAttnUpBlock3D', 'UpBlock3D'] };
    expect(inner(latent, 'up_blocks.0.temp_attentions.0.proj_in.weight')).toBe(63); // 64 channels: 7 heads of 9
    const pixel = { ...PIXEL, attention_head_dim: [5, 16] };
    expect(() => names(pixel)).toThrow('64 channels do not divide into heads of 5');
  });

  it('takes lists with one entry a level, reversed on the way up', () => {
    const config = names({ ...PIXEL, layers_per_block: [1, 2] });
    expect(config).toContain('down_blocks.1.resnets.1.conv1.weight');
    expect(config).not.toContain('down_blocks.0.resnets.1.conv1.weight');
    expect(config).toContain('up_blocks.0.resnets.2.conv1.weight');
    expect(config).not.toContain('up_blocks.1.resnets.2.conv1.weight');
  });
});

describe('a wrong UNet config', () => {
  const cases: [string, Record<string, unknown>, string | RegExp][] = [
    ['unknown key', { ...PIXEL, atention_head_dim: 4 }, /atention_head_dim \(4\).*Did you mean attention_head_dim\?/],
    [
      'unknown block',
      { ...PIXEL, down_block_types: ['DownBlock2D', 'DownBlock3D'] },
      /down_block_types.*DownBlock2D.*allowed: a list of DownBlock3D/,
    ],
    [
      'pixel blocks in diffusers’ class',
      { ...LATENT, up_block_types: ['ResnetUpsampleBlock3D', 'UpBlock3D'] },
      'allowed: a list of UpBlock3D, CrossAttnUpBlock3D',
    ],
    [
      'unsupported choice',
      { ...PIXEL, addition_embed_type: 'text_image' },
      'addition_embed_type is "text_image"; allowed: null, "text"',
    ],
    ['unsupported activation', { ...PIXEL, act_fn: 'relu' }, /act_fn: "relu"/],
    ['heads by number', { ...LATENT, num_attention_heads: 8 }, 'num_attention_heads is 8; allowed: null only'],
    [
      'another class',
      { ...LATENT, _class_name: 'UNetMotionModel' },
      'the config of a UNetMotionModel, not of a UNet3DConditionModel.',
    ],
    ['wrong type', { ...PIXEL, in_channels: '3' }, 'in_channels is "3"; allowed: a whole number from 1'],
    ['no groups', { ...PIXEL, norm_num_groups: null }, 'norm_num_groups is null'],
    ['a list in diffusers’ class', { ...LATENT, attention_head_dim: [8, 8] }, 'attention_head_dim is [8,8]'],
    [
      'list of another length',
      { ...PIXEL, layers_per_block: [1, 1, 1] },
      'it has 3 entries, but down_block_types has 2',
    ],
    ['channels of another length', { ...PIXEL, block_out_channels: [32] }, 'block_out_channels is [32]'],
    [
      'projection without width',
      { ...PIXEL, encoder_hid_dim: null },
      'encoder_hid_dim_type "text_proj" needs the width',
    ],
    [
      'labels without width',
      { ...PIXEL, class_embed_type: 'projection' },
      'projection_class_embeddings_input_dim is null',
    ],
    ['channels against groups', { ...PIXEL, norm_num_groups: 24 }, '32 channels do not divide into 24 groups'],
    ['heads larger than the level', { ...LATENT, attention_head_dim: 40 }, '40 is more than the 32 channels'],
  ];
  it.each(cases)('%s', (_, config, message) => {
    const make = () => new UNet3DConditionModel(config);
    expect(make).toThrow(InputError);
    expect(make).toThrow(message);
  });

  it('names the file it is from', () => {
    const make = () => new UNet3DConditionModel({ ...PIXEL, in_channels: 0 }, { source: 'base/unet/config.json' });
    expect(make).toThrow('base/unet/config.json: in_channels is 0');
  });

  it('but not an option of a newer library that is switched off', () => {
    expect(() => new UNet3DConditionModel({ ...PIXEL, reverse_transformer_layers_per_block: null })).not.toThrow();
  });
});
