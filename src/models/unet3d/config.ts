/** `config.json` of a UNet, typed: every option of the upstream classes (see `family.ts`) that the supported blocks have. */
import { InputError } from '../../errors.js';
import { type ActivationName, activationName } from '../layers/activation.js';
import type { JsonObject } from '../weights/pretrained.js';
import { type BlockDims, blockNames, DOWN_BLOCKS, MID_BLOCKS, UP_BLOCKS } from './block-types.js';
import { ConfigReader } from './config-reader.js';
import { DIFFUSERS_KEYS, detectFamily, type UNet3DFamily, type UNetFamily } from './family.js';

/** One value, or one a level (from the highest resolution down). */
export type PerLevel<T> = T | T[];

/** A UNet's options, named as in diffusers' JSON but camelCased. Defaults are those of the family's class. */
export interface UNet3DConfig {
  family: UNetFamily;
  sampleSize: number | number[] | null;
  inChannels: number;
  outChannels: number;
  centerInputSample: boolean;
  flipSinToCos: boolean;
  freqShift: number;
  downBlockTypes: string[];
  midBlockType: string | null;
  upBlockTypes: string[];
  onlyCrossAttention: PerLevel<boolean>;
  blockOutChannels: number[];
  layersPerBlock: PerLevel<number>;
  downsamplePadding: number;
  midBlockScaleFactor: number;
  actFn: ActivationName;
  normNumGroups: number;
  normEps: number;
  crossAttentionDim: PerLevel<number>;
  transformerLayersPerBlock: PerLevel<number>;
  encoderHidDim: number | null;
  encoderHidDimType: 'text_proj' | null;
  /** A size or a number of heads: see `heads.ts`. */
  attentionHeadDim: PerLevel<number>;
  useLinearProjection: boolean;
  /** A note for float16 runs of other programs, whose scores would overflow; kept for them. */
  upcastAttention: boolean;
  classEmbedType: 'timestep' | 'identity' | 'projection' | 'simple_projection' | null;
  numClassEmbeds: number | null;
  projectionClassEmbeddingsInputDim: number | null;
  classEmbeddingsConcat: boolean;
  additionEmbedType: 'text' | null;
  additionEmbedTypeNumHeads: number;
  resnetTimeScaleShift: 'default' | 'scale_shift';
  resnetSkipTimeAct: boolean;
  resnetOutScaleFactor: number;
  timeEmbeddingDim: number | null;
  timeEmbeddingActFn: ActivationName | null;
  timestepPostAct: ActivationName | null;
  timeCondProjDim: number | null;
  convInKernel: number;
  convOutKernel: number;
  midBlockOnlyCrossAttention: boolean | null;
  crossAttentionNorm: 'group_norm' | 'layer_norm' | null;
  /** Upstream spells the key `transfromer_in_opt`. Always true in diffusers' class. */
  transformerIn: boolean;
  /** Groups of the norms in temporal convolutions and in the entry transformer; no key of its own, see `temporalGroups`. */
  temporalNormGroups: number;
}

export interface ParseOptions {
  /** Which upstream class the config belongs to (default: decided by its keys, see `detectFamily`). */
  family?: UNet3DFamily;
  /** Where the config is from, for messages. */
  source?: string;
}

/**
 * Reads and checks a config.
 * @throws InputError for an unknown key, an unsupported value or sizes that do not fit, naming key, value and what is allowed
 */
export function parseUNet3DConfig(
  json: JsonObject,
  { family, source = "the UNet's config" }: ParseOptions = {},
): UNet3DConfig {
  return parseUNetConfig(json, family ?? detectFamily(json), source);
}

/** The same for a family that is known. */
export function parseUNetConfig(json: JsonObject, family: UNetFamily, source: string): UNet3DConfig {
  checkClass(json, family, source);
  const read = new ConfigReader(json, source);
  const config = family === 'diffusers' ? diffusersConfig(read, json._diffusers_version) : fullConfig(read, family);
  read.finish();
  checkLevels(config, source);
  return config;
}

