/**
 * Small constructors for the config schema: each field has one description, one default and one range,
 * from which types, validation, error messages and the editors' JSON schema all follow.
 */
import { type TProperties, type TSchema, type TUnsafe, Type } from '@sinclair/typebox';

/** A group of keys; keys it does not name are errors. It may be left out altogether: its own defaults then apply. */
export function section<P extends TProperties>(description: string, properties: P) {
  return Type.Object(properties, { description, additionalProperties: false, default: {} });
}

/** A group that exists only when it is written (no default), with defaults inside it. */
export function optionalSection<P extends TProperties>(description: string, properties: P) {
  return Type.Optional(Type.Object(properties, { description, additionalProperties: false }));
}

/** A whole number; with no `minimum` it is at least 0. */
export function int(description: string, value: number, range: { minimum?: number; maximum?: number } = {}) {
  return Type.Integer({ description, default: value, minimum: 0, ...range });
}

export interface NumberRange {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

/** A real number. */
export function num(description: string, value: number, range: NumberRange = {}) {
  return Type.Number({ description, default: value, ...range });
}

/** true or false. */
export function flag(description: string, value: boolean) {
  return Type.Boolean({ description, default: value });
}

/** Non-empty text without a default: wrap it in `Type.Optional` unless it must be given. */
export function text(description: string) {
  return Type.String({ description, minLength: 1 });
}

/** One of a few names. A plain JSON-schema `enum`, so that errors can list the names. */
export function oneOf<const T extends readonly string[]>(description: string, names: T): TUnsafe<T[number]>;
export function oneOf<const T extends readonly string[]>(
  description: string,
  names: T,
  value: T[number],
): TUnsafe<T[number]>;
export function oneOf(description: string, names: readonly string[], value?: string): TUnsafe<string> {
  const fallback = value === undefined ? {} : { default: value };
  return Type.Unsafe<string>({ type: 'string', enum: [...names], description, ...fallback });
}

/** A list; `value` is its default. */
export function list<T extends TSchema>(description: string, items: T, value: unknown[] = []) {
  return Type.Array(items, { description, default: value });
}
