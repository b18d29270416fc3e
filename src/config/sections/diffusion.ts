import { Type } from '@sinclair/typebox';
import { flag, int, num, oneOf, section } from '../fields.js';

/** Steps of a diffusers scheduler that does not say. */
export const DEFAULT_TRAIN_TIMESTEPS = 1000;

const schedulerKeys = {
  num_train_timesteps: int('Number T of noise levels.', DEFAULT_TRAIN_TIMESTEPS, { minimum: 1 }),
  beta_schedule: oneOf(
    'How noise grows with the timestep.',
    ['linear', 'scaled_linear', 'squaredcos_cap_v2'],
    'squaredcos_cap_v2',
  ),
  beta_start: num('First β (unused by squaredcos_cap_v2).', 1e-4, { exclusiveMinimum: 0, exclusiveMaximum: 1 }),
  beta_end: num('Last β (unused by squaredcos_cap_v2).', 0.02, { exclusiveMinimum: 0, exclusiveMaximum: 1 }),
  prediction_type: oneOf(
    'What the network predicts: the noise, the clean clip, or v (Salimans & Ho 2022).',
    ['epsilon', 'sample', 'v_prediction'],
    'epsilon',
  ),
  rescale_betas_zero_snr: flag(
    'Zero terminal SNR (Lin et al. 2023): the last timestep holds no signal at all, so that very dark and very bright clips can be ' +
      'made. Needs v_prediction or sample; sampling then starts at the last timestep (timestep_spacing becomes `trailing`).',
    false,
  ),
  variance_type: oneOf(
    'Variance of the reverse step; `learned` and `learned_range` need a UNet with twice the output channels.',
    ['fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log', 'learned', 'learned_range'],
    'fixed_small',
  ),
};

/** The diffusion process and its training loss. */
export const diffusionSection = section('The diffusion process and the training loss.', {
  scheduler: Type.Optional(
    Type.Object(schedulerKeys, {
      additionalProperties: true,
      description:
        'A diffusers scheduler config (its own snake_case keys; further ones such as thresholding or clip_sample ' +
        'are checked by the scheduler). Left out: scheduler/ of `model.pretrained`, else the defaults below; ' +
        'a given one stands alone, it is not merged with the pretrained one.',
    }),
  ),
  timesteps: section('Which timesteps training draws, as T·f(u) with u uniform in [0, 1).', {
    sampling: oneOf(
      '`uniform`: f = u. `power`: f = u^(1/power), density ∝ t^(power − 1). `logit-normal`: f = sigmoid(mean + std·z), z normal ' +
        '(Esser et al. 2024). `shifted`: f = shift·u / (1 + (shift − 1)·u).',
      ['uniform', 'power', 'logit-normal', 'shifted'],
      'uniform',
    ),
    power: num('For `power`: 3 draws t with density ∝ t², favouring high noise; 1 is uniform.', 3, {
      exclusiveMinimum: 0,
    }),
    mean: num('Mean for `logit-normal`; positive favours high noise.', 0),
    std: num('Standard deviation for `logit-normal`.', 1, { exclusiveMinimum: 0 }),
    shift: num('Shift for `shifted`; above 1 favours high noise.', 1, { exclusiveMinimum: 0 }),
    min: int('Lowest timestep drawn.', 0),
    max: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Timesteps drawn are below this. Left out: num_train_timesteps; in sr2 nine tenths of it (Show-1’s expert translation).',
      }),
    ),
  }),
  minSnrGamma: num('γ of the min-SNR loss weight (Hang et al. 2023), 5 in the paper; 0 switches it off.', 0, {
    minimum: 0,
  }),
  offsetNoise: num('Strength of noise shared by all pixels of a channel, 0.1 is common; 0 is off.', 0, {
    minimum: 0,
    maximum: 1,
  }),
  inputPerturbation: num('Extra noise on the network’s input (Ning et al. 2023), 0.1 in the paper; 0 is off.', 0, {
    minimum: 0,
    maximum: 1,
  }),
  appearanceDebias: section(
    'Appearance-debiased temporal loss (MotionDirector, Zhao et al. 2023), added to the plain one: what all frames of a clip share ' +
      'counts less, how they differ counts more. For learning a motion without the looks of its clip.',
    {
      weight: num('Factor on it; 1 in the paper, 0 is off.', 0, { minimum: 0 }),
      beta: num('Strength β; 1 in the authors’ code.', 1, { minimum: 0 }),
    },
  ),
  vlbWeight: num(
    'Weight of the variational bound for learned variances (Nichol & Dhariwal 2021); unused otherwise.',
    0.001,
    { minimum: 0 },
  ),
});
