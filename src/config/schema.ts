/**
 * The one schema of a training config. Types, defaults, validation, error messages, `configs/schema.json` and
 * `configs/README.md` come from it, so an option exists in exactly one place: its line in `sections/`.
 *
 * Relative paths in a config are relative to the current directory (only `extends` is relative to its own file).
 */
import { type Static, Type } from '@sinclair/typebox';
import { flag, int, oneOf, text } from './fields.js';
import { conditioningSection } from './sections/conditioning.js';
import { dataSection } from './sections/data.js';
import { diffusionSection } from './sections/diffusion.js';
import { modelSection } from './sections/model.js';
import { checkpointSection, logSection, validateSection } from './sections/monitor.js';
import { trainSection } from './sections/train.js';

export const ConfigSchema = Type.Object(
  {
    stage: oneOf('Stage of the cascade.', ['base', 'interp', 'sr1', 'sr2']),
    seed: int('Seed of data order, noise, timesteps and dropout.', 0, { maximum: 2 ** 31 - 1 }),
    note: Type.Optional(Type.String({ description: 'What this run is for; kept with its results.' })),
    output: text('Run folder: resolved config, stats, TensorBoard events, samples, checkpoints.'),
    device: oneOf(
      'Where to compute; `auto` takes CUDA where there is one and says which it took.',
      ['auto', 'cpu', 'cuda'],
      'auto',
    ),
    precision: oneOf('Number format of convolutions and matrix products; weights stay fp32.', ['fp32', 'bf16'], 'fp32'),
    compile: flag('Trace each step into one TensorFlow function.', true),
    model: modelSection,
    data: dataSection,
    conditioning: conditioningSection,
    diffusion: diffusionSection,
    train: trainSection,
    checkpoint: checkpointSection,
    log: logSection,
    validate: validateSection,
  },
  { title: 'show1 config', description: 'A training run of show1.', additionalProperties: false },
);

/** A complete config: every default filled in. */
export type Config = Static<typeof ConfigSchema>;
export type Stage = Config['stage'];
export type ModelConfig = Config['model'];
export type DataConfig = Config['data'];
export type ConditioningConfig = Config['conditioning'];
export type DiffusionConfig = Config['diffusion'];
export type TrainConfig = Config['train'];
export type ValidateConfig = Config['validate'];
export type TrainableConfig = TrainConfig['trainable'];
export type TimestepsConfig = DiffusionConfig['timesteps'];

type PartialDeep<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: PartialDeep<T[K]> } : T;

/** A config as a user writes it: anything with a default may be left out. */
export type ConfigInput = PartialDeep<Config>;
