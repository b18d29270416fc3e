import { defineConfig } from 'vitest/config';

// Trainings and measurements that take minutes: one at a time, so that timings are not disturbed.
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/slow/**/*.test.ts'],
    passWithNoTests: true,
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
  },
});
