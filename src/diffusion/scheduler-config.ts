/**
 * Reads scheduler configs: diffusers' snake_case JSON, or the same keys in camelCase. Every known key is checked; keys
 * that a scheduler does not know are kept and written back, as diffusers does.
 */
import { InputError } from '../errors.js';

/** One config key: its default and how a given value is checked. */
export interface Field<V> {
  default: V;
  /** What is allowed, in words, for the error message. */
  allowed: string;
  accepts(value: unknown): boolean;
  /** Checked, then kept as an unknown key is: not part of the config itself. */
  passThrough?: boolean;
}
export type Fields = Record<string, Field<any>>;
export type ConfigOf<F extends Fields> = { -readonly [K in keyof F]: F[K]['default'] };

const field = <V>(value: V, allowed: string, accepts: (value: unknown) => boolean): Field<V> => ({
  default: value,
  allowed,
  accepts,
});

export const boolean = (value: boolean): Field<boolean> => field(value, 'true or false', v => typeof v === 'boolean');

export const integer = (value: number, min: number): Field<number> =>
  field(value, `an integer >= ${min}`, v => Number.isInteger(v) && (v as number) >= min);

export const number = (value: number, allowed: string, accepts: (v: number) => boolean): Field<number> =>
  field(value, allowed, v => typeof v === 'number' && accepts(v));

/** One of the listed values; `defaults` is the one taken when the key is absent. */
export const oneOf = <const V>(values: readonly V[], defaults: NoInfer<V>): Field<V> =>
  field<V>(defaults, values.map(value => JSON.stringify(value)).join(', '), v => values.includes(v as V));

/** A list of finite numbers, or null. */
export const numbers = (): Field<number[] | null> =>
  field<number[] | null>(
    null,
    'a list of numbers or null',
    v => v === null || (Array.isArray(v) && v.length > 0 && v.every(Number.isFinite)),
  );

/** A later diffusers option whose only supported value is the behaviour of 0.19.3: anything else must not pass silently. */
export const only = (value: unknown): Field<undefined> => ({
  ...field<undefined>(undefined, JSON.stringify(value), v => v === value),
  passThrough: true,
});

/** `num_train_timesteps` -> `numTrainTimesteps`. */
export const camelCase = (key: string): string =>
  key.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, c: string) => c.toUpperCase());

/** `numTrainTimesteps` -> `num_train_timesteps`. */
export const snakeCase = (key: string): string => key.replace(/[A-Z]/g, c => `_${c.toLowerCase()}`);

export interface ParsedConfig<F extends Fields> {
  config: ConfigOf<F>;
  /** Keys the scheduler does not know, as they were given. */
  extra: Record<string, unknown>;
}

/**
 * Checks `json` against `fields`. Throws `InputError` naming key, value and what is allowed; `source` says where the
 * config is from. A key given in both spellings with different values is an error.
 */
export function parseConfig<F extends Fields>(
  fields: F,
  json: Record<string, unknown>,
  source: string,
): ParsedConfig<F> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InputError(`${source}: a scheduler config must be an object`, { code: 'diffusion.config', source });
  }
  const config: Record<string, unknown> = {};
  for (const [key, { default: value, passThrough }] of Object.entries(fields)) if (!passThrough) config[key] = value;
  const extra: Record<string, unknown> = {};
  const seen = new Map<string, unknown>();
  for (const [given, value] of Object.entries(json)) {
    const key = Object.hasOwn(fields, given) ? given : camelCase(given);
    const known = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (!known || value === undefined) {
      if (value !== undefined) extra[given] = value;
      continue;
    }
    if (!known.accepts(value)) {
      throw new InputError(
        `${source}: ${snakeCase(key)} is ${JSON.stringify(value) ?? String(value)}; allowed: ${known.allowed}`,
        { code: 'diffusion.config-value', source, key: snakeCase(key), value, allowed: known.allowed },
      );
    }
    if (known.passThrough) {
      extra[given] = value;
      continue;
    }
    if (seen.has(key) && JSON.stringify(seen.get(key)) !== JSON.stringify(value)) {
      throw new InputError(`${source}: ${snakeCase(key)} is given twice, as ${seen.get(key)} and as ${value}`, {
        code: 'diffusion.config-twice',
        source,
        key: snakeCase(key),
      });
    }
    seen.set(key, value);
    config[key] = value;
  }
  return { config: config as ConfigOf<F>, extra };
}

/** The config as diffusers' JSON: known keys in snake_case, then the kept ones. */
export function configToJson(config: object, extra: Record<string, unknown>): Record<string, unknown> {
  const known = Object.entries(config).map(([key, value]) => [snakeCase(key), value]);
  return { ...extra, ...Object.fromEntries(known) };
}
