/** Which parameters train: presets and globs over diffusers' dotted names. */
import picomatch from 'picomatch';
import type { TrainableConfig } from '../config/schema.js';
import { InputError } from '../errors.js';

/** `temporal-attention` is the paper's fine-tuning mode; `transformer_in` is the latent UNet's temporal entry. */
export const PRESETS: Record<NonNullable<TrainableConfig['preset']>, string[]> = {
  'temporal-attention': ['**.temp_attentions.**', 'transformer_in.**'],
  temporal: ['**.temp_attentions.**', '**.temp_convs.**', 'transformer_in.**'],
  all: ['**'],
};

export interface Selection {
  /** Names that train, in the model's order. */
  names: string[];
  /** Numbers of scalars. */
  trainable: number;
  total: number;
  /** How many names each glob matched. */
  matches: Record<string, number>;
}

/** Dots separate path segments, so that `*` is one segment and `**` any number. */
export function matcher(glob: string): (name: string) => boolean {
  const match = picomatch(glob.replaceAll('.', '/'), { dot: true });
  return name => match(name.replaceAll('.', '/'));
}

/**
 * Applies presets, includes and excludes to a model's parameters.
 * @param parameters names with their numbers of scalars
 * @throws InputError when a glob of `include` or `exclude` matches nothing, or nothing is left to train
 */
export function selectTrainable(parameters: { name: string; size: number }[], config: TrainableConfig): Selection {
  const preset = config.preset ?? (config.include.length === 0 ? 'all' : undefined);
  const matches: Record<string, number> = {};
  const matched = (globs: string[], mayMiss: boolean, key: string) => {
    const names = new Set<string>();
    for (const glob of globs) {
      const hits = parameters.filter(p => matcher(glob)(p.name));
      if (hits.length === 0 && !mayMiss) {
        throw new InputError(
          `train.trainable.${key}: the glob "${glob}" matches none of the model's ${parameters.length} parameters. ` +
            `Names look like "${parameters[0]?.name}" and "${parameters.at(-1)?.name}"; * is one dotted part, ** any number of parts.`,
          { code: 'train.mask-matches-nothing', glob, key },
        );
      }
      matches[glob] = hits.length;
      for (const { name } of hits) names.add(name);
    }
    return names;
  };
  // A preset lists every place where the family may keep such layers; a model need not have all of them.
  const included = new Set([
    ...matched(preset ? PRESETS[preset] : [], true, 'preset'),
    ...matched(config.include, false, 'include'),
  ]);
  const excluded = matched(config.exclude, false, 'exclude');
  const chosen = parameters.filter(p => included.has(p.name) && !excluded.has(p.name));
  if (chosen.length === 0) {
    throw new InputError(
      `train.trainable leaves nothing to train: ${preset ? `preset "${preset}"` : 'include'} matched ${included.size} parameters and exclude removed ${excluded.size}.`,
      { code: 'train.mask-empty', preset },
    );
  }
  const count = (list: { size: number }[]) => list.reduce((sum, p) => sum + p.size, 0);
  return { names: chosen.map(p => p.name), trainable: count(chosen), total: count(parameters), matches };
}
