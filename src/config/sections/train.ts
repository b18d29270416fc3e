import { Type } from '@sinclair/typebox';
import { flag, int, list, num, oneOf, section, text } from '../fields.js';

const rate = { minimum: 0, exclusiveMaximum: 1 };

/** Optimisation: AdamW, schedule, averaging, what is trained. */
export const trainSection = section('Optimisation.', {
  steps: int('Optimizer steps of the whole run.', 10_000, { minimum: 1 }),
  batchSize: int('Clips per forward pass.', 1, { minimum: 1 }),
  accumulate: int('Forward passes summed into one optimizer step.', 1, { minimum: 1 }),
  learningRate: num('Peak learning rate of AdamW.', 1e-4, { exclusiveMinimum: 0 }),
  schedule: oneOf(
    'Learning rate after the warm-up: `cosine-restarts` falls like `cosine` `scheduleCycles` times, `polynomial` is `linear` to ' +
      'the power `schedulePower`.',
    ['constant', 'cosine', 'linear', 'polynomial', 'cosine-restarts'],
    'constant',
  ),
  scheduleCycles: int('For `cosine-restarts`: how many times the rate falls.', 3, { minimum: 1 }),
  schedulePower: num('For `polynomial`: its power.', 2, { exclusiveMinimum: 0 }),
  warmupSteps: int('Steps over which the learning rate rises linearly from 0.', 0),
  minLearningRateRatio: num('Where all schedules but `constant` end, as a share of learningRate.', 0, {
    minimum: 0,
    maximum: 1,
  }),
  betas: Type.Tuple([Type.Number(rate), Type.Number(rate)], {
    description: 'Decay of AdamW’s two moments, each in [0, 1).',
    default: [0.9, 0.999],
  }),
  epsilon: num('AdamW’s ε.', 1e-8, { exclusiveMinimum: 0 }),
  weightDecay: num('Decoupled weight decay.', 1e-2, { minimum: 0 }),
  weightDecayExclude: Type.Optional(
    Type.Array(text('A glob such as **.bias'), {
      description:
        'Globs over the names of trained parameters that do not decay; an empty list lets all decay. Left out: biases and the ' +
        'gains of norms (whatever is a vector).',
    }),
  ),
  groups: list(
    'Parameters that learn at another rate or decay otherwise; the first group that matches wins, the rest follows the run.',
    Type.Object(
      {
        match: Type.Array(text('A glob such as **.temp_attentions.**'), {
          description: 'Globs over the names of trained parameters.',
          minItems: 1,
        }),
        learningRateScale: Type.Optional(
          Type.Number({ minimum: 0, description: 'Factor on the run’s learning rate at every step.' }),
        ),
        learningRate: Type.Optional(
          Type.Number({
            minimum: 0,
            description: 'Or the group’s own peak learning rate; it follows the same schedule.',
          }),
        ),
        weightDecay: Type.Optional(Type.Number({ minimum: 0, description: 'Left out: train.weightDecay.' })),
      },
      { additionalProperties: false },
    ),
  ),
  clipNorm: num('Largest norm of the whole gradient; 0 switches clipping off.', 1, { minimum: 0 }),
  ema: section('Moving average of the weights, used for samples and saved beside them.', {
    decay: num('Decay per step; 0 switches the average off.', 0.9999, rate),
    warmup: flag('Lower the decay early: min(decay, (1 + step) / (10 + step)).', true),
    device: oneOf(
      'Where it lives: `compute` beside the weights; `host` in the computer’s memory, which leaves a GPU’s to training and costs time ' +
        'at each update.',
      ['compute', 'host'],
      'compute',
    ),
    everySteps: int('Steps between updates of the average, by the decay of as many steps.', 1, { minimum: 1 }),
  }),
  captionDropout: num('Share of captions replaced by the empty prompt, for classifier-free guidance.', 0.1, {
    minimum: 0,
    maximum: 1,
  }),
  gradientCheckpointing: Type.Unsafe<boolean | string[]>({
    anyOf: [{ type: 'boolean' }, { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 }],
    description:
      'Compute the activations of UNet blocks again in the backward pass instead of keeping them: much less memory, about a ' +
      'third more time, the same gradients bit for bit. `true` for all blocks, or globs over their names such as ' +
      '[down_blocks.0, up_blocks.*].',
    default: false,
  }),
  dropout: flag('Dropout inside the network (0.1 in the temporal convolutions).', true),
  hangTimeoutMinutes: num(
    'A step that hangs inside TensorFlow is reported after 10 minutes, or 20 usual steps where that is longer. Above 0, the ' +
      'process is also killed after so many minutes (and 20 usual steps) for a supervisor to start it again with --resume.',
    0,
    { minimum: 0 },
  ),
  earlyStop: section(
    'Ending before `steps` when the held-out loss no longer falls (needs validate.heldOutEverySteps).',
    {
      patience: int('Held-out losses in a row without an improvement after which the run ends; 0 is off.', 0),
      minImprovement: num('What counts as one, as a share of the best loss so far.', 0.01, { minimum: 0, maximum: 1 }),
    },
  ),
  trainable: section('Which parameters are trained; the others stay bit-identical.', {
    include: list('Globs over parameter names, added to the preset.', text('A glob such as **.temp_attentions.**')),
    exclude: list('Globs taken out again.', text('A glob such as **.norm.**')),
    preset: Type.Optional(
      oneOf(
        '`temporal-attention` (the paper’s fine-tuning), `temporal` (and the temporal convolutions), `all`. ' +
          'Left out: `all` if `include` is empty, else only what `include` names.',
        ['temporal-attention', 'temporal', 'all'],
      ),
    ),
  }),
});
