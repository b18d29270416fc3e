/** Which sampler reads a training scheduler's config: the noise schedule stays, the way of stepping changes. */
import { InputError } from '../errors.js';

export const SAMPLERS = {
  ddim: 'DDIMScheduler',
  ddpm: 'DDPMScheduler',
  'dpmsolver++': 'DPMSolverMultistepScheduler',
} as const;
export type SamplerName = keyof typeof SAMPLERS;

/** What all schedulers share; the rest of a config belongs to one class. */
const SHARED = [
  'num_train_timesteps',
  'beta_start',
  'beta_end',
  'beta_schedule',
  'trained_betas',
  'prediction_type',
  'thresholding',
  'dynamic_thresholding_ratio',
  'sample_max_value',
  'rescale_betas_zero_snr',
];
const CLIPPING = ['clip_sample', 'clip_sample_range'];

/** A diffusers config of the wanted sampler with the same noise schedule, prediction type and thresholding as `config`. */
export function samplerConfig(config: Record<string, unknown>, name: SamplerName): Record<string, unknown> {
  const className = SAMPLERS[name];
  if (!className) {
    throw new InputError(`sampler "${name}" is unknown; allowed: ${Object.keys(SAMPLERS).join(', ')}`, {
      code: 'infer.sampler',
      name,
    });
  }
  if (config._class_name === className) return config;
  const keys =
    name === 'dpmsolver++' ? SHARED : [...SHARED, ...CLIPPING, ...(name === 'ddpm' ? ['variance_type'] : [])];
  const kept = Object.fromEntries(keys.filter(key => config[key] !== undefined).map(key => [key, config[key]]));
  // Learned variances are kept by DDPM and DPM-Solver (which drops that half); DDIM takes the plain prediction.
  if (name === 'dpmsolver++' && config.variance_type !== undefined) kept.variance_type = config.variance_type;
  // Without signal at the last timestep, sampling must begin there (Lin et al. 2023, section 3.3).
  if (config.rescale_betas_zero_snr) kept.timestep_spacing = 'trailing';
  return { ...kept, _class_name: className };
}
