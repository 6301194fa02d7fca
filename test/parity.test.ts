/** Every op, on every SIMD target, within the tolerances of the case table of the reference. */
import { describe, expect, test } from 'vitest';
import { selectBackend } from '../lib/backend/select.js';
import { info } from '../lib/index.js';
import type { OpName } from '../lib/ops.js';
import { CASES } from './cases/index.js';
import type { OpCase } from './cases/op_case.js';
import { describeTargets } from './support/backends.js';
import { expectedOf, expectParity } from './support/run_case.js';

const POISON = -99;

/** Titles as `%s`: vitest cuts `$title` short. */
function named(op: OpName): [title: string, opCase: OpCase][] {
  return (CASES[op] as readonly OpCase[]).map((opCase) => [opCase.title, opCase]);
}

describe.each(Object.keys(CASES) as OpName[])('table of %s', (op) => {
  test.each(named(op))('reference: %s', (_, opCase) => {
    for (const { name, values } of expectedOf(opCase) ?? []) {
      expect(Array.from(values).indexOf(POISON), `${name} has an element that nobody wrote`).toBe(-1);
    }
  });

  test('titles are unique, so that a failure names one case', () => {
    const titles = named(op).map(([title]) => title);
    expect(titles.filter((title, i) => titles.indexOf(title) !== i)).toEqual([]);
  });
});

describeTargets((target) => {
  test('is the target in use', () => {
    expect(info().simd?.target).toBe(target);
  });

  for (const op of Object.keys(CASES) as OpName[]) {
    describe(op, () => {
      test.each(named(op))('%s', (_, opCase) => {
        expectParity(selectBackend('cpu').ops, opCase);
      });
    });
  }
});
