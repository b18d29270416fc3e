/** The config of a T5 encoder, as transformers writes it. */
import { InputError } from '../../errors.js';
import type { JsonObject } from '../weights/pretrained.js';

/** Pointwise functions that a feed-forward layer may use, by transformers' names. */
export const T5_ACTIVATIONS = ['relu', 'gelu', 'gelu_new', 'gelu_pytorch_tanh', 'silu', 'swish'] as const;
export type T5Activation = (typeof T5_ACTIVATIONS)[number];

export interface T5Config {
  vocabSize: number;
  /** Width of the hidden states. */
  dModel: number;
  /** Width of one head; heads × dKv need not be dModel. */
  dKv: number;
  dFf: number;
  numLayers: number;
  numHeads: number;
  relativeAttentionNumBuckets: number;
  relativeAttentionMaxDistance: number;
  layerNormEpsilon: number;
  activation: T5Activation;
  /** Gated feed-forward (T5 1.1): act(wi_0 x) · wi_1 x; else act(wi x). */
  gated: boolean;
}

/**
 * Reads transformers' T5 config. Keys that only the decoder or generation use are ignored.
 * @throws InputError naming the key that is missing or wrong
 */
export function parseT5Config(json: JsonObject): T5Config {
  const fail = (key: string, what: string) =>
    new InputError(`The T5 config's "${key}" is ${JSON.stringify(json[key])}; ${what}.`, { code: 't5.config', key });
  const count = (key: string, fallback?: number): number => {
    const value = json[key] ?? fallback;
    if (!Number.isInteger(value) || (value as number) < 1) throw fail(key, 'a whole number from 1 is needed');
    return value as number;
  };
  if (json.model_type !== undefined && json.model_type !== 't5') {
    throw fail('model_type', 'only "t5" can be built here: is this the config of another text encoder?');
  }
  const epsilon = json.layer_norm_epsilon ?? 1e-6;
  if (typeof epsilon !== 'number' || !(epsilon > 0)) throw fail('layer_norm_epsilon', 'a positive number is needed');
  const proj = json.feed_forward_proj ?? 'relu';
  if (typeof proj !== 'string') throw fail('feed_forward_proj', 'a name as "gated-gelu" or "relu" is needed');
  // transformers derives both from feed_forward_proj unless the file spells them out; "gated-gelu" means the tanh form
  const gated = json.is_gated_act ?? proj.startsWith('gated-');
  const activation = json.dense_act_fn ?? (proj === 'gated-gelu' ? 'gelu_new' : proj.replace(/^gated-/, ''));
  if (!T5_ACTIVATIONS.includes(activation as T5Activation)) {
    throw fail(
      json.dense_act_fn === undefined ? 'feed_forward_proj' : 'dense_act_fn',
      `known are ${T5_ACTIVATIONS.join(', ')}`,
    );
  }
  const buckets = count('relative_attention_num_buckets', 32);
  const distance = count('relative_attention_max_distance', 128);
  if (buckets % 4 !== 0 || distance <= buckets / 4) {
    throw fail('relative_attention_num_buckets', 'a multiple of 4 is needed, below 4 times the maximum distance');
  }
  return {
    vocabSize: count('vocab_size'),
    dModel: count('d_model'),
    dKv: count('d_kv'),
    dFf: count('d_ff'),
    numLayers: count('num_layers'),
    numHeads: count('num_heads'),
    relativeAttentionNumBuckets: buckets,
    relativeAttentionMaxDistance: distance,
    layerNormEpsilon: epsilon,
    activation: activation as T5Activation,
    gated: Boolean(gated),
  };
}
