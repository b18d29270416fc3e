/** Finds out what a checkpoint is by the names of its tensors. */
import { C3D } from '../c3d.js';
import { InceptionI3d } from '../i3d.js';
import { InceptionV3 } from '../inception-v3.js';
import { C3D_LAYOUTS } from './c3d.js';
import { I3D_LAYOUTS } from './i3d.js';
import { INCEPTION_LAYOUTS } from './inception.js';
import type { Role, Unit, UnitLayout, UnitTensor } from './layout.js';

export type ConvNetKind = 'i3d' | 'c3d' | 'inception-v3';

export const CONV_NETS = {
  i3d: { model: InceptionI3d, layouts: I3D_LAYOUTS, stem: ['Conv3d_1a_7x7', 64], norm: true },
  c3d: { model: C3D, layouts: C3D_LAYOUTS, stem: ['conv1', 64], norm: false },
  'inception-v3': { model: InceptionV3, layouts: INCEPTION_LAYOUTS, stem: ['Conv2d_1a_3x3', 32], norm: true },
} as const satisfies Record<ConvNetKind, object>;

/** How well one layout reads a checkpoint. */
export interface LayoutMatch {
  kind: ConvNetKind;
  layout: UnitLayout;
  /** Tensor of each unit and role, as `unit role`. */
  tensors: Map<string, string>;
  /** Roles without a tensor, as `unit (role)`. */
  missing: string[];
  /** Tensors that the layout does not know. */
  unexpected: string[];
  /** Share of what is needed that is there. */
  score: number;
}

export const tensorKey = (unit: string, role: Role): string => `${unit} ${role}`;

/** Units of a network, in order. */
export function unitsOf(kind: ConvNetKind): Unit[] {
  const { model, norm } = CONV_NETS[kind];
  const names = [...new model({}).parameters().keys()].filter(name => name.endsWith('.weight'));
  return names.map(name => name.slice(0, -'.weight'.length)).map(name => ({ name, norm: norm && name !== 'logits' }));
}

/** TensorFlow's graphs train no scale of the batch norm (gamma): it is in all units or in none. */
const needed = ({ norm }: Unit, gamma: boolean): Role[] =>
  norm ? ['kernel', ...(gamma ? (['gamma'] as const) : []), 'beta', 'mean', 'variance'] : ['kernel', 'bias'];

/** Longest beginning that all names share, up to a dot or a slash: what wrappers put before. */
export function commonPrefix(names: readonly string[]): string {
  const [first = '', ...rest] = names;
  let length = first.length;
  for (const name of rest) while (!name.startsWith(first.slice(0, length))) length--;
  return /^.*[./]/.exec(first.slice(0, length))?.[0] ?? '';
}

function match(kind: ConvNetKind, layout: UnitLayout, names: readonly string[], prefix: string): LayoutMatch {
  const units = unitsOf(kind);
  const known = new Set(units.map(({ name }) => name));
  const tensors = new Map<string, string>();
  const unexpected: string[] = [];
  for (const tensor of names) {
    const read: UnitTensor | 'aside' | null = layout.read(tensor.slice(prefix.length));
    if (read === 'aside') continue;
    if (read && known.has(read.unit)) tensors.set(tensorKey(read.unit, read.role), tensor);
    else unexpected.push(tensor);
  }
  const gamma = units.some(({ name }) => tensors.has(tensorKey(name, 'gamma')));
  const roles = units.flatMap(unit => needed(unit, gamma).map(role => ({ unit: unit.name, role })));
  const missing = roles.filter(({ unit, role }) => !tensors.has(tensorKey(unit, role)));
  return {
    ...{ kind, layout, tensors, unexpected },
    missing: missing.map(({ unit, role }) => `${unit} (${role})`),
    score: 1 - missing.length / roles.length,
  };
}

/**
 * Every layout's reading of a checkpoint, the best first.
 * @param kind looks at this network's layouts only
 */
export function matchLayouts(names: readonly string[], kind?: ConvNetKind): LayoutMatch[] {
  const prefixes = [...new Set(['', commonPrefix(names)])];
  const kinds = kind ? [kind] : (Object.keys(CONV_NETS) as ConvNetKind[]);
  const matches = kinds.flatMap(each =>
    CONV_NETS[each].layouts.flatMap(layout => prefixes.map(prefix => match(each, layout, names, prefix))),
  );
  return matches.sort((a, b) => b.score - a.score || a.unexpected.length - b.unexpected.length);
}
