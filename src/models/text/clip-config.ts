/** The config of CLIP's text encoder, as transformers writes it: alone, or inside a whole CLIP's. */
import { InputError } from '../../errors.js';
import { ConfigReader } from '../unet3d/config-reader.js';
import type { JsonObject } from '../weights/pretrained.js';

/** Pointwise functions of the feed-forward layers, by transformers' names. */
export const CLIP_ACTIVATIONS = [
  'quick_gelu',
  'gelu',
  'gelu_python',
  'gelu_new',
  'gelu_fast',
  'gelu_accurate',
  'gelu_pytorch_tanh',
  'relu',
  'silu',
  'swish',
] as const;
export type ClipActivation = (typeof CLIP_ACTIVATIONS)[number];

/** What the transformers of the text and of the images have in common. */
export interface ClipEncoderConfig {
  /** Width of the hidden states. */
  hiddenSize: number;
  /** Inner width of the feed-forward layers. */
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  layerNormEps: number;
  activation: ClipActivation;
  /** Factor on the deviations of first values. */
  initializerFactor: number;
}

export interface ClipTextConfig extends ClipEncoderConfig {
  vocabSize: number;
  /** Most tokens of a text. */
  maxPositionEmbeddings: number;
  /** The id whose first place is pooled; null: the place of the largest id (OpenAI's rule). */
  eosTokenId: number | null;
}

/**
 * The keys of one tower: the config itself, or its part of a whole CLIP's config. Old files repeat a part as
 * `text_config_dict` (`vision_config_dict`); where that stands it counts alone, with defaults for what it leaves out, as in
 * transformers (`configuration_clip.py`).
 * @throws InputError when the config is another model's
 */
export function clipSection(json: JsonObject, tower: 'text' | 'vision', source: string): JsonObject {
  const type = json.model_type;
  const isWhole = type === 'clip' || (type === undefined && `${tower}_config` in json);
  const section = isWhole ? (json[`${tower}_config_dict`] ?? json[`${tower}_config`] ?? {}) : json;
  if (typeof section !== 'object' || Array.isArray(section)) {
    throw new InputError(`${source}: ${tower}_config is ${JSON.stringify(section)}; an object of options is needed.`, {
      code: 'clip.config',
      key: `${tower}_config`,
    });
  }
  const own = `clip_${tower}_model`;
  const sectionType = (section as JsonObject).model_type ?? own;
  if (sectionType !== own) {
    throw new InputError(
      `${source}: model_type is ${JSON.stringify(sectionType)}; allowed: "${own}", or "clip" for a whole CLIP. ` +
        'Is this the config of another model?',
      { code: 'clip.config', key: 'model_type', value: sectionType },
    );
  }
  return section as JsonObject;
}

/** Reads what both towers have. @throws InputError naming the key that is wrong */
export function readClipEncoder(
  options: ConfigReader,
  defaults: Pick<ClipEncoderConfig, 'hiddenSize' | 'intermediateSize' | 'numHeads'>,
): ClipEncoderConfig {
  const hiddenSize = options.count('hidden_size', defaults.hiddenSize);
  const numHeads = options.count('num_attention_heads', defaults.numHeads);
  const layerNormEps = options.number('layer_norm_eps', 1e-5);
  const fail = (key: string, value: number, what: string) =>
    new InputError(`${options.source}: ${key} is ${value}; ${what}.`, { code: 'clip.config', key, value });
  if (hiddenSize % numHeads !== 0) {
    throw fail('num_attention_heads', numHeads, `a divisor of hidden_size (${hiddenSize}) is needed`);
  }
  if (layerNormEps <= 0) throw fail('layer_norm_eps', layerNormEps, 'a positive number is needed');
  return {
    hiddenSize,
    intermediateSize: options.count('intermediate_size', defaults.intermediateSize),
    numLayers: options.count('num_hidden_layers', 12),
    numHeads,
    layerNormEps,
    activation: options.choice('hidden_act', CLIP_ACTIVATIONS, 'quick_gelu'),
    initializerFactor: options.number('initializer_factor', 1),
  };
}

/** End of text in OpenAI's vocabulary: transformers' default. */
const OPENAI_EOS = 49407;
/** What transformers wrote for every CLIP before 4.31, whatever its vocabulary: it means the largest id. */
const LEGACY_EOS = 2;

/**
 * Reads transformers' `CLIPTextConfig`, or the text part of a `CLIPConfig`; absent keys have transformers' defaults. Keys
 * that only generation uses are ignored.
 * @param source where it is from, for messages
 * @throws InputError naming the key that is wrong
 */
export function parseClipTextConfig(json: JsonObject, source = 'the CLIP text config'): ClipTextConfig {
  const section = clipSection(json, 'text', source);
  const options = new ConfigReader(section, source, 'CLIP text encoder');
  const encoder = readClipEncoder(options, { hiddenSize: 512, intermediateSize: 2048, numHeads: 8 });
  const vocabSize = options.count('vocab_size', 49408);
  const eos = section.eos_token_id ?? (OPENAI_EOS < vocabSize ? OPENAI_EOS : LEGACY_EOS);
  if (!Number.isInteger(eos)) {
    throw new InputError(`${source}: eos_token_id is ${JSON.stringify(eos)}; one whole number is needed.`, {
      code: 'clip.config',
      key: 'eos_token_id',
      value: eos,
    });
  }
  return {
    ...encoder,
    vocabSize,
    maxPositionEmbeddings: options.count('max_position_embeddings', 77),
    eosTokenId: eos === LEGACY_EOS ? null : (eos as number),
  };
}
