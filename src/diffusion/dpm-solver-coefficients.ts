/**
 * DPM-Solver's updates as linear combinations: x_t = a x_s + b0 m0 + b1 m1 + b2 m2 + c z, where m0 is the newest model
 * output (x_0 for the ++ variants, ε otherwise), m1 and m2 the two before it, z the noise of the SDE variants.
 */

export const ALGORITHMS = ['dpmsolver++', 'dpmsolver', 'sde-dpmsolver++', 'sde-dpmsolver'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];
export const SOLVER_TYPES = ['midpoint', 'heun'] as const;
export type SolverType = (typeof SOLVER_TYPES)[number];

/** A point of the walk: α, σ and λ = log(α/σ), the half log-SNR. */
export interface NoiseLevel {
  alpha: number;
  sigma: number;
  lambda: number;
}

export interface SolverStep {
  sample: number;
  m0: number;
  m1: number;
  m2: number;
  noise: number;
}

/**
 * The combination from `levels[0]` (where m0 was computed; then those of m1, m2) to `target`. Its order, 1 to 3, is the
 * number of levels. Lu et al. 2022a (arXiv 2206.00927, DPM-Solver) and 2022b (2211.01095, DPM-Solver++: 2M and the
 * SDE form); order 3 has no SDE form. As in the authors' code, order 3 weighs the second derivative by half of what
 * Taylor's formula asks for: more exact than order 2, but it converges no faster.
 */
export function solverStep(
  algorithm: Algorithm,
  solverType: SolverType,
  target: NoiseLevel,
  levels: readonly NoiseLevel[],
): SolverStep {
  const from = levels[0]!;
  const h = target.lambda - from.lambda;
  if (h === 0) return { sample: 1, m0: 0, m1: 0, m2: 0, noise: 0 }; // the last grid point twice: nothing to do
  const factors = FACTORS[algorithm](target, from, h);
  // Weights of the divided differences D1 (first) and D2 (second derivative along λ) in units of the step.
  const d1 = solverType === 'midpoint' && levels.length === 2 ? factors.midpoint : factors.heun;
  const combine = { sample: factors.sample, m0: factors.d0, m1: 0, m2: 0, noise: factors.noise };
  if (levels.length === 1) return combine;
  const r0 = (from.lambda - levels[1]!.lambda) / h;
  if (levels.length === 2) {
    // D1 = (m0 - m1) / r0
    return { ...combine, m0: factors.d0 + d1 / r0, m1: -d1 / r0 };
  }
  // D1 = D10 + r0/(r0+r1) (D10 - D11), D2 = (D10 - D11)/(r0+r1), D10 = (m0 - m1)/r0, D11 = (m1 - m2)/r1
  const r1 = (levels[1]!.lambda - levels[2]!.lambda) / h;
  const bend = (d1 * r0 + factors.d2) / (r0 + r1);
  const onD10 = (d1 + bend) / r0;
  const onD11 = -bend / r1;
  return { ...combine, m0: factors.d0 + onD10, m1: onD11 - onD10, m2: -onD11 };
}

interface Factors {
  sample: number;
  d0: number;
  midpoint: number;
  heun: number;
  d2: number;
  noise: number;
}

const FACTORS: Record<Algorithm, (target: NoiseLevel, from: NoiseLevel, h: number) => Factors> = {
  'dpmsolver++': ({ alpha, sigma }, from, h) => {
    const e = Math.expm1(-h);
    return {
      sample: sigma / from.sigma,
      d0: -alpha * e,
      midpoint: -0.5 * alpha * e,
      // A step to σ = 0 (h = ∞) is of first order and never reads these two.
      heun: alpha * (e / h + 1),
      d2: -alpha * ((e + h) / h ** 2 - 0.5),
      noise: 0,
    };
  },
  dpmsolver: ({ alpha, sigma }, from, h) => {
    const e = Math.expm1(h);
    return {
      sample: alpha / from.alpha,
      d0: -sigma * e,
      midpoint: -0.5 * sigma * e,
      heun: -sigma * (e / h - 1),
      d2: -sigma * ((e - h) / h ** 2 - 0.5),
      noise: 0,
    };
  },
  'sde-dpmsolver++': ({ alpha, sigma }, from, h) => {
    const e = -Math.expm1(-2 * h);
    return {
      sample: (sigma / from.sigma) * Math.exp(-h),
      d0: alpha * e,
      midpoint: 0.5 * alpha * e,
      heun: alpha * (e / (-2 * h) + 1),
      d2: Number.NaN,
      noise: sigma * Math.sqrt(e),
    };
  },
  'sde-dpmsolver': ({ alpha, sigma }, from, h) => {
    const e = Math.expm1(h);
    return {
      sample: alpha / from.alpha,
      d0: -2 * sigma * e,
      midpoint: -sigma * e,
      heun: -2 * sigma * (e / h - 1),
      d2: Number.NaN,
      noise: sigma * Math.sqrt(Math.expm1(2 * h)),
    };
  },
};

/**
 * Timesteps of Karras et al. (2022, eq. 5, ρ = 7), descending, as diffusers 0.19.3 picks them: `steps` noise levels
 * between the schedule's ends, each mapped back to the nearest training timestep by log σ. sigmas [T], ascending.
 */
export function karrasTimesteps(sigmas: Float32Array, steps: number): number[] {
  const logs = sigmas.map(Math.log);
  const rho = 7;
  const low = sigmas[0]! ** (1 / rho);
  const high = sigmas[sigmas.length - 1]! ** (1 / rho);
  return Array.from({ length: steps }, (_, i) => {
    const ramp = steps === 1 ? 0 : i / (steps - 1);
    return sigmaToTimestep((low + ramp * (high - low)) ** rho, logs);
  }).reverse();
}

function sigmaToTimestep(sigma: number, logs: Float32Array): number {
  const log = Math.log(sigma);
  let index = 0;
  while (index < logs.length - 2 && logs[index + 1]! <= log) index++;
  const weight = Math.min(Math.max((logs[index]! - log) / (logs[index]! - logs[index + 1]!), 0), 1);
  return Math.round(index + weight);
}
