/** OpenAI's spelling of CLIP, which open_clip keeps, against transformers'. */
import { InputError } from '../../../errors.js';
import type { JsonObject } from '../../weights/pretrained.js';
import type { TensorEntry } from '../../weights/safetensors.js';
import type { WeightSource } from '../../weights/source.js';
import { commonPrefix } from './detect.js';

export const CLIP_ACTIVATIONS = ['quick_gelu', 'gelu'] as const;
/** OpenAI's weights use `quick_gelu`; most of open_clip's own, trained on LAION and others, `gelu`. */
export type ClipMetricActivation = (typeof CLIP_ACTIVATIONS)[number];

export type ClipLayoutName = 'openai' | 'open_clip' | 'transformers';

export interface ClipMatch {
  layout: ClipLayoutName;
  /** Our name's tensor, and what is done to it. */
  tensors: Map<string, { from: string; part?: 0 | 1 | 2; transposed?: boolean }>;
  unexpected: string[];
}

/** Buffers of OpenAI's TorchScript files and old transformers': not weights. */
const ASIDE = /(^|\.)(input_resolution|context_length|vocab_size|attn_mask|position_ids)$/;

const TOP: Record<string, string> = {
  logit_scale: 'logit_scale',
  positional_embedding: 'text_model.embeddings.position_embedding.weight',
  'token_embedding.weight': 'text_model.embeddings.token_embedding.weight',
  'ln_final.weight': 'text_model.final_layer_norm.weight',
  'ln_final.bias': 'text_model.final_layer_norm.bias',
  'visual.class_embedding': 'vision_model.embeddings.class_embedding',
  'visual.positional_embedding': 'vision_model.embeddings.position_embedding.weight',
  'visual.conv1.weight': 'vision_model.embeddings.patch_embedding.weight',
  'visual.ln_pre.weight': 'vision_model.pre_layrnorm.weight', // transformers' spelling
  'visual.ln_pre.bias': 'vision_model.pre_layrnorm.bias',
  'visual.ln_post.weight': 'vision_model.post_layernorm.weight',
  'visual.ln_post.bias': 'vision_model.post_layernorm.bias',
};
const PROJECTIONS: Record<string, string> = {
  text_projection: 'text_projection.weight',
  'visual.proj': 'visual_projection.weight',
};
const PARTS: Record<string, string> = {
  ln_1: 'layer_norm1',
  ln_2: 'layer_norm2',
  'attn.out_proj': 'self_attn.out_proj',
  'mlp.c_fc': 'mlp.fc1',
  'mlp.c_proj': 'mlp.fc2',
};
const BLOCK =
  /^(visual\.)?transformer\.resblocks\.(\d+)\.(ln_1|ln_2|attn\.out_proj|mlp\.c_fc|mlp\.c_proj)\.(weight|bias)$/;
const QKV = /^(visual\.)?transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$/;

/** Reads a checkpoint's names; null when it is no CLIP. */
export function matchClip(names: readonly string[]): ClipMatch | null {
  const prefix = commonPrefix(names);
  const plain = (tensor: string) => tensor.slice(prefix.length);
  const has = (name: string) => names.some(tensor => plain(tensor) === name);
  const match: ClipMatch = { layout: 'transformers', tensors: new Map(), unexpected: [] };
  if (has('visual.conv1.weight')) {
    // Only OpenAI's own files carry these three numbers.
    match.layout = names.some(name => name.endsWith('input_resolution')) ? 'openai' : 'open_clip';
    for (const tensor of names) {
      // Newer open_clip models keep the text tower in `text.`.
      if (!ASIDE.test(tensor) && !readOpenai(plain(tensor).replace(/^text\./, ''), tensor, match)) {
        match.unexpected.push(tensor);
      }
    }
    return match;
  }
  if (!has('vision_model.embeddings.class_embedding') || !has('text_projection.weight')) return null;
  for (const tensor of names) if (!ASIDE.test(tensor)) match.tensors.set(plain(tensor), { from: tensor });
  return match;
}

