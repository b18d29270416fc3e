/** Walking the schema: which schema stands at a path, which paths exist, what a schema allows in words. */
import type { TSchema } from '@sinclair/typebox';
import { ConfigSchema } from './schema.js';

/** Keys and indices from the root, e.g. `['validate', 'prompts', '0']`. */
export type Path = readonly string[];

/** The JSON-schema keywords that this config uses. */
export interface Schema extends TSchema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema | Schema[];
  anyOf?: Schema[];
  enum?: string[];
  required?: string[];
  additionalProperties?: boolean;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  minLength?: number;
}

const ROOT = ConfigSchema as unknown as Schema;

/** Where a path leads: a known field, somewhere inside a free-form object (whose keys are not ours), or nowhere. */
export type Lookup = { kind: 'field'; schema: Schema } | { kind: 'free' } | { kind: 'unknown' };

export function lookup(path: Path): Lookup {
  let schema = ROOT;
  for (const key of path) {
    const options: Schema[] = schema.anyOf ?? [schema];
    const object = options.find(option => option.type === 'object');
    const array = options.find(option => option.type === 'array');
    let next: Schema | undefined;
    if (object?.properties && Object.hasOwn(object.properties, key)) next = object.properties[key];
    else if (object && object.additionalProperties !== false) return { kind: 'free' };
    else if (array && /^\d+$/.test(key)) next = Array.isArray(array.items) ? array.items[Number(key)] : array.items;
    if (!next) return { kind: 'unknown' };
    schema = next;
  }
  return { kind: 'field', schema };
}

export interface Field {
  path: Path;
  schema: Schema;
  /** It has no default and must be written. */
  required: boolean;
}

/** Every field of the schema, sections before what they hold. */
export function fields(): Field[] {
  const found: Field[] = [];
  const walk = (schema: Schema, path: Path): void => {
    for (const [key, child] of Object.entries(schema.properties ?? {})) {
      const required = (schema.required ?? []).includes(key) && child.default === undefined;
      found.push({ path: [...path, key], schema: child, required });
      walk(child, [...path, key]);
    }
  };
  walk(ROOT, []);
  return found;
}

/** Dotted, as users write it: `validate.prompts.0`. */
export function dotted(path: Path): string {
  return path.join('.');
}

/** JSON pointer, as ajv writes it: `/validate/prompts/0`. */
export function pointer(path: Path): string {
  return path.map(key => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** The path behind a JSON pointer. */
export function fromPointer(jsonPointer: string): string[] {
  return jsonPointer
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** What a schema allows, in words: "a whole number, at least 1", "one of fp32, bf16". */
export function describeAllowed(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(describeAllowed).join(' or ');
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  switch (schema.type) {
    case 'integer':
      return `a whole number${describeRange(schema)}`;
    case 'number':
      return `a number${describeRange(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return schema.minLength ? 'text, not empty' : 'text';
    case 'array':
      if (Array.isArray(schema.items))
        return `a list of ${schema.items.length}: ${schema.items.map(describeAllowed).join('; ')}`;
      return `a list, each entry ${schema.items ? describeAllowed(schema.items) : 'anything'}`;
    default:
      return schema.properties
        ? `a section with the keys ${Object.keys(schema.properties).join(', ')}`
        : 'a section of keys and values';
  }
}

function describeRange({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  const bounds: string[] = [];
  if (minimum !== undefined) bounds.push(`at least ${minimum}`);
  if (exclusiveMinimum !== undefined) bounds.push(`above ${exclusiveMinimum}`);
  if (maximum !== undefined) bounds.push(`at most ${maximum}`);
  if (exclusiveMaximum !== undefined) bounds.push(`below ${exclusiveMaximum}`);
  return bounds.length > 0 ? `, ${bounds.join(' and ')}` : '';
}
