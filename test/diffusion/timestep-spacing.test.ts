import { describe, expect, it } from 'vitest';
import { solverTimesteps, spacedTimesteps } from '../../src/diffusion/timestep-spacing.js';

describe('spacedTimesteps', () => {
  // Lin et al. 2023, table 2 (counted from 1 there).
  it('five steps of a thousand', () => {
    expect(spacedTimesteps('leading', 1000, 5)).toEqual([800, 600, 400, 200, 0]);
    expect(spacedTimesteps('leading', 1000, 5, 1)).toEqual([801, 601, 401, 201, 1]);
    expect(spacedTimesteps('trailing', 1000, 5)).toEqual([999, 799, 599, 399, 199]);
    expect(spacedTimesteps('linspace', 1000, 5)).toEqual([999, 749, 500, 250, 0]);
  });

  it('steps that do not divide T', () => {
    expect(spacedTimesteps('leading', 1000, 7)).toEqual([852, 710, 568, 426, 284, 142, 0]);
    expect(spacedTimesteps('trailing', 1000, 6)).toEqual([999, 832, 666, 499, 332, 166]);
  });

  it('every number of steps gives that many distinct descending timesteps', () => {
    for (const spacing of ['leading', 'trailing', 'linspace'] as const) {
      for (let steps = 1; steps <= 1000; steps++) {
        const timesteps = spacedTimesteps(spacing, 1000, steps);
        expect(timesteps.length, `${spacing} ${steps}`).toBe(steps);
        expect(timesteps.every((t, i) => t >= 0 && t < 1000 && (i === 0 || t < timesteps[i - 1]!))).toBe(true);
      }
    }
  });
});

describe('solverTimesteps', () => {
  it('leaves the end of the walk out', () => {
    expect(solverTimesteps('linspace', 1000, 1000, 4)).toEqual([999, 749, 500, 250]);
    expect(solverTimesteps('leading', 1000, 1000, 4)).toEqual([800, 600, 400, 200]);
    expect(solverTimesteps('leading', 1000, 1000, 4, 1)).toEqual([801, 601, 401, 201]);
    expect(solverTimesteps('trailing', 1000, 1000, 4)).toEqual([999, 749, 499, 249]);
  });

  it('starts below a clipped λ, and drops duplicates', () => {
    expect(solverTimesteps('linspace', 1000, 901, 3)).toEqual([900, 600, 300]);
    const all = solverTimesteps('linspace', 10, 10, 10);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBe(9);
  });
});
