/** Reading config files: YAML with the place of every value, and the `extends` chain. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { InputError } from '../errors.js';
import { nearest } from './nearest.js';
import { type Path, pointer } from './paths.js';
import { emptyLayer, isTree, type Layer, mergeLayer, type Origin, type Tree } from './tree.js';

/** A file and everything it extends, merged; `files` from the one named to the most basic. */
export interface LoadedFiles extends Layer {
  files: string[];
}

/**
 * Reads `file` and the chain of configs that it extends, each relative to the file that names it.
 * @throws InputError `config.not-found`, `config.unreadable`, `config.syntax`, `config.not-a-map`, `config.extends`
 */
export function readConfigFiles(file: string): LoadedFiles {
  const chain: Layer[] = [];
  const files: string[] = [];
  let next: string | undefined = file;
  let from = '';
  while (next !== undefined) {
    const cycle = files.findIndex(known => path.resolve(known) === path.resolve(next!));
    if (cycle >= 0) {
      const loop = [...files.slice(cycle), next].join(' -> ');
      throw new InputError(`${from}: extends goes in a circle: ${loop}; remove one of them`, {
        code: 'config.extends',
        files,
      });
    }
    const layer = readLayer(next, from);
    files.push(next);
    chain.push(layer);
    const parent: unknown = layer.tree.extends;
    delete layer.tree.extends;
    if (parent === undefined || parent === null) break;
    from = whereOf(layer.origins.value.get('/extends'));
    if (typeof parent !== 'string' || parent === '') {
      throw new InputError(
        `${from}: extends is ${JSON.stringify(parent)}; allowed: the path of one config, relative to this file`,
        {
          code: 'config.extends',
          value: parent,
        },
      );
    }
    next = path.isAbsolute(parent) ? parent : path.join(path.dirname(next), parent);
  }
  const merged = emptyLayer();
  for (const layer of chain.reverse()) mergeLayer(merged, layer);
  merged.origins.key.delete('/extends');
  return { ...merged, files };
}

function whereOf(origin: Origin | undefined): string {
  return origin?.kind === 'file' ? `${origin.file}:${origin.line}:${origin.column}` : '';
}

function readLayer(file: string, from: string): Layer {
  const text = readText(file, from);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0];
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0]);
    const reason = problem.message.split('\n')[0]!.replace(/:$/, '');
    throw new InputError(`${file}:${line}:${col}: not valid YAML: ${reason}`, {
      code: 'config.syntax',
      file,
      line,
      column: col,
    });
  }
  let value: unknown;
  try {
    value = document.toJS() ?? {};
  } catch (error) {
    throw new InputError(
      `${file}: not valid YAML: ${(error as Error).message}`,
      { code: 'config.syntax', file },
      error,
    );
  }
  if (!isTree(value)) {
    throw new InputError(
      `${file}: a config is a map of keys and values, this is ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`,
      {
        code: 'config.not-a-map',
        file,
      },
    );
  }
  const layer: Layer = { ...emptyLayer(), tree: value };
  const place = (node: Node): Origin => {
    const { line, col } = lines.linePos(node.range?.[0] ?? 0);
    return { kind: 'file', file, line, column: col };
  };
  const visit = (node: unknown, at: Path): void => {
    if (!isNode(node)) return;
    layer.origins.value.set(pointer(at), place(node));
    const target = isAlias(node) ? node.resolve(document) : node;
    if (isMap(target)) {
      for (const { key, value: child } of target.items) {
        const name = String(isScalar(key) ? key.value : key);
        if (isNode(key)) layer.origins.key.set(pointer([...at, name]), place(key));
        visit(child, [...at, name]);
      }
    } else if (isSeq(target)) {
      target.items.forEach((child, i) => {
        visit(child, [...at, String(i)]);
      });
    }
  };
  visit(document.contents, []);
  return layer;
}

function readText(file: string, from: string): string {
  const context = from ? `${from}: extends ` : '';
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EISDIR') {
      const inside = path.join(file, 'config.yaml');
      throw new InputError(`${context}${file} is a folder, not a config; a run folder's config is ${inside}`, {
        code: 'config.not-found',
        file,
      });
    }
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      throw new InputError(
        `${context}${file} cannot be read: ${(error as Error).message}`,
        { code: 'config.unreadable', file },
        error,
      );
    }
    const near = neighbour(file);
    const hint = near ? `; did you mean ${near}?` : `; paths are relative to ${process.cwd()}`;
    throw new InputError(`${context}${file}: no such config${hint}`, { code: 'config.not-found', file });
  }
}

/** An existing YAML file in the same folder with nearly the same name. */
function neighbour(file: string): string | undefined {
  const folder = path.dirname(file);
  try {
    const names = readdirSync(folder).filter(name => /\.ya?ml$/.test(name));
    const bare = (name: string) => name.replace(/\.ya?ml$/, '');
    const found = nearest(bare(path.basename(file)), names.map(bare));
    const name = names.find(candidate => bare(candidate) === found);
    return name && path.join(folder, name);
  } catch {
    return undefined;
  }
}

/** The same values as a layer whose origin is the caller. */
export function layerOf(tree: Tree, origin: Origin): Layer {
  const layer: Layer = { ...emptyLayer(), tree };
  const visit = (value: unknown, at: Path): void => {
    layer.origins.value.set(pointer(at), origin);
    if (isTree(value) || Array.isArray(value)) {
      for (const [key, child] of Object.entries(value)) visit(child, [...at, key]);
    }
  };
  for (const [key, value] of Object.entries(tree)) visit(value, [key]);
  return layer;
}
