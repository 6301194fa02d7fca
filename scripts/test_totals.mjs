/**
 * Adds up vitest's JSON reports and prints, last, "N passed, N failed, N skipped". Exit code 1 on a failure or without a report.
 *
 * node scripts/test_totals.mjs report.json ...
 */
import { existsSync, readFileSync } from 'node:fs';

const totals = { passed: 0, failed: 0, skipped: 0 };
const paths = process.argv.slice(2);
let isComplete = paths.length > 0;

for (const path of paths) {
  if (!existsSync(path)) {
    console.error(`no test report ${path}: vitest did not get to its end`);
    isComplete = false;
    continue;
  }
  const report = JSON.parse(readFileSync(path, 'utf8'));
  totals.passed += report.numPassedTests;
  totals.skipped += report.numPendingTests + report.numTodoTests;
  totals.failed += report.numFailedTests;
  // A file that could not be loaded has no tests to count; it is one failure, not zero.
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((one) => one.status === 'failed'),
  );
  for (const { name, message } of broken) console.error(`failed as a whole: ${name}: ${message}`);
  totals.failed += broken.length;
}

console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(isComplete && totals.failed === 0 ? 0 : 1);
