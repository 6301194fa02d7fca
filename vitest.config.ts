import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // One process per file: a native crash takes down its own file only, and process-wide state (pool, warnings) starts fresh.
    pool: 'forks',
    // The default leaves one core free, which on a 2-core machine means no parallelism at all.
    maxWorkers: availableParallelism(),
    globalSetup: ['scripts/require_build.mjs'],
    reporters: [
      'default',
      'scripts/skip_reporter.mjs',
      ['json', { outputFile: process.env.TURNWISE_TEST_REPORT ?? 'build/test_report.json' }],
    ],
    projects: [
      {
        extends: true,
        test: {
          name: 'cpu',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cuda/**'],
          testTimeout: 30_000,
          hookTimeout: 120_000,
        },
      },
      {
        // The same library with its CUDA backend on an emulated GPU: scripts/build_emulated.mjs makes the add-on that
        // node-gyp-build finds through this variable.
        extends: true,
        test: {
          name: 'cuda, emulated',
          include: ['test/cuda/**/*.test.ts'],
          globalSetup: ['scripts/require_emulated.mjs'],
          env: {
            TURNWISE_PREBUILD: join(import.meta.dirname, 'build', 'emulated'),
            // Teams and blocks of few threads: an emulated barrier costs a fiber switch for each of them.
            TURNWISE_EMULATION_THREADS: '64',
            TURNWISE_EMULATION_MULTIPROCESSORS: '2',
          },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
