/** Config of `DPMSolverMultistepScheduler`: diffusers 0.19.3's keys, and later ones as far as they are supported. */
import { ALGORITHMS, type Algorithm, SOLVER_TYPES, type SolverType } from './dpm-solver-coefficients.js';
import { commonFields, withDefault } from './scheduler.js';
import { boolean, type Field, oneOf, only } from './scheduler-config.js';

const lambdaMin: Field<number | null> = {
  default: Number.NEGATIVE_INFINITY,
  allowed: 'a number, -Infinity, or null for -Infinity',
  accepts: v => v === null || (typeof v === 'number' && !Number.isNaN(v)),
};

export const solverFields = {
  ...commonFields,
  timestepSpacing: withDefault(commonFields.timestepSpacing, 'linspace'),
  solverOrder: oneOf<1 | 2 | 3>([1, 2, 3], 2),
  algorithmType: oneOf<Algorithm>(ALGORITHMS, 'dpmsolver++'),
  solverType: oneOf<SolverType>(SOLVER_TYPES, 'midpoint'),
  lowerOrderFinal: boolean(true),
  useKarrasSigmas: boolean(false),
  lambdaMinClipped: lambdaMin,
  varianceType: oneOf<
    'learned' | 'learned_range' | 'fixed_small' | 'fixed_small_log' | 'fixed_large' | 'fixed_large_log' | null
  >([null, 'learned', 'learned_range', 'fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log'], null),
  finalSigmasType: oneOf<'sigma_min' | 'zero'>(['sigma_min', 'zero'], 'sigma_min'),
  eulerAtFinal: only(false),
  useLuLambdas: only(false),
  useExponentialSigmas: only(false),
  useBetaSigmas: only(false),
  useFlowSigmas: only(false),
};