const classOf = (family: UNetFamily) => (family === 'image' ? 'UNet2DConditionModel' : 'UNet3DConditionModel');

/** A config that names another class is the wrong file; most often an image model where a video model is wanted. */
function checkClass(json: JsonObject, family: UNetFamily, source: string): void {
  const given = json._class_name;
  const wanted = classOf(family);
  if (given === undefined || given === wanted) return;
  throw new InputError(
    `${source} is the config of a ${given}, not of a ${wanted}.${given === classOf('image') ? ' Inflate the image model first: show1 convert inflate.' : ''}`,
    { code: 'model.config-class', value: given, wanted },
  );
}

/** In Show-1's class, and in diffusers' before 0.24. */
const TEMPORAL_GROUPS = 32;

/**
 * From 0.24 on diffusers' class gives its temporal layers `norm_num_groups` groups, which a config's version tells. The
 * released models have 32, where both are the same.
 */
function temporalGroups(version: unknown, normNumGroups: number): number {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(String(version)) ?? [];
  return Number(major) > 0 || Number(minor) >= 24 ? normNumGroups : TEMPORAL_GROUPS;
}

const LATENT_DOWN = ['CrossAttnDownBlock3D', 'CrossAttnDownBlock3D', 'CrossAttnDownBlock3D', 'DownBlock3D'];
const LATENT_UP = ['UpBlock3D', 'CrossAttnUpBlock3D', 'CrossAttnUpBlock3D', 'CrossAttnUpBlock3D'];

function commonConfig(read: ConfigReader) {
  // Upstream refuses any other value: the option's meaning was never settled there.
  read.fixed('num_attention_heads', null);
  const act = (value: unknown, key: string) => activationName(value, `${read.source}: ${key}`);
  return {
    sampleSize: read.sampleSize('sample_size'),
    inChannels: read.count('in_channels', 4),
    outChannels: read.count('out_channels', 4),
    blockOutChannels: read.counts('block_out_channels', [320, 640, 1280, 1280]),
    downsamplePadding: read.choice('downsample_padding', [0, 1], 1),
    midBlockScaleFactor: read.number('mid_block_scale_factor', 1),
    actFn: act(read.raw('act_fn', 'silu'), 'act_fn'),
    normNumGroups: read.count('norm_num_groups', 32),
    normEps: read.number('norm_eps', 1e-5),
    timeCondProjDim: read.countOrNull('time_cond_proj_dim'),
  };
}

/**
 * The class of github.com/showlab/Show-1, `showone/models/unet_3d_condition.py`, and diffusers' UNet2DConditionModel
 * (0.19.3), `models/unet_2d_condition.py`, which it was made from.
 */
