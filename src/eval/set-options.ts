/** What may differ between the two sets of a comparison, and how it is written on the command line: `16`, or `real=16,generated=8`. */
import { InputError } from '../errors.js';

export const SIDES = ['real', 'generated'] as const;
export type Side = (typeof SIDES)[number];

/** One value for both sets, or one for each. */
export type PerSide<V> = V | Partial<Record<Side, V>>;

/** The value of one set. */
export function forSide<V>(value: PerSide<V> | undefined, side: Side): V | undefined {
  const isPerSide = typeof value === 'object' && value !== null && SIDES.some(name => name in value);
  return isPerSide ? (value as Partial<Record<Side, V>>)[side] : (value as V | undefined);
}

/**
 * Reads an option that both sets share or that names them.
 * @throws InputError naming the option and what is allowed
 */
export function perSide<V>(
  option: string,
  text: string | undefined,
  read: (word: string) => V | undefined,
  allowed: string,
): PerSide<V> | undefined {
  if (text === undefined) return undefined;
  const fail = (word: string, what: string): InputError =>
    new InputError(`--${option} ${text}: "${word}" is not ${what}`, { code: 'eval.option', option, value: text });
  const value = (word: string): V => {
    const found = read(word.trim());
    if (found === undefined) throw fail(word, allowed);
    return found;
  };
  if (!/^(real|generated)=/.test(text.trim())) return value(text);
  const entries = text.split(',').map(part => {
    const at = part.indexOf('=');
    const side = SIDES.find(name => name === part.slice(0, at).trim());
    if (!side) throw fail(part, `real=… or generated=…`);
    return [side, value(part.slice(at + 1))] as const;
  });
  return Object.fromEntries(entries) as Partial<Record<Side, V>>;
}
