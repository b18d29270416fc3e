/** Parameter groups: how fast each trained tensor learns, and how much it decays. */
import type { TrainConfig } from '../config/schema.js';
import { InputError } from '../errors.js';
import { matcher } from './masks.js';

/** One tensor that trains. */
interface Trained {
  name: string;
  shape: readonly number[];
}

/** What the optimizer does with one tensor. */
export interface Hyper {
  /** Factor on the run's learning rate. */
  rateScale: number;
  weightDecay: number;
}

/** A group as it is printed and stored in `trainable.json`. */
export interface GroupSummary {
  match: string[];
  tensors: number;
  parameters: number;
  /** Peak learning rate. */
  learningRate: number;
  weightDecay: number;
  /** Tensors of the group that do not decay. */
  undecayed: number;
}

export interface Grouping {
  /** In the order of the tensors. */
  hyper: Hyper[];
  /** The configured groups, then what none of them matched; empty where the config has none. */
  groups: GroupSummary[];
}

type GroupConfig = TrainConfig['groups'][number];

/**
 * Gives each tensor the settings of the first group that matches it, else those of the run.
 * @throws InputError when a glob matches none of the tensors that train, or matches only what earlier groups took
 */
export function assignGroups(
  tensors: Trained[],
  config: Pick<TrainConfig, 'groups' | 'learningRate' | 'weightDecay' | 'weightDecayExclude'>,
): Grouping {
  const { groups, learningRate, weightDecay, weightDecayExclude } = config;
  const matched = groups.map(({ match }, i) =>
    union(match.map(glob => hits(tensors, glob, `train.groups.${i}.match`))),
  );
  const undecayed = weightDecayExclude
    ? union(weightDecayExclude.map(glob => hits(tensors, glob, 'train.weightDecayExclude')))
    : new Set(tensors.filter(({ shape }) => shape.length < 2).map(({ name }) => name)); // biases and gains
  const members = tensors.map(({ name }) => matched.findIndex(names => names.has(name)));
  const settings = [
    ...groups.map(group => ({
      rateScale: rateScale(group, learningRate),
      weightDecay: group.weightDecay ?? weightDecay,
    })),
    { rateScale: 1, weightDecay }, // the rest
  ];
  const hyper = tensors.map(({ name }, i) => {
    const { rateScale: scale, weightDecay: decay } = settings.at(members[i]!)!;
    return { rateScale: scale, weightDecay: undecayed.has(name) ? 0 : decay };
  });
  if (groups.length === 0) return { hyper, groups: [] };
  const summaries = settings.map((setting, g) => {
    const index = g === groups.length ? -1 : g;
    const own = tensors.filter((_, i) => members[i] === index);
    if (own.length === 0 && index >= 0) {
      throw new InputError(
        `train.groups.${g}.match (${groups[g]!.match.join(', ')}) takes nothing: earlier groups took all that it matches. ` +
          'The first group that matches wins: put the narrower group first.',
        { code: 'train.group-empty', group: g },
      );
    }
    return {
      match: index < 0 ? ['(the rest)'] : groups[g]!.match,
      tensors: own.length,
      parameters: own.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
      learningRate: learningRate * setting.rateScale,
      weightDecay: setting.weightDecay,
      undecayed: own.filter(({ name }) => undecayed.has(name)).length,
    };
  });
  return { hyper, groups: summaries.filter(({ tensors: count }) => count > 0) };
}

/** "group **.attn2.**: 12 tensors, 34,560 parameters, learning rate 1e-5, weight decay 0.01 (4 tensors none)". */
export function describeGroup({
  match,
  tensors,
  parameters,
  learningRate,
  weightDecay,
  undecayed,
}: GroupSummary): string {
  const none = undecayed > 0 && weightDecay > 0 ? ` (${undecayed} tensors none)` : '';
  return (
    `group ${match.join(' ')}: ${tensors} tensors, ${parameters.toLocaleString('en')} parameters, ` +
    `learning rate ${learningRate}, weight decay ${weightDecay}${none}`
  );
}

function rateScale({ learningRate, learningRateScale = 1 }: GroupConfig, base: number): number {
  return learningRate === undefined ? learningRateScale : learningRate / base;
}

function hits(tensors: Trained[], glob: string, key: string): string[] {
  const matches = matcher(glob);
  const names = tensors.map(({ name }) => name).filter(matches);
  if (names.length > 0) return names;
  throw new InputError(
    `${key}: the glob "${glob}" matches none of the ${tensors.length} tensors that train (train.trainable). ` +
      `Names look like "${tensors[0]?.name}" and "${tensors.at(-1)?.name}"; * is one dotted part, ** any number of parts.`,
    { code: 'train.group-matches-nothing', glob, key },
  );
}

const union = (lists: string[][]): Set<string> => new Set(lists.flat());
