/** `--set a.b=value`: one dotted path, one YAML value, put over everything the files say. */
import { parseDocument } from 'yaml';
import { InputError } from '../errors.js';
import { layerOf } from './files.js';
import { dotted, lookup, type Path } from './paths.js';
import { assign, describeOrigin, isTree, type Layer, mergeLayer, type Origin, originOf, type Tree } from './tree.js';

/**
 * Applies one `--set` in place. The value is YAML (`1e-4`, `true`, `[a, b]`, `{x: 1}`), an empty one takes the key
 * away so that its default returns. A list entry is named by its index (`validate.prompts.0` or `validate.prompts[0]`);
 * the index after the last appends.
 * @throws InputError `config.set`
 */
export function applySet(base: Layer, argument: string): void {
  const equals = argument.indexOf('=');
  if (equals < 1) {
    throw new InputError(`--set ${argument}: allowed: KEY=VALUE, e.g. --set train.learningRate=1e-4`, {
      code: 'config.set',
      argument,
    });
  }
  const path = parsePath(argument.slice(0, equals), argument);
  const value = parseValue(argument.slice(equals + 1), argument);
  const origin: Origin = { kind: 'set', argument };
  mergeLayer(base, layerOf(nest(base, path, value, argument), origin));
}

function parsePath(written: string, argument: string): Path {
  const path = written.replace(/\[(\d+)\]/g, '.$1').split('.');
  if (path.some(key => key.trim() === '')) {
    throw new InputError(`--set ${argument}: '${written}' has an empty key; allowed: names joined by dots`, {
      code: 'config.set',
      argument,
    });
  }
  return path;
}

function parseValue(written: string, argument: string): unknown {
  const document = parseDocument(written, { prettyErrors: false });
  const problem = document.errors[0];
  let reason = problem?.message.split('\n')[0];
  if (!problem) {
    try {
      return document.toJS();
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  throw new InputError(
    `--set ${argument}: the value is not valid YAML (${reason}); quote text that begins with *, &, [, { or contains ': ', ` +
      `e.g. --set 'validate.prompts=["a red square"]'`,
    { code: 'config.set', argument },
  );
}

/** `a.b.c` and a value as the tree `{a: {b: {c: value}}}`; from a list on, the whole list with the one entry changed. */
function nest(base: Layer, path: Path, value: unknown, argument: string): Tree {
  const build = (current: unknown, depth: number): unknown => {
    const key = path[depth];
    if (key === undefined) return value;
    const here = path.slice(0, depth);
    const found = lookup(here);
    const existing = current ?? (found.kind === 'field' ? found.schema.default : undefined);
    const isList = Array.isArray(existing) || (found.kind === 'field' && found.schema.type === 'array');
    if (isList) return withEntry((existing ?? []) as unknown[], key, depth);
    if (current !== undefined && !isTree(current)) {
      const where = describeOrigin(originOf(base.origins, here));
      throw new InputError(
        `--set ${argument}: ${dotted(here)} is ${JSON.stringify(current)} (${where}), it has no key '${key}'; set ${dotted(here)} itself`,
        { code: 'config.set', argument },
      );
    }
    const tree: Tree = {};
    assign(tree, key, build(isTree(current) ? current[key] : undefined, depth + 1));
    return tree;
  };
  const withEntry = (list: unknown[], key: string, depth: number): unknown[] => {
    const index = Number(key);
    if (!/^\d+$/.test(key) || index > list.length) {
      throw new InputError(
        `--set ${argument}: '${key}' is not an entry of the list ${dotted(path.slice(0, depth))}; ` +
          `allowed: 0 to ${list.length}${list.length > 0 ? ` (${list.length} appends)` : ' (the list is empty)'}`,
        { code: 'config.set', argument },
      );
    }
    const copy = structuredClone(list);
    const entry = build(copy[index], depth + 1);
    copy[index] = isTree(copy[index]) && isTree(entry) ? { ...copy[index], ...entry } : entry;
    return copy;
  };
  return build(base.tree, 0) as Tree;
}
