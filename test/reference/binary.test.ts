/** Exponents and powers of two, at the ends of the range where shortcuts go wrong. */
import { expect, test } from 'vitest';
import { exponentOf, powerOfTwo } from '../../lib/reference/math/binary.js';

test('exponent of normal, subnormal and negative numbers', () => {
  expect([1, -1, 1.999, 2, 0.75, Number.MAX_VALUE].map(exponentOf)).toEqual([0, 0, 0, 1, -1, 1023]);
  expect([2 ** -1022, 2 ** -1023, 3 * 2 ** -1074, 2 ** -1074].map(exponentOf)).toEqual([-1022, -1023, -1073, -1074]);
});

test('every power of two', () => {
  for (let e = -1074; e <= 1023; e++) {
    expect(powerOfTwo(e)).toBe(2 ** e);
    expect(exponentOf(powerOfTwo(e))).toBe(e);
  }
  expect([powerOfTwo(-1075), powerOfTwo(-2000), powerOfTwo(1024)]).toEqual([0, 0, Number.POSITIVE_INFINITY]);
});