function fullConfig(read: ConfigReader, family: 'show1' | 'image'): UNet3DConfig {
  const dims: BlockDims = family === 'image' ? '2D' : '3D';
  const own = (names: string[]) => names.map(name => name.replace('3D', dims));
  const actOrNull = (key: string) => {
    const value = read.raw(key, null);
    return value === null ? null : activationName(value, `${read.source}: ${key}`);
  };
  if (family === 'image') read.fixed('dual_cross_attention', false);
  else read.flag('dual_cross_attention', false); // passed around upstream without an effect
  read.fixed('addition_time_embed_dim', null);
  read.fixed('time_embedding_type', 'positional');
  // Later options of diffusers' class, at what 0.19.3 always did.
  read.fixed('attention_type', 'default');
  read.fixed('dropout', 0);
  read.fixed('reverse_transformer_layers_per_block', null);
  const encoderHidDim = read.countOrNull('encoder_hid_dim');
  const encoderHidDimType = read.choice('encoder_hid_dim_type', [null, 'text_proj'] as const, null);
  return {
    family,
    ...commonConfig(read),
    downBlockTypes: read.choices('down_block_types', blockNames(DOWN_BLOCKS, dims), own(LATENT_DOWN)),
    midBlockType: read.choice(
      'mid_block_type',
      [...blockNames(MID_BLOCKS, dims), null],
      `UNetMidBlock${dims}CrossAttn`,
    ),
    upBlockTypes: read.choices('up_block_types', blockNames(UP_BLOCKS, dims), own(LATENT_UP)),
    centerInputSample: read.flag('center_input_sample', false),
    flipSinToCos: read.flag('flip_sin_to_cos', true),
    freqShift: read.number('freq_shift', 0),
    onlyCrossAttention: read.flags('only_cross_attention', false),
    layersPerBlock: read.perLevel('layers_per_block', 2),
    crossAttentionDim: read.perLevel('cross_attention_dim', 1280),
    transformerLayersPerBlock: read.perLevel('transformer_layers_per_block', 1),
    encoderHidDim,
    // Upstream: a width alone means text_proj.
    encoderHidDimType: encoderHidDimType ?? (encoderHidDim === null ? null : 'text_proj'),
    attentionHeadDim: read.perLevel('attention_head_dim', 8),
    useLinearProjection: read.flag('use_linear_projection', false),
    upcastAttention: read.flag('upcast_attention', false),
    classEmbedType: read.choice(
      'class_embed_type',
      [null, 'timestep', 'identity', 'projection', 'simple_projection'] as const,
      null,
    ),
    numClassEmbeds: read.countOrNull('num_class_embeds'),
    projectionClassEmbeddingsInputDim: read.countOrNull('projection_class_embeddings_input_dim'),
    classEmbeddingsConcat: read.flag('class_embeddings_concat', false),
    additionEmbedType: read.choice('addition_embed_type', [null, 'text'] as const, null),
    additionEmbedTypeNumHeads: read.count('addition_embed_type_num_heads', 64),
    resnetTimeScaleShift: read.choice('resnet_time_scale_shift', ['default', 'scale_shift'] as const, 'default'),
    resnetSkipTimeAct: read.flag('resnet_skip_time_act', false),
    resnetOutScaleFactor: read.number('resnet_out_scale_factor', 1),
    timeEmbeddingDim: read.countOrNull('time_embedding_dim'),
    timeEmbeddingActFn: actOrNull('time_embedding_act_fn'),
    timestepPostAct: actOrNull('timestep_post_act'),
    convInKernel: read.odd('conv_in_kernel', 3),
    convOutKernel: read.odd('conv_out_kernel', 3),
    midBlockOnlyCrossAttention: read.choice('mid_block_only_cross_attention', [null, true, false] as const, null),
    crossAttentionNorm: read.choice('cross_attention_norm', [null, 'group_norm', 'layer_norm'] as const, null),
    transformerIn: family === 'show1' && read.flag('transfromer_in_opt', false),
    temporalNormGroups: TEMPORAL_GROUPS,
  };
}

/** The class of diffusers itself (0.19.3), `models/unet_3d_condition.py`: few options, the rest fixed as below. */
function diffusersConfig(read: ConfigReader, version: unknown): UNet3DConfig {
  const common = commonConfig(read);
  return {
    family: 'diffusers',
    ...common,
    downBlockTypes: read.choices('down_block_types', blockNames(DOWN_BLOCKS, '3D', 'conv'), LATENT_DOWN),
    upBlockTypes: read.choices('up_block_types', blockNames(UP_BLOCKS, '3D', 'conv'), LATENT_UP),
    layersPerBlock: read.count('layers_per_block', 2),
    crossAttentionDim: read.count('cross_attention_dim', 1024),
    attentionHeadDim: read.count('attention_head_dim', 64),
    midBlockType: 'UNetMidBlock3DCrossAttn',
    centerInputSample: false,
    flipSinToCos: true,
    freqShift: 0,
    onlyCrossAttention: false,
    transformerLayersPerBlock: 1,
    encoderHidDim: null,
    encoderHidDimType: null,
    useLinearProjection: true,
    upcastAttention: false,
    classEmbedType: null,
    numClassEmbeds: null,
    projectionClassEmbeddingsInputDim: null,
    classEmbeddingsConcat: false,
    additionEmbedType: null,
    additionEmbedTypeNumHeads: 64,
    resnetTimeScaleShift: 'default',
    resnetSkipTimeAct: false,
    resnetOutScaleFactor: 1,
    timeEmbeddingDim: null,
    timeEmbeddingActFn: null,
    timestepPostAct: null,
    convInKernel: 3,
    convOutKernel: 3,
    midBlockOnlyCrossAttention: null,
    crossAttentionNorm: null,
    transformerIn: true,
    temporalNormGroups: temporalGroups(version, common.normNumGroups),
  };
}

