/**
 * The case table on a machine with a GPU and without Node (scripts/gpu.sh):
 *
 *   node scripts/gpu_cases.mjs export build/gpu_cases/cases.bin         before: what run_cases runs
 *   node scripts/gpu_cases.mjs compare build/gpu/results.bin.gz.*        after: what it computed, against the reference
 *
 * Several files are parts of one; what is gzipped is unzipped.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { runnerImport } from 'vite';
import { root } from './tree.mjs';

const FAILURES_SHOWN = 10;

/**
 * A TypeScript module of the tests, as vitest runs them.
 * @param {string} name
 */
async function testModule(name) {
  const path = join(root, 'test', 'cuda', name);
  return (await runnerImport(path, { configFile: false, root, logLevel: 'error' })).module;
}

/** @param {string} path */
async function exportTo(path) {
  const { exportCases } = await testModule('exported_cases.ts');
  const bytes = exportCases(() => true);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  console.log(`${path}: ${bytes.length} bytes`);
}

/**
 * Prints one line per op and the first failures; whether there was none.
 * @param {string[]} paths
 */
async function compare(paths) {
  const { caseCounts, compareResults } = await testModule('compare_results.ts');
  const bytes = Buffer.concat(paths.map((path) => readFileSync(path)));
  const isZipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const { comparisons, isComplete } = compareResults(isZipped ? gunzipSync(bytes) : bytes);
  for (const [op, count] of caseCounts()) {
    const { passed = 0, failures = [] } = comparisons.find((one) => one.op === op) ?? {};
    const absent = count - passed - failures.length;
    console.log(`${op.padEnd(16)} ${passed} passed, ${failures.length} failed, ${absent} not run`);
    for (const failure of failures.slice(0, FAILURES_SHOWN)) console.log(`  ${failure}`);
  }
  if (!isComplete) console.log('the results end in the middle of a case: run_cases was stopped');
  return isComplete && comparisons.length > 0 && comparisons.every(({ failures }) => failures.length === 0);
}

const [verb, ...paths] = process.argv.slice(2);
if (verb === 'export' && paths.length === 1) {
  await exportTo(paths[0]);
} else if (verb === 'compare' && paths.length > 0) {
  if (!(await compare(paths))) process.exit(1);
} else {
  console.error('gpu_cases.mjs export <file> | compare <file>...');
  process.exit(2);
}
