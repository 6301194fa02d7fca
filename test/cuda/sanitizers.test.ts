/**
 * The CUDA backend's cases under AddressSanitizer and ThreadSanitizer, and the emulation's own test: planted bugs (a missing barrier, a
 * missing wait, an element too many, a divergent barrier, ...) must be caught, their correct twins must pass.
 *
 * In programs without Node, built by `npm run build:emulated -- --driver [--sanitize=address | thread]`; .ci/run builds all three.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportCases } from './exported_cases.js';

const BUILD = join(import.meta.dirname, '..', '..', 'build');
const CASES = join(BUILD, 'emulated', 'sanitized_cases.bin');

/** How much of the table: ThreadSanitizer's time grows with the number of emulated threads and of bytes. */
const BUILDS = [
  { name: 'plain', folder: 'emulated', share: ['--every', '7', '--device'] },
  { name: 'AddressSanitizer', folder: 'emulated-address', share: ['--every', '9', '--device'] },
  { name: 'ThreadSanitizer', folder: 'emulated-thread', share: ['--every', '30', '--largest', '20000'] },
] as const;

function run(program: string, args: readonly string[], settings = {}) {
  // Leaks: the backend keeps its workplaces until the process ends. Sleeping: ThreadSanitizer waits a second at exit.
  const options = { ASAN_OPTIONS: 'detect_leaks=0', TSAN_OPTIONS: 'atexit_sleep_ms=0' };
  const env = { ...process.env, ...options, ...settings };
  const { status, stdout, stderr } = spawnSync(program, args, { env, encoding: 'utf8', maxBuffer: 1 << 28 });
  return { status, output: `${stdout}${stderr}` };
}

beforeAll(() => {
  mkdirSync(join(BUILD, 'emulated'), { recursive: true });
  writeFileSync(
    CASES,
    exportCases(() => true),
  );
});
afterAll(() => rmSync(CASES, { force: true }));

describe.each(BUILDS)('$name', ({ folder, share }) => {
  const program = (name: string) => join(BUILD, folder, name);
  const built = existsSync(program('run_cases'));
  const missing = built ? '' : ` (${folder} is not built: npm run build:emulated -- --driver)`;

  test.skipIf(!built)(`the emulation catches planted bugs${missing}`, { timeout: 300_000 }, () => {
    const usual = { TURNWISE_EMULATION_THREADS: '', TURNWISE_EMULATION_MULTIPROCESSORS: '' };
    const { status, output } = run(program('emulation_test'), [], usual);
    expect(output).not.toContain('FAILED');
    expect(output.match(/^ok /gm)?.length, output.slice(-2000)).toBeGreaterThan(50);
    expect(status).toBe(0);
  });

  test.skipIf(!built)(`cases, ${share.join(' ')}${missing}`, { timeout: 300_000 }, () => {
    const { status, output } = run(program('run_cases'), [CASES, ...share]);
    expect(output).toMatch(/ 0 failed/);
    expect(output).not.toMatch(/Sanitizer/);
    expect(status, output.slice(-4000)).toBe(0);
  });
});
