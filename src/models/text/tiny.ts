/**
 * A small random T5 encoder with a tokenizer of its own, for tests and the quick start: it needs no download, and it is
 * saved as a pipeline's `text_encoder/` and `tokenizer/`, so that what was trained with it is read like any other model.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { type TextFolders, textFoldersIn } from './folders.js';
import { T5EncoderModel } from './t5.js';
import { SHOW1_MAX_LENGTH, Tokenizer } from './tokenizer.js';
import { buildWordTokenizer, SPECIAL_TOKENS } from './word-tokenizer.js';

export interface TinyTextOptions {
  /** Width of the embeddings (default 64). */
  dModel?: number;
  /** Default 2. */
  layers?: number;
  /** They share `dModel` evenly (default 4). */
  heads?: number;
  /** Default 128. */
  dFf?: number;
  /** Seed of the weights, which are never trained (default 0). */
  seed?: number;
  /** Most words kept (default 30,000). */
  maxWords?: number;
  /** Tokens a text is padded and cut to (default: what the longest caption needs, rounded up to 8, at most 77). */
  maxLength?: number;
}

/**
 * Writes `root/text_encoder` (config.json, model.safetensors) and `root/tokenizer` (tokenizer.json,
 * tokenizer_config.json). Equal captions and options give equal files.
 * @param captions every text whose words must be known
 * @returns the two folders
 * @throws InputError when there are no words, or the heads do not divide the width
 */
export async function createTinyTextEncoder(
  root: string,
  captions: readonly string[],
  { dModel = 64, layers = 2, heads = 4, dFf = 128, seed = 0, maxWords, maxLength }: TinyTextOptions = {},
): Promise<TextFolders> {
  if (dModel % heads !== 0) {
    throw new InputError(`The tiny text encoder's width ${dModel} does not divide into ${heads} heads.`, {
      code: 'text.tiny-heads',
      dModel,
      heads,
    });
  }
  const { definition, config } = buildWordTokenizer(captions, { maxWords, maxLength: SHOW1_MAX_LENGTH });
  const tokenizer = new Tokenizer(definition, config);
  const { vocabSize } = tokenizer;
  if (vocabSize === SPECIAL_TOKENS.length) {
    throw new InputError(
      `The tiny text encoder needs captions to learn words from; ${captions.length} were given, without any word.`,
      { code: 'text.tiny-captions', captions: captions.length },
    );
  }
  const needed = captions.reduce((most, caption) => Math.max(most, tokenizer.ids(caption).length), 0);
  config.model_max_length = maxLength ?? Math.min(SHOW1_MAX_LENGTH, Math.ceil(needed / 8) * 8);
  const folders = textFoldersIn(root);
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  await mkdir(folders.tokenizer, { recursive: true });
  await writeFile(join(folders.tokenizer, 'tokenizer.json'), json(definition));
  await writeFile(join(folders.tokenizer, 'tokenizer_config.json'), json(config));

  const encoder = new T5EncoderModel({
    model_type: 't5',
    vocab_size: vocabSize,
    d_model: dModel,
    d_kv: dModel / heads,
    d_ff: dFf,
    num_layers: layers,
    num_heads: heads,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
    feed_forward_proj: 'gated-gelu',
    pad_token_id: 0,
    eos_token_id: 1,
    is_encoder_decoder: false,
  });
  try {
    encoder.initialize(seed);
    await encoder.savePretrained(folders.encoder);
  } finally {
    encoder.dispose();
  }
  return folders;
}
