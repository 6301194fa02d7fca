import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // One process per file: a native crash takes down its own file only, and process-wide state (pool, warnings) starts fresh.
    pool: 'forks',
    // The default leaves one core free, which on a 2-core machine means no parallelism at all.
    maxWorkers: availableParallelism(),
    testTimeout: 30_000,
    hookTimeout: 120_000,
    globalSetup: ['scripts/require_build.mjs'],
    reporters: [
      'default',
      'scripts/skip_reporter.mjs',
      ['json', { outputFile: process.env.TURNWISE_TEST_REPORT ?? 'build/test_report.json' }],
    ],
  },
});
