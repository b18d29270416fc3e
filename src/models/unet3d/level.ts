/** The run of layers that every block of the UNet consists of: resnet, temporal convolution, attention, temporal attention. */
import type { Tensor } from '../../engine/index.js';
import { AddedKVAttention } from '../layers/added-kv-attention.js';
import type { Block } from '../layers/block.js';
import { ResnetBlock2D, type ResnetBlockConfig } from '../layers/resnet-block.js';
import { TemporalConvLayer } from '../layers/temporal-conv.js';
import { TransformerTemporalModel } from '../layers/temporal-transformer.js';
import { Transformer2DModel } from '../layers/transformer2d.js';
import type { BlockKind } from './block-types.js';
import type { UNet3DConfig } from './config.js';
import type { LevelHeads } from './heads.js';

/** Dropout of temporal convolutions, hard-coded upstream; active only inside the engine's `withDropout`. */
const TEMPORAL_DROPOUT = 0.1;

/**
 * Runs a part of `block` (one layer of it, or its sampler): `fn(...inputs)`, where `inputs` are all the tensors that `fn`
 * reads besides variables.
 */
export type PartRunner = (block: Block, fn: (...inputs: Tensor[]) => Tensor[], inputs: Tensor[]) => Tensor[];

/** What all layers of a video have in common. Frames of an image model are images of their own. */
export interface VideoContext {
  frames: number;
  /** Time embedding [B, D]. */
  temb: Tensor;
  /** Text tokens [B, L, crossAttentionDim]. */
  text: Tensor;
  run: PartRunner;
}

/** What one block (down, middle or up) is built from. */
export interface LevelConfig {
  config: UNet3DConfig;
  kind: BlockKind;
  channels: number;
  tembChannels: number;
  heads: LevelHeads;
  crossAttentionDim: number;
  onlyCrossAttention: boolean;
  transformerLayers: number;
  /** Divides the output of every resnet block. */
  outputScaleFactor: number;
}

/** Spatial attention to pixels and text. */
export type SpatialAttention = AddedKVAttention | Transformer2DModel;

/** @param resample makes a resnet sampler of it */
export function resnet(
  level: LevelConfig,
  inChannels: number,
  resample?: ResnetBlockConfig['resample'],
): ResnetBlock2D {
  const { config, channels, tembChannels, outputScaleFactor, kind } = level;
  return new ResnetBlock2D({
    inChannels,
    outChannels: channels,
    tembChannels,
    groups: config.normNumGroups,
    eps: config.normEps,
    act: config.actFn,
    timeScaleShift: config.resnetTimeScaleShift,
    // The latent blocks have no such option upstream.
    skipTimeAct: kind.sampler === 'resnet' && config.resnetSkipTimeAct,
    outputScaleFactor,
    resample,
  });
}

/** An image model has no temporal layers. */
const isImage = ({ config }: LevelConfig): boolean => config.family === 'image';

/** `count` temporal convolutions; none in an image model. */
export function temporalConvs(level: LevelConfig, count: number): TemporalConvLayer[] {
  const { channels, config } = level;
  const make = () => new TemporalConvLayer(channels, channels, TEMPORAL_DROPOUT, config.temporalNormGroups);
  return isImage(level) ? [] : Array.from({ length: count }, make);
}

export function spatialAttention(level: LevelConfig): SpatialAttention {
  const { config, kind, channels, heads, crossAttentionDim, onlyCrossAttention } = level;
  const { normNumGroups: normGroups, crossAttentionNorm, useLinearProjection } = config;
  if (kind.attention === 'added-kv') {
    const textDim = crossAttentionDim;
    return new AddedKVAttention({
      channels,
      ...heads.spatial,
      textDim,
      normGroups,
      onlyCrossAttention,
      crossAttentionNorm,
    });
  }
  return new Transformer2DModel({
    channels,
    ...heads.spatial,
    layers: level.transformerLayers,
    normGroups,
    crossAttentionDim,
    useLinearProjection,
    onlyCrossAttention,
  });
}

/** `count` temporal transformers; none in an image model. */
export function temporalAttentions(level: LevelConfig, count: number): TransformerTemporalModel[] {
  const { config, channels, heads } = level;
  const make = () => new TransformerTemporalModel({ channels, ...heads.temporal, normGroups: config.normNumGroups });
  return isImage(level) ? [] : Array.from({ length: count }, make);
}
