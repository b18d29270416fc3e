/** Fixtures of kind `piece`: one layer of the UNet alone, chosen by `_class_name`. */
import type { Tensor } from '../engine/index.js';
import { InputError } from '../errors.js';
import {
  AddedKVAttention,
  activationName,
  type Block,
  ResnetBlock2D,
  TemporalConvLayer,
  TextTimeEmbedding,
  TimestepEmbedding,
  Transformer2DModel,
  TransformerTemporalModel,
} from '../models/layers/index.js';
import { ConfigReader } from '../models/unet3d/config-reader.js';
import { checkModel, type Inputs } from './model-check.js';
import { type CheckResult, type Fixture, unconsumedBy } from './types.js';

interface Piece {
  block: Block;
  run(inputs: Inputs): Tensor;
}

/** The inputs that a piece takes; a missing one is an error that names those there are. */
function need(inputs: Inputs, name: string): Tensor {
  const tensor = inputs[name];
  if (!tensor) {
    throw new InputError(`The piece needs in.${name}; the fixture has ${Object.keys(inputs).join(', ')}.`, {
      code: 'verify.piece-input',
      name,
    });
  }
  return tensor;
}

/** Frames a video, from `_fixture.call` ("…num_frames=4…"). */
function framesOf({ meta, name }: Fixture): number {
  const frames = Number(meta.num_frames ?? /num_frames\s*=\s*(\d+)/.exec(String(meta.call))?.[1]);
  if (!(frames >= 1)) {
    throw new InputError(`Fixture ${name}: _fixture.call must say num_frames=N, not ${JSON.stringify(meta.call)}.`, {
      code: 'verify.num-frames',
      call: meta.call,
    });
  }
  return frames;
}

function transformerOptions(read: ConfigReader) {
  // Without an effect in float32 and evaluation mode, or on this kind of input.
  for (const key of ['sample_size', 'out_channels', 'dropout', 'upcast_attention']) read.raw(key, null);
  return {
    channels: read.count('in_channels', 1),
    heads: read.count('num_attention_heads', 16),
    headDim: read.count('attention_head_dim', 88),
    layers: read.count('num_layers', 1),
    normGroups: read.count('norm_num_groups', 32),
    crossAttentionDim: read.countOrNull('cross_attention_dim'),
    attentionBias: read.flag('attention_bias', false),
    activation: String(read.raw('activation_fn', 'geglu')),
    normAffine: read.flag('norm_elementwise_affine', true),
  };
}

const PIECES: Record<string, (read: ConfigReader, fixture: Fixture) => Piece> = {
  Attention: read => {
    const channels = read.count('query_dim', 1);
    read.fixed('cross_attention_dim', channels);
    for (const key of ['upcast_softmax', 'upcast_attention', 'dropout']) read.raw(key, null);
    const block = new AddedKVAttention({
      channels,
      heads: read.count('heads', 8),
      headDim: read.count('dim_head', 64),
      textDim: read.count('added_kv_proj_dim', 0),
      normGroups: read.count('norm_num_groups', 0),
      bias: read.flag('bias', false),
      onlyCrossAttention: read.flag('only_cross_attention', false),
      crossAttentionNorm: read.choice('cross_attention_norm', [null, 'group_norm', 'layer_norm'] as const, null),
      eps: read.number('eps', 1e-5),
    });
    return { block, run: x => block.forward(need(x, 'hidden_states'), need(x, 'encoder_hidden_states')) };
  },

  ResnetBlock2D: read => {
    for (const key of ['dropout', 'pre_norm']) read.raw(key, null);
    const inChannels = read.count('in_channels', 1);
    const groups = read.count('groups', 32);
    const [up, down] = [read.flag('up', false), read.flag('down', false)];
    const block = new ResnetBlock2D({
      inChannels,
      outChannels: read.countOrNull('out_channels') ?? inChannels,
      tembChannels: read.raw('temb_channels', 512) === null ? null : read.count('temb_channels', 512),
      groups,
      groupsOut: read.countOrNull('groups_out') ?? groups,
      eps: read.number('eps', 1e-6),
      act: activationName(read.raw('non_linearity', 'swish'), 'non_linearity'),
      timeScaleShift: read.choice('time_embedding_norm', ['default', 'scale_shift'] as const, 'default'),
      skipTimeAct: read.flag('skip_time_act', false),
      outputScaleFactor: read.number('output_scale_factor', 1),
      resample: up ? 'up' : down ? 'down' : null,
    });
    return { block, run: x => block.forward(need(x, 'hidden_states'), x.temb ?? null) };
  },

  TemporalConvLayer: (read, fixture) => {
    const inDim = read.count('in_dim', 1);
    const block = new TemporalConvLayer(inDim, read.countOrNull('out_dim') ?? inDim, read.number('dropout', 0));
    const frames = framesOf(fixture);
    return { block, run: x => block.forward(need(x, 'hidden_states'), frames) };
  },

  TransformerTemporalModel: (read, fixture) => {
    const doubleSelfAttention = read.flag('double_self_attention', true);
    const block = new TransformerTemporalModel({ ...transformerOptions(read), doubleSelfAttention });
    const frames = framesOf(fixture);
    return { block, run: x => block.forward(need(x, 'hidden_states'), frames) };
  },

  Transformer2DModel: read => {
    read.fixed('norm_type', 'layer_norm');
    for (const key of ['num_embeds_ada_norm', 'num_vector_embeds', 'patch_size']) read.fixed(key, null);
    const block = new Transformer2DModel({
      ...transformerOptions(read),
      useLinearProjection: read.flag('use_linear_projection', false),
      onlyCrossAttention: read.flag('only_cross_attention', false),
    });
    return { block, run: x => block.forward(need(x, 'hidden_states'), x.encoder_hidden_states ?? null) };
  },

  TextTimeEmbedding: read => {
    const [dim, out] = [read.count('encoder_dim', 1), read.count('time_embed_dim', 1)];
    const block = new TextTimeEmbedding(dim, out, read.count('num_heads', 64));
    return { block, run: x => block.forward(need(x, 'hidden_states')) };
  },

  TimestepEmbedding: read => {
    const postAct = read.raw('post_act_fn', null);
    const block = new TimestepEmbedding({
      inChannels: read.count('in_channels', 1),
      timeEmbedDim: read.count('time_embed_dim', 1),
      act: activationName(read.raw('act_fn', 'silu'), 'act_fn'),
      outDim: read.countOrNull('out_dim') ?? undefined,
      postAct: postAct === null ? null : activationName(postAct, 'post_act_fn'),
      condProjDim: read.countOrNull('cond_proj_dim'),
    });
    return { block, run: x => block.forward(need(x, 'sample'), x.condition) };
  },
};

/** @throws InputError for a class that is no piece here, an unknown option, or weights that do not fit */
export async function verifyPiece(fixture: Fixture): Promise<CheckResult> {
  const { config, name, weights } = fixture;
  const make = PIECES[String(config._class_name)];
  if (!make || !weights) {
    throw new InputError(
      weights
        ? `Fixture ${name}: _class_name ${JSON.stringify(config._class_name)} is no known piece; known: ${Object.keys(PIECES).join(', ')}.`
        : `Fixture ${name} has no weights.safetensors.`,
      { code: 'verify.piece', name },
    );
  }
  const read = new ConfigReader(config, `fixture ${name}`, 'piece');
  const { block, run } = make(read, fixture);
  read.finish();
  await block.loadStateDict(weights);
  try {
    const checks = checkModel(fixture, { block, run, output: 'out' });
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    block.dispose();
  }
}
