/**
 * Adds up vitest's JSON reports and prints, last, "N passed, N failed, N skipped". Exit code 1 on a failure, without a report, or
 * without a single passed test.
 *
 * node scripts/test_totals.mjs report.json ...
 *
 * Counts the single results: vitest's own sums leave out a file that could not be loaded, and say "success" when a native
 * crash ended a file's process in the middle of its tests.
 */
import { existsSync, readFileSync } from 'node:fs';

const totals = { passed: 0, failed: 0, skipped: 0 };
const kinds = { passed: 'passed', failed: 'failed', skipped: 'skipped', todo: 'skipped' };

function fail(message) {
  totals.failed++;
  console.error(message);
}

function addFile({ name, status, message, assertionResults }) {
  for (const test of assertionResults) {
    if (test.status in kinds) totals[kinds[test.status]]++;
    else fail(`did not end: ${name} > ${test.fullName} (status "${test.status}")`);
  }
  const isExplained = assertionResults.some((test) => test.status === 'failed');
  if (status === 'failed' && !isExplained) fail(`failed as a whole: ${name}: ${message}`);
}

const paths = process.argv.slice(2);
const missing = paths.filter((path) => !existsSync(path));
for (const path of missing) console.error(`no test report ${path}: vitest did not get to its end`);
for (const path of paths.filter((one) => existsSync(one))) {
  JSON.parse(readFileSync(path, 'utf8')).testResults.forEach(addFile);
}

console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.passed > 0 && missing.length === 0 && totals.failed === 0 ? 0 : 1);