/** Options that depend on each other. */
function checkLevels(config: UNet3DConfig, source: string): void {
  const levels = config.downBlockTypes.length;
  const fail = (key: string, value: unknown, problem: string): never => {
    throw new InputError(`${source}: ${key} is ${JSON.stringify(value)}: ${problem}.`, {
      code: 'model.config-value',
      key,
      value,
    });
  };
  const lists = {
    up_block_types: config.upBlockTypes,
    block_out_channels: config.blockOutChannels,
    layers_per_block: config.layersPerBlock,
    only_cross_attention: config.onlyCrossAttention,
    cross_attention_dim: config.crossAttentionDim,
    transformer_layers_per_block: config.transformerLayersPerBlock,
    attention_head_dim: config.attentionHeadDim,
  };
  for (const [key, value] of Object.entries(lists)) {
    if (Array.isArray(value) && value.length !== levels) {
      fail(key, value, `it has ${value.length} entries, but down_block_types has ${levels}; give one a level`);
    }
  }
  if (config.encoderHidDimType && config.encoderHidDim === null) {
    fail('encoder_hid_dim', null, `encoder_hid_dim_type "${config.encoderHidDimType}" needs the width of the text`);
  }
  if (Array.isArray(config.crossAttentionDim) && (config.encoderHidDim !== null || config.additionEmbedType)) {
    fail(
      'cross_attention_dim',
      config.crossAttentionDim,
      'a list does not go with encoder_hid_dim or addition_embed_type',
    );
  }
  if (/projection/.test(config.classEmbedType ?? '') && config.projectionClassEmbeddingsInputDim === null) {
    fail('projection_class_embeddings_input_dim', null, `class_embed_type "${config.classEmbedType}" needs it`);
  }
}

/** One entry a level of a value that may be one for all. */
export function perLevel<T>(value: PerLevel<T>, levels: number): T[] {
  return Array.isArray(value) ? value : Array<T>(levels).fill(value);
}

/** Keys whose snake_case form is not what upstream reads. */
const SPELLING: Partial<Record<keyof UNet3DConfig, string>> = { transformerIn: 'transfromer_in_opt' };

/** The config as diffusers writes it: all of the class's keys, so that the family is recognised when read again. */
export function unet3dConfigJson(config: UNet3DConfig): JsonObject {
  const version = config.temporalNormGroups === TEMPORAL_GROUPS ? '0.19.3' : '0.24.0'; // see `temporalGroups`
  const json: JsonObject = { _class_name: classOf(config.family), _diffusers_version: version };
  for (const [name, value] of Object.entries(config) as [keyof UNet3DConfig, unknown][]) {
    const key = SPELLING[name] ?? name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);
    if (name === 'family' || name === 'temporalNormGroups') continue;
    if (config.family === 'diffusers' && !DIFFUSERS_KEYS.has(key)) continue;
    if (config.family === 'diffusers' && name === 'timeCondProjDim' && value === null) continue; // 0.19.3 lacks it
    if (config.family === 'image' && name === 'transformerIn') continue;
    json[key] = value;
  }
  return json;
}
