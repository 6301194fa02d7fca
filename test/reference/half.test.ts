/** bf16 and f16: every code, every midpoint, and what a second rounding through float32 would get wrong. */
import { describe, expect, test } from 'vitest';
import { fromBf16, fromF16, toBf16, toF16 } from '../../lib/reference/index.js';

const formats = [
  { name: 'bf16', from: fromBf16, to: toBf16, infinity: 0x7f80, nan: 0x7fc0 },
  { name: 'f16', from: fromF16, to: toF16, infinity: 0x7c00, nan: 0x7e00 },
];

describe.each(formats)('$name', ({ from, to, infinity, nan }) => {
  test('every code survives decoding and encoding', () => {
    const wrong: number[] = [];
    for (let code = 0; code < 0x10000; code++) {
      const expected = (code & 0x7fff) > infinity ? nan : code;
      if (to(from(code)) !== expected) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  test('midpoints go to the even neighbour, anything beside them to the nearer one', () => {
    const wrong: number[] = [];
    for (let code = 0; code + 1 < infinity; code++) {
      const middle = (from(code) + from(code + 1)) / 2;
      const even = code % 2 === 0 ? code : code + 1;
      const right =
        to(middle) === even && to(middle * (1 - 2 ** -50)) === code && to(middle * (1 + 2 ** -50)) === code + 1;
      if (!right || to(-middle) !== (even | 0x8000)) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  test('NaN, infinities and overflow', () => {
    expect(to(Number.NaN)).toBe(nan);
    expect(to(Number.POSITIVE_INFINITY)).toBe(infinity);
    expect(to(Number.NEGATIVE_INFINITY)).toBe(infinity | 0x8000);
    expect(to(1e300)).toBe(infinity);
    expect(to(1e-300)).toBe(0);
    expect(to(-1e-300)).toBe(0x8000);
    expect(from(nan)).toBeNaN();
  });
});

test('known codes', () => {
  expect([toBf16(1), toBf16(-2), toBf16(3.140625)]).toEqual([0x3f80, 0xc000, 0x4049]);
  expect([toF16(1), toF16(-2), toF16(65504), toF16(65519.9), toF16(65520)]).toEqual([
    0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00,
  ]);
  expect([toF16(2 ** -24), toF16(2 ** -25), toF16(1.01 * 2 ** -25)]).toEqual([1, 0, 1]);
  expect(toBf16(2 ** -133)).toBe(1);
});

test('float64 is rounded once: through float32 this would become a tie and go down', () => {
  expect(toBf16(1 + 2 ** -8 + 2 ** -40)).toBe(0x3f81);
  expect(toF16(1 + 2 ** -11 + 2 ** -40)).toBe(0x3c01);
});
