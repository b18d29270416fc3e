import { defineConfig } from 'vitest/config';

// TensorFlow lives in a native module with one global backend: each file gets its own process, two at a time.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/slow/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
