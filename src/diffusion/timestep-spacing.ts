/** Which of the T training timesteps a sampler visits (Lin et al. 2023, table 2), as diffusers 0.19.3 rounds them. */
import { linspaceFloat64, roundHalfEven } from './float32.js';

export const TIMESTEP_SPACINGS = ['leading', 'trailing', 'linspace'] as const;
export type TimestepSpacing = (typeof TIMESTEP_SPACINGS)[number];

/**
 * `steps` integer timesteps, descending, for DDPM and DDIM.
 *
 * - `leading`: 0, r, 2r, … with r = floor(T / steps), plus `stepsOffset`: never starts at T-1 unless steps = T
 * - `trailing`: T-1, T-1-T/steps, …: always starts at T-1
 * - `linspace`: from T-1 to 0, both included
 */
export function spacedTimesteps(spacing: TimestepSpacing, T: number, steps: number, stepsOffset = 0): number[] {
  switch (spacing) {
    case 'linspace':
      return linspaceFloat64(0, T - 1, steps)
        .map(roundHalfEven)
        .reverse();
    case 'leading': {
      const ratio = Math.floor(T / steps);
      return Array.from({ length: steps }, (_, i) => i * ratio + stepsOffset).reverse();
    }
    case 'trailing':
      return trailing(T, T / steps);
  }
}

/**
 * Timesteps of DPM-Solver, descending and without duplicates: here the end of the walk (t = 0) is one more grid point,
 * so `linspace` and `leading` lay out steps + 1 points and drop the last. `lastTimestep` <= T is where λ is clipped.
 */
export function solverTimesteps(
  spacing: TimestepSpacing,
  T: number,
  lastTimestep: number,
  steps: number,
  stepsOffset = 0,
): number[] {
  switch (spacing) {
    case 'linspace':
      return unique(
        linspaceFloat64(0, lastTimestep - 1, steps + 1)
          .map(roundHalfEven)
          .reverse()
          .slice(0, -1),
      );
    case 'leading': {
      const ratio = Math.floor(lastTimestep / (steps + 1));
      return unique(Array.from({ length: steps }, (_, i) => (steps - i) * ratio + stepsOffset));
    }
    case 'trailing':
      return unique(trailing(lastTimestep, T / steps));
  }
}

// np.arange(start, 0, -step), rounded, minus one; numpy's own difference of the first two is the step it walks with
function trailing(start: number, step: number): number[] {
  const walked = start - (start - step);
  const timesteps = Array.from({ length: Math.ceil(start / step) }, (_, i) => roundHalfEven(start - i * walked) - 1);
  return timesteps.filter(t => t >= 0); // rounding may add a point at 0, which is no timestep
}

const unique = (timesteps: number[]): number[] => [...new Set(timesteps)];
