/** Opens a text encoder with its tokenizer: which model it is, whether it fits in memory, whether the two belong together. */
import { join } from 'node:path';
import { tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { type JsonObject, readModelConfig } from '../weights/pretrained.js';
import { CLIPTextModel } from './clip-text.js';
import type { TextFolders } from './folders.js';
import { StreamedT5Encoder } from './streamed-t5.js';
import { T5EncoderModel } from './t5.js';
import type { StreamedTextEncoder, TextEncoder } from './text-encoder.js';
import { Tokenizer } from './tokenizer.js';

/** Encoders of more float32 bytes than this are streamed unless told otherwise. */
export const STREAM_ABOVE_BYTES = 2e9;

/** T5 conditions Show-1's pixel stages, CLIP its latent one. */
export type TextFamily = 't5' | 'clip';

export interface OpenTextOptions {
  /** Read the weights from disk layer by layer at every use: needs little memory, works for T5 (default `auto`: above 2 GB). */
  stream?: 'auto' | boolean;
  /** Prefer `model.<variant>.safetensors`, as `fp16`. */
  variant?: string;
}

export interface OpenedText {
  family: TextFamily;
  encoder: TextEncoder | StreamedTextEncoder;
  tokenizer: Tokenizer;
  /** Most tokens that the encoder takes; T5 has no limit. */
  limit: number;
}

/** What a tokenizer must agree with. */
interface Expected {
  vocabSize: number;
  /** What the tokenizer makes of an empty text. */
  empty: { is(ids: number[]): boolean; words: string };
  padId?: number;
}

/**
 * Opens both; whatever is quick to check comes before weights are read.
 * @throws InputError when a folder, file or tensor is missing or broken, when the encoder is of another kind than T5 or
 * CLIP, or when the tokenizer belongs to another model
 */
export async function openTextEncoder(
  folders: TextFolders,
  { stream = 'auto', variant }: OpenTextOptions = {},
): Promise<OpenedText> {
  const dir = folders.encoder;
  const json = readModelConfig(dir);
  const source = join(dir, 'config.json');
  const family = textFamily(json, source);
  if (family === 'clip') {
    const model = new CLIPTextModel(json, { source });
    if (stream === true) {
      throw new InputError(
        `${dir} holds a CLIP text encoder; only T5 can be streamed from disk. Leave "stream" out: CLIP needs little memory.`,
        { code: 'text.stream', family },
      );
    }
    const tokenizer = openTokenizer(folders, clipTokens(model));
    const encoder = clipEncoder(await CLIPTextModel.fromPretrained(dir, { variant }));
    return { family, encoder, tokenizer, limit: model.maxLength };
  }
  const model = new T5EncoderModel(json); // names and sizes only
  const tokenizer = openTokenizer(folders, t5Tokens(model.config.vocabSize, json));
  const streams = stream === 'auto' ? 4 * model.countParams() > STREAM_ABOVE_BYTES : stream;
  const encoder = streams
    ? await StreamedT5Encoder.fromPretrained(dir, { variant })
    : await T5EncoderModel.fromPretrained(dir, { variant });
  return { family, encoder, tokenizer, limit: Number.POSITIVE_INFINITY };
}

/**
 * Checks what `openTextEncoder` would load, without reading weights.
 * @returns the width of the embeddings
 * @throws InputError as it does
 */
export function inspectTextEncoder(folders: TextFolders): number {
  const dir = folders.encoder;
  const json = readModelConfig(dir);
  if (textFamily(json, join(dir, 'config.json')) === 'clip') {
    const model = CLIPTextModel.inspect(dir);
    openTokenizer(folders, clipTokens(model));
    return model.width;
  }
  const model = T5EncoderModel.inspect(dir);
  openTokenizer(folders, t5Tokens(model.config.vocabSize, json));
  return model.width;
}

/**
 * Which encoder a transformers config describes, by `model_type` or else `architectures`.
 * @throws InputError when it is neither T5 nor CLIP
 */
export function textFamily({ model_type: type, architectures }: JsonObject, source = 'config.json'): TextFamily {
  const architecture = String([architectures].flat()[0] ?? '');
  if (type === 't5' || (type === undefined && architecture.startsWith('T5'))) return 't5';
  if (type === 'clip_text_model' || type === 'clip') return 'clip';
  if (type === undefined && /^CLIP(Text)?Model/.test(architecture)) return 'clip';
  const found = type === undefined && !architecture ? 'names no model_type' : `describes ${type ?? architecture}`;
  throw new InputError(
    `${source} ${found}; text encoders that work here are T5 (model_type "t5") and CLIP ("clip_text_model", or "clip" ` +
      'for a whole one). Give the text encoder that the UNet was trained with.',
    { code: 'text.family', type, architecture },
  );
}

/** CLIP as Stable Diffusion's pipelines use it: the last hidden states; no mask unless the config asks for one. */
function clipEncoder(model: CLIPTextModel): TextEncoder {
  const masked = model.configJson().use_attention_mask === true;
  return {
    width: model.width,
    forward: (ids, mask) => tf.tidy(() => model.forward(ids, masked ? mask : null).lastHiddenState),
    dispose: () => model.dispose(),
  };
}

function t5Tokens(vocabSize: number, { eos_token_id: eos = 1, pad_token_id: pad = 0 }: JsonObject): Expected {
  const empty = { is: (ids: number[]) => ids.join() === String(eos), words: `the end token alone (${eos})` };
  return { vocabSize, empty, padId: typeof pad === 'number' ? pad : undefined };
}

function clipTokens({ config: { vocabSize, eosTokenId } }: CLIPTextModel): Expected {
  const ends = (id: number) => eosTokenId === null || id === eosTokenId;
  const is = (ids: number[]) => ids.length === 2 && ids[0] !== ids[1] && ends(ids[1]!);
  return {
    vocabSize,
    empty: { is, words: `a start and an end token${eosTokenId === null ? '' : ` (${eosTokenId})`}` },
  };
}

/** Opens the tokenizer and compares it with what the encoder expects. @throws InputError when they differ */
function openTokenizer({ encoder, tokenizer: dir }: TextFolders, { vocabSize, empty, padId }: Expected): Tokenizer {
  const tokenizer = Tokenizer.fromPretrained(dir);
  const wrong: string[] = [];
  if (tokenizer.vocabSize > vocabSize) {
    wrong.push(`the tokenizer has ${tokenizer.vocabSize} tokens, the encoder only ${vocabSize}`);
  }
  const ids = tokenizer.ids('');
  if (!empty.is(ids)) {
    wrong.push(
      `of an empty text the tokenizer makes the tokens [${ids.join(', ')}], the encoder expects ${empty.words}`,
    );
  }
  if (padId !== undefined && tokenizer.padId !== padId) {
    wrong.push(`the tokenizer pads with token ${tokenizer.padId}, the encoder expects ${padId}`);
  }
  if (wrong.length === 0) return tokenizer;
  throw new InputError(
    `The tokenizer ${dir} and the text encoder ${encoder} belong to different models: ${wrong.join('; ')}. ` +
      'Use the tokenizer that came with the encoder.',
    { code: 'text.tokenizer', tokenizer: dir, encoder, wrong },
  );
}
