/** A config being put together: plain values, and for every value where it was written. */
import { lookup, type Path, pointer } from './paths.js';

export type Tree = { [key: string]: unknown };

/** Where a value was written. */
export type Origin =
  | { kind: 'file'; file: string; line: number; column: number }
  | { kind: 'set'; argument: string }
  | { kind: 'argument' };

/** Origins by JSON pointer: of the value, and of its key where that is another place. */
export interface Origins {
  value: Map<string, Origin>;
  key: Map<string, Origin>;
}

/** One source of values: a file, a `--set`, an object. */
export interface Layer {
  tree: Tree;
  origins: Origins;
}

export function emptyLayer(): Layer {
  return { tree: {}, origins: { value: new Map(), key: new Map() } };
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** "configs/base.yaml:12:5", "--set train.steps=0", "the call". */
export function describeOrigin(origin: Origin | undefined): string {
  if (origin?.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`;
  if (origin?.kind === 'set') return `--set ${origin.argument}`;
  return 'the call';
}

/**
 * Puts `layer` over `base`, in place: sections merge key by key, everything else (lists too) is replaced.
 * A null in a known place takes the inherited value away, so that the default returns; inside free-form objects
 * (diffusers configs) null is a value like any other.
 */
export function mergeLayer(base: Layer, layer: Layer): void {
  mergeInto(base, layer, base.tree, layer.tree, []);
}

function mergeInto(base: Layer, layer: Layer, target: Tree, source: Tree, path: Path): void {
  for (const [key, value] of Object.entries(source)) {
    const here = [...path, key];
    const at = pointer(here);
    const current = Object.hasOwn(target, key) ? target[key] : undefined;
    if (value === null && lookup(here).kind === 'field') {
      delete target[key];
      forget(base.origins, at);
      continue;
    }
    const intoSection = isTree(value) && isTree(current);
    if (!intoSection) forget(base.origins, at);
    copyOrigin(base.origins, layer.origins, at);
    if (isTree(value)) {
      const child = intoSection ? current : {};
      assign(target, key, child);
      mergeInto(base, layer, child, value, here);
    } else {
      assign(target, key, structuredClone(value));
      copyBelow(base.origins, layer.origins, at);
    }
  }
}

/** Plain assignment, except that a key named `__proto__` stays an ordinary (unknown) key. */
export function assign(target: Tree, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function forget(origins: Origins, at: string): void {
  for (const map of [origins.value, origins.key]) {
    for (const known of map.keys()) if (known === at || known.startsWith(`${at}/`)) map.delete(known);
  }
}

function copyOrigin(to: Origins, from: Origins, at: string): void {
  const value = from.value.get(at);
  const key = from.key.get(at);
  if (value) to.value.set(at, value);
  if (key) to.key.set(at, key);
}

function copyBelow(to: Origins, from: Origins, at: string): void {
  for (const [known, origin] of from.value) if (known.startsWith(`${at}/`)) to.value.set(known, origin);
}

/** The nearest origin known for a path: its own, else that of the section around it. */
export function originOf(origins: Origins, path: Path, which: 'key' | 'value' = 'value'): Origin | undefined {
  for (let depth = path.length; depth >= 0; depth--) {
    const at = pointer(path.slice(0, depth));
    const own = which === 'key' || depth < path.length ? origins.key.get(at) : undefined;
    const origin = own ?? origins.value.get(at);
    if (origin) return origin;
  }
  return undefined;
}
