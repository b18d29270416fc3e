/** `config.json` of an AutoencoderKL, typed: every option of diffusers 0.19.3's class. */
import { InputError } from '../../errors.js';
import { type ActivationName, activationName } from '../layers/activation.js';
import { ConfigReader } from '../unet3d/config-reader.js';
import type { JsonObject } from '../weights/pretrained.js';

/** Named as in diffusers' JSON, camelCased; lists run from the image's resolution down. */
export interface AutoencoderKLConfig {
  inChannels: number;
  outChannels: number;
  downBlockTypes: string[];
  /** In the decoder's order: from the latents' resolution up. */
  upBlockTypes: string[];
  blockOutChannels: number[];
  /** Residual blocks a level of the encoder; the decoder has one more. */
  layersPerBlock: number;
  actFn: ActivationName;
  latentChannels: number;
  normNumGroups: number;
  sampleSize: number | number[] | null;
  /** Latents × this have about unit variance; diffusion models work on the product. */
  scalingFactor: number;
  /** A note for half-precision runs of other programs. Here sums, norms and weights are always float32. */
  forceUpcast: boolean;
}

export interface VaeParseOptions {
  /** Where the config is from, for messages. */
  source?: string;
}

const CLASS = 'AutoencoderKL';

/** Blocks with self-attention behind each residual block have `Attn` in front. */
export const DOWN_BLOCK_TYPES = ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D'] as const;
export const UP_BLOCK_TYPES = ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D'] as const;

export const hasAttention = (blockType: string): boolean => blockType.startsWith('Attn');

/**
 * Reads and checks a config. Options of newer versions are accepted where they say what 0.19.3 always did.
 * @throws InputError for an unknown key, an unsupported value or sizes that do not fit, naming key, value and what is allowed
 */
export function parseAutoencoderConfig(
  json: JsonObject,
  { source = "the autoencoder's config" }: VaeParseOptions = {},
): AutoencoderKLConfig {
  const given = json._class_name ?? CLASS;
  if (given !== CLASS) {
    throw new InputError(
      `${source} is the config of ${given}, not of ${CLASS}: its layers are others. Give the autoencoder that the UNet was trained with.`,
      { code: 'model.config-class', key: '_class_name', value: given, wanted: CLASS },
    );
  }
  const read = new ConfigReader(json, source, 'autoencoder');
  for (const key of ['use_quant_conv', 'use_post_quant_conv', 'mid_block_add_attention']) read.fixed(key, true);
  for (const key of ['shift_factor', 'latents_mean', 'latents_std']) read.fixed(key, null);
  const config: AutoencoderKLConfig = {
    inChannels: read.count('in_channels', 3),
    outChannels: read.count('out_channels', 3),
    downBlockTypes: read.choices('down_block_types', DOWN_BLOCK_TYPES, ['DownEncoderBlock2D']),
    upBlockTypes: read.choices('up_block_types', UP_BLOCK_TYPES, ['UpDecoderBlock2D']),
    blockOutChannels: read.counts('block_out_channels', [64]),
    layersPerBlock: read.count('layers_per_block', 1),
    actFn: activationName(read.raw('act_fn', 'silu'), `${source}: act_fn`),
    latentChannels: read.count('latent_channels', 4),
    normNumGroups: read.count('norm_num_groups', 32),
    sampleSize: json.sample_size === undefined ? 32 : read.sampleSize('sample_size'),
    scalingFactor: read.number('scaling_factor', 0.18215),
    forceUpcast: read.flag('force_upcast', true),
  };
  read.finish();
  checkSizes(config, source);
  return config;
}

function checkSizes(config: AutoencoderKLConfig, source: string): void {
  const fail = (key: string, value: unknown, problem: string): never => {
    throw new InputError(`${source}: ${key} is ${JSON.stringify(value)}: ${problem}.`, {
      code: 'model.config-value',
      key,
      value,
    });
  };
  const { blockOutChannels, downBlockTypes, upBlockTypes, normNumGroups, scalingFactor } = config;
  const levels = blockOutChannels.length;
  for (const [key, types] of Object.entries({ down_block_types: downBlockTypes, up_block_types: upBlockTypes })) {
    if (types.length !== levels) {
      fail(key, types, `it has ${types.length} entries, but block_out_channels has ${levels}; give one a level`);
    }
  }
  const odd = blockOutChannels.find(channels => channels % normNumGroups !== 0);
  if (odd !== undefined) {
    fail('norm_num_groups', normNumGroups, `${odd} of block_out_channels does not divide into that many groups`);
  }
  if (!(scalingFactor > 0)) fail('scaling_factor', scalingFactor, 'a number above 0 is needed');
}

/** The config as diffusers 0.19.3 writes it. */
export function autoencoderConfigJson(config: AutoencoderKLConfig): JsonObject {
  const snake = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);
  const entries = Object.entries(config).map(([name, value]) => [snake(name), value]);
  return { _class_name: CLASS, _diffusers_version: '0.19.3', ...Object.fromEntries(entries) };
}
