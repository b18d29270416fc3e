/** What the tokenizers of each file format have in common. */
import { InputError } from '../../errors.js';

/** Turns a text into ids. */
export interface TokenEncoder {
  /**
   * Ids of a text with the special ones around them. The text's own are cut at the end until all are at most `limit`
   * (default: no limit), so that the special ones stay, as transformers cuts.
   * @throws InputError when the special ones alone are more
   */
  encode(text: string, limit?: number): number[];
  /** A token's id, special and added ones included. */
  idOf(token: string): number | undefined;
  /** Number of ids: one more than the largest. */
  readonly vocabSize: number;
}

/** `ids` between special ones, `ids` cut so that all are at most `limit`. @throws InputError as `TokenEncoder.encode` */
export function surround(before: number[], ids: number[], after: number[], limit: number, where: string): number[] {
  const room = limit - before.length - after.length;
  if (room < 0) {
    throw new InputError(
      `maxLength ${limit} leaves no room for the ${limit - room} special tokens of ${where}. Use a larger one.`,
      { code: 'tokenizer.max-length', maxLength: limit },
    );
  }
  return [...before, ...(ids.length > room ? ids.slice(0, room) : ids), ...after];
}

/** The id of a special token. @throws InputError when the vocabulary lacks it */
export function specialId(encoder: Pick<TokenEncoder, 'idOf'>, key: string, token: string, where: string): number {
  const id = encoder.idOf(token);
  if (id !== undefined) return id;
  throw new InputError(
    `${where} has no token "${token}" (${key}). Name the right one in special_tokens_map.json or tokenizer_config.json beside it.`,
    { code: 'tokenizer.special-token', key, token },
  );
}