function readOpenai(name: string, from: string, { tensors }: ClipMatch): boolean {
  const tower = (visual: string | undefined) => `${visual ? 'vision' : 'text'}_model.encoder.layers`;
  const block = BLOCK.exec(name);
  const qkv = QKV.exec(name);
  if (TOP[name]) tensors.set(TOP[name], { from });
  else if (PROJECTIONS[name]) tensors.set(PROJECTIONS[name], { from, transposed: true });
  else if (block) tensors.set(`${tower(block[1])}.${block[2]}.${PARTS[block[3]!]}.${block[4]}`, { from });
  else if (qkv) {
    for (const [part, letter] of [...'qkv'].entries()) {
      tensors.set(`${tower(qkv[1])}.${qkv[2]}.self_attn.${letter}_proj.${qkv[3]}`, { from, part: part as 0 | 1 | 2 });
    }
  } else return false;
  return true;
}

/** Shape of one of our tensors. */
function shapeOf(
  source: WeightSource,
  { from, part, transposed }: { from: string; part?: number; transposed?: boolean },
) {
  const { shape } = source.info(from);
  if (part !== undefined) return [shape[0]! / 3, ...shape.slice(1)];
  return transposed ? [...shape].reverse() : shape;
}

/** Widths whose heads are not 64 wide: open_clip's ViT-H/14, g/14 and bigG/14, which have 16 of them. */
const WIDE_HEADS: Record<number, number> = { 1280: 80, 1408: 88, 1664: 104 };
const HEAD_WIDTH = 64;

/**
 * The config that the shapes tell; they do not tell the number of heads, which follows from the width.
 * @throws InputError when a tensor that tells a size is missing
 */
export function clipConfig(source: WeightSource, { tensors }: ClipMatch, activation: ClipMetricActivation): JsonObject {
  const shape = (name: string): number[] => {
    const tensor = tensors.get(name);
    if (tensor) return shapeOf(source, tensor);
    throw new InputError(`This looks like a CLIP, but its tensor for ${name} is missing: it is not a whole CLIP ViT.`, {
      code: 'convert.metrics-layout',
      missing: [name],
    });
  };
  const encoder = (tower: 'text' | 'vision', width: number) => {
    const layers = [...tensors.keys()].filter(
      name => name.startsWith(`${tower}_model.encoder.layers.`) && name.endsWith('.layer_norm1.weight'),
    );
    const first = `${tower}_model.encoder.layers.0.mlp.fc1.weight`;
    return {
      model_type: `clip_${tower}_model`,
      hidden_size: width,
      intermediate_size: shape(first)[0]!,
      num_hidden_layers: layers.length,
      num_attention_heads: Math.max(1, Math.round(width / ((tower === 'vision' && WIDE_HEADS[width]) || HEAD_WIDTH))),
      hidden_act: activation,
    };
  };
  const [vocab, textWidth] = shape('text_model.embeddings.token_embedding.weight') as [number, number];
  const [visionWidth, channels, patch] = shape('vision_model.embeddings.patch_embedding.weight') as [
    number,
    number,
    number,
  ];
  const [places] = shape('vision_model.embeddings.position_embedding.weight') as [number];
  return {
    architectures: ['CLIPModel'],
    model_type: 'clip',
    projection_dim: shape('visual_projection.weight')[0]!,
    text_config: {
      ...encoder('text', textWidth),
      vocab_size: vocab,
      max_position_embeddings: shape('text_model.embeddings.position_embedding.weight')[0]!,
      bos_token_id: vocab - 2,
      eos_token_id: vocab - 1, // the largest id, where OpenAI's code reads the text's feature
    },
    vision_config: {
      ...encoder('vision', visionWidth),
      num_channels: channels,
      image_size: patch * Math.round(Math.sqrt(places - 1)),
      patch_size: patch,
    },
  };
}

/** The tensors under transformers' names; each is read when it is its turn. */
export function clipEntries(source: WeightSource, { tensors }: ClipMatch): TensorEntry[] {
  return [...tensors].map(([name, tensor]) => {
    const shape = shapeOf(source, tensor);
    const data = async () => {
      const values = Float32Array.from(await source.read(tensor.from));
      if (tensor.part !== undefined) {
        const length = values.length / 3;
        return values.slice(tensor.part * length, (tensor.part + 1) * length);
      }
      if (!tensor.transposed) return values;
      const [rows, columns] = shape as [number, number];
      return values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)]!);
    };
    return { name, shape, data };
  });
}
