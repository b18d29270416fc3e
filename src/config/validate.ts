/** ajv over the schema: fills defaults in and turns what it finds into messages a user can act on. */
import { Ajv, type ErrorObject } from 'ajv';
import { InputError } from '../errors.js';
import { nearestPath } from './nearest.js';
import { describeAllowed, dotted, fields, fromPointer, lookup, type Path, type Schema } from './paths.js';
import { type Config, ConfigSchema } from './schema.js';
import { describeOrigin, type Layer, type Origin, originOf } from './tree.js';

/** One thing wrong with a config. */
export interface Problem {
  code: 'config.unknown-key' | 'config.invalid-value' | 'config.missing' | 'config.conflict';
  /** Dotted path of the key. */
  path: string;
  message: string;
  /** File and place, or the `--set`, that the value came from. */
  origin?: Origin;
  value?: unknown;
  /** The key that was probably meant. */
  suggestion?: string;
}

const MOST_SHOWN = 10;

const ajv = new Ajv({ allErrors: true, useDefaults: true, verbose: true });
const check = ajv.compile(ConfigSchema);

/**
 * Fills the defaults into `layer.tree` in place and lists everything wrong with it, unknown keys first.
 * `file` is named where something is missing.
 */
export function findProblems(layer: Layer, file: string | undefined): Problem[] {
  if (check(layer.tree)) return [];
  const errors = check.errors ?? [];
  const unions = errors.filter(error => error.keyword === 'anyOf').map(error => `${error.schemaPath}/`);
  const own = errors.filter(error => !unions.some(union => error.schemaPath.startsWith(union)));
  const problems = own.map(error => describe(error, layer, file));
  const seen = new Set<string>();
  const distinct = problems.filter(({ code, path }) => !seen.has(`${code} ${path}`) && seen.add(`${code} ${path}`));
  const rank = (problem: Problem) => (problem.code === 'config.unknown-key' ? 0 : 1);
  return distinct.sort((a, b) => rank(a) - rank(b));
}

/** The tree as a `Config`, once nothing is wrong with it. */
export function asConfig(layer: Layer): Config {
  return layer.tree as Config;
}

/** @throws InputError naming every problem; its code is that of the first, its data lists all. */
export function throwProblems(problems: Problem[], file: string | undefined): never {
  const lines = problems.slice(0, MOST_SHOWN).map(problem => problem.message);
  if (problems.length > MOST_SHOWN) lines.push(`and ${problems.length - MOST_SHOWN} more`);
  const first = problems[0]!;
  const message =
    lines.length === 1 ? lines[0]! : `${problems.length} problems in ${file ?? 'the config'}:\n  ${lines.join('\n  ')}`;
  throw new InputError(message, { code: first.code, problems });
}

function describe(error: ErrorObject, layer: Layer, file: string | undefined): Problem {
  const path = fromPointer(error.instancePath);
  if (error.keyword === 'additionalProperties') return unknownKey([...path, error.params.additionalProperty], layer);
  if (error.keyword === 'required') return missing([...path, error.params.missingProperty], file);
  const found = lookup(path);
  const schema = found.kind === 'field' ? found.schema : (error.parentSchema as Schema);
  const origin = originOf(layer.origins, path);
  const about = found.kind === 'field' && schema.description ? `. ${schema.description}` : '';
  return {
    code: 'config.invalid-value',
    path: dotted(path),
    value: error.data,
    origin,
    message: `${describeOrigin(origin)}: ${dotted(path) || 'the config'} is ${show(error.data)}; allowed: ${describeAllowed(schema)}${about}`,
  };
}

function unknownKey(path: Path, layer: Layer): Problem {
  const origin = originOf(layer.origins, path, 'key');
  const suggestion = nearestPath(
    dotted(path),
    fields().map(field => dotted(field.path)),
  );
  const parent = lookup(path.slice(0, -1));
  const keys = Object.keys((parent.kind === 'field' && parent.schema.properties) || ConfigSchema.properties);
  const section = dotted(path.slice(0, -1)) || 'a config';
  const hint = suggestion ? `did you mean ${suggestion}?` : `${section} has the keys ${keys.join(', ')}`;
  return {
    code: 'config.unknown-key',
    path: dotted(path),
    origin,
    suggestion,
    message: `${describeOrigin(origin)}: unknown key ${dotted(path)}; ${hint}`,
  };
}

function missing(path: Path, file: string | undefined): Problem {
  const found = lookup(path);
  const schema = found.kind === 'field' ? found.schema : ({} as Schema);
  const name = dotted(path);
  const about = schema.description ? ` (${schema.description})` : '';
  const fix = file ? `write it there or pass --set ${name}=…` : 'give it';
  return {
    code: 'config.missing',
    path: name,
    message: `${file ?? 'the config'}: ${name} is missing${about}; ${fix}; allowed: ${describeAllowed(schema)}`,
  };
}

/** A value as the user would recognise it, cut when long. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
