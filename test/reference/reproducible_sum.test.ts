/** The order-independent sum: exact where it claims to be, and at the ends of the float64 range. */
import { describe, expect, test } from 'vitest';
import { reproducibleSum } from '../../lib/reference/index.js';
import { random } from './fixtures.js';

const sum = (values: number[]) => reproducibleSum(values.length, (i) => values[i]);
const { MAX_VALUE, POSITIVE_INFINITY: INF } = Number;

function shuffled(values: number[], next: () => number): number[] {
  const order = values.map((value) => ({ value, key: next() }));
  return order.sort((a, b) => a.key - b.key).map(({ value }) => value);
}

describe('order', () => {
  // Lengths around powers of two, where the number of guard bits changes.
  test.each([1, 2, 3, 4, 5, 127, 128, 129, 4096, 5000])('%i terms: the same bits in any order', (count) => {
    const next = random(count);
    const values = Array.from({ length: count }, () => (next() - 0.5) * 10 ** Math.floor(40 * next() - 20));
    const expected = sum(values);
    for (let trial = 0; trial < 20; trial++) expect(Object.is(sum(shuffled(values, next)), expected)).toBe(true);
  });

  // 1 and -1 set the first anchor and cancel; the rest lies below half its unit 2^(1 + bits - 52), where only the
  // second fold sees it. 53 random bits each, so that a second anchor of the wrong size cannot hold their sum.
  test.each([3, 4, 5, 8, 9])('%i terms below the unit of the first fold', (count) => {
    const next = random(100 + count);
    const bits = Math.ceil(Math.log2(count + 2)) + 1;
    for (let trial = 0; trial < 200; trial++) {
      const full = () => next() - 0.5 + (next() - 0.5) * 2 ** -30;
      const values = [1, -1, ...Array.from({ length: count }, () => full() * 2 ** (bits - 51))];
      const expected = sum(values);
      for (let i = 0; i < 5; i++) expect(Object.is(sum(shuffled(values, next)), expected)).toBe(true);
    }
  });

  test('a plain sum does not pass the same test', () => {
    const next = random(1);
    const values = Array.from({ length: 5000 }, () => (next() - 0.5) * 10 ** Math.floor(40 * next() - 20));
    const plain = new Set(Array.from({ length: 20 }, () => shuffled(values, next).reduce((a, b) => a + b, 0)));
    expect(plain.size).toBeGreaterThan(1);
  });
});

describe('value', () => {
  test('nothing and zeros give +0', () => {
    expect(sum([])).toBe(0);
    expect(sum([0, -0, 0])).toBe(0);
    expect(sum([1, -1])).toBe(0);
  });

  test('one term comes back unchanged', () => {
    for (const x of [1, -0.1, 1 / 3, MAX_VALUE, 2 ** -1074, 0.1 * 2 ** -1000]) expect(sum([x])).toBe(x);
  });

  test('what a plain sum cancels away', () => {
    expect(sum([2 ** 60, 1, -(2 ** 60)])).toBe(1);
    expect(sum([1e16, 1, 1, -1e16])).toBe(2);
  });

  // All terms at the very top of their binade: the largest partial sums an anchor has to hold.
  test.each([2, 3, 4, 1000, 1024, 65536])('%i terms just below a power of two', (count) => {
    const top = 1 - 2 ** -53;
    expect(sum(Array.from({ length: count }, () => top))).toBe(count * top);
    expect(sum(Array.from({ length: count }, () => -top))).toBe(-count * top);
  });

  test('equals the exact integer sum', () => {
    const next = random(7);
    const integers = Array.from({ length: 3000 }, () => Math.round((next() - 0.5) * 2 ** 53));
    const exact = Number(integers.reduce((total, x) => total + BigInt(x), 0n));
    expect(sum(integers)).toBe(exact);
  });
});

describe('range', () => {
  test('large terms do not overflow on the way', () => {
    expect(sum([MAX_VALUE, MAX_VALUE / 2, -MAX_VALUE])).toBe(MAX_VALUE / 2);
    expect(sum([MAX_VALUE, MAX_VALUE, -MAX_VALUE, -MAX_VALUE, 2 ** 1000])).toBe(2 ** 1000);
    expect(sum([MAX_VALUE, MAX_VALUE])).toBe(INF);
  });

  test('subnormal terms are not dropped', () => {
    const tiny = 2 ** -1074;
    expect(sum([tiny, tiny, -5 * tiny])).toBe(-3 * tiny);
    expect(sum([2 ** -1000, tiny, -(2 ** -1000)])).toBe(tiny);
    expect(sum([2 ** -990 / 3, tiny, -(2 ** -990) / 3])).toBe(tiny);
  });

  test('infinite and NaN terms', () => {
    expect(sum([1, INF])).toBe(INF);
    expect(sum([INF, -INF])).toBeNaN();
    expect(sum([1, Number.NaN, 2])).toBeNaN();
    // Added up in this order, the finite terms would reach +Infinity before they meet -Infinity.
    expect(sum([MAX_VALUE, MAX_VALUE, -INF])).toBe(-INF);
  });
});
