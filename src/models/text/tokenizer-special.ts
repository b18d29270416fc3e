/** Special and added tokens: where transformers' config files name them, and how they divide a text. */
import type { JsonObject } from '../weights/pretrained.js';
import { stripEnd, stripStart } from './caption-cleaning-python.js';
import { specialId } from './tokenizer-encoder.js';

/** A token that is looked for in texts before anything else is done to them. */
export interface AddedToken {
  content: string;
  /** Where the files give it. */
  id?: number;
  /** Takes the space before it away. */
  lstrip: boolean;
  /** Takes the space behind it away. */
  rstrip: boolean;
}

const KEYS = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/** Configs write a special token as its text, or as an object that holds the text. */
export function tokenText(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'content' in value ? value.content : value;
}

/** `config` with every special token as its text. */
export function tokenTexts(config: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, key.endsWith('_token') ? tokenText(value) : value]),
  );
}

/**
 * One config out of the files beside a vocabulary. `special_tokens_map.json` wins over `tokenizer_config.json`, as in
 * transformers (Stable Diffusion 2 names its padding token "!" in the first and another one in the second), unless the
 * latter is of the newer format, whose `added_tokens_decoder` holds everything. `added_tokens.json` becomes part of
 * `added_tokens_decoder`; its tokens take the space around them away, as transformers' slow tokenizers had it.
 */
export function mergeConfigs(own: JsonObject, map: JsonObject, added: JsonObject): JsonObject {
  const entries = Object.entries(added).map(([content, id]) => [id, { content, lstrip: true, rstrip: true }]);
  const config = 'added_tokens_decoder' in own ? { ...map, ...own } : { ...own, ...map };
  if (entries.length === 0) return config;
  return { ...config, added_tokens_decoder: { ...Object.fromEntries(entries), ...object(own.added_tokens_decoder) } };
}

/**
 * Every token of a config that must not be split. Of several entries for one token the most detailed one counts; one
 * that is only a text takes the space around it away (transformers 4.29's slow tokenizers).
 */
export function addedTokens(config: JsonObject): AddedToken[] {
  const found = new Map<string, AddedToken>();
  const add = (value: unknown, id?: number) => {
    const content = tokenText(value);
    if (typeof content !== 'string' || content === '') return;
    const before = found.get(content);
    const flags = value === content ? before : object(value);
    found.set(content, {
      content,
      id: before?.id ?? id,
      lstrip: flags ? flags.lstrip === true : true,
      rstrip: flags ? flags.rstrip === true : true,
    });
  };
  for (const [id, value] of Object.entries(object(config.added_tokens_decoder))) add(value, Number(id));
  for (const key of KEYS) add(config[key]);
  if (Array.isArray(config.additional_special_tokens)) for (const token of config.additional_special_tokens) add(token);
  return [...found.values()];
}

/** Tokens by name, as a config has them (`pad_token: …`). */
export type NamedTokens = Record<string, unknown>;

/**
 * Gives an id to every token that the vocabulary lacks: its own, or the next free one.
 * @param idOf what is known already
 * @param add takes a token in
 * @param size ids in use, as one more than the largest
 * @param needed tokens that must have an id of their own, as the vocabulary knows no place for them
 * @returns ids in use thereafter
 * @throws InputError when one that is needed has none
 */
export function assignIds(
  tokens: readonly AddedToken[],
  { idOf, add }: { idOf: (token: string) => number | undefined; add: (token: string, id: number) => void },
  size: number,
  needed: NamedTokens,
  where: string,
): number {
  let next = size;
  const assign = (content: string, id: number) => {
    if (idOf(content) !== undefined) return;
    add(content, id);
    next = Math.max(next, id + 1);
  };
  for (const { content, id } of tokens) if (id !== undefined) assign(content, id);
  for (const [key, token] of Object.entries(needed)) specialId({ idOf }, key, String(tokenText(token)), where);
  for (const { content } of tokens) assign(content, next);
  return next;
}

/** A stretch of a text: a token with its id, or text between tokens. */
export type TextPart = { id: number } | { text: string };

/** Cuts texts at tokens: the leftmost first, of those that begin together the longest. */
export class TokenSplitter {
  private readonly tokens: Map<string, AddedToken & { id: number }>;
  private readonly pattern: RegExp | null;

  constructor(tokens: readonly (AddedToken & { id: number })[]) {
    this.tokens = new Map(tokens.map(token => [token.content, token]));
    const longestFirst = [...this.tokens.keys()].sort((a, b) => b.length - a.length);
    const escaped = longestFirst.map(token => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
    this.pattern = escaped.length > 0 ? new RegExp(`(${escaped.join('|')})`, 'u') : null;
  }

  split(text: string): TextPart[] {
    if (!this.pattern) return text ? [{ text }] : [];
    const pieces = text.split(this.pattern); // text, token, text, …, text
    return pieces.flatMap((piece, i): TextPart[] => {
      if (i % 2 === 1) return [{ id: this.tokens.get(piece)!.id }];
      const afterToken = i > 0 && this.tokens.get(pieces[i - 1]!)!.rstrip;
      const beforeToken = i + 1 < pieces.length && this.tokens.get(pieces[i + 1]!)!.lstrip;
      let rest = afterToken ? stripStart(piece) : piece;
      if (beforeToken) rest = stripEnd(rest);
      return rest ? [{ text: rest }] : [];
    });
  }
}

const object = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null ? (value as JsonObject) : {};
