/** Comparing numbers: bits where bits are promised, units in the last place where a bound is. */
import { expect } from 'vitest';
import type { DTypeOfLogits } from '../../lib/ops.js';
import { fromBf16, fromF16, toBf16, toF16 } from '../../lib/reference/index.js';

export type Numbers = Float32Array | Float64Array | Int32Array | Uint16Array | Uint8Array;

/** Same kind, same length, same bytes: -0 is not 0 and one NaN is not another. */
export function sameBits(a: Numbers, b: Numbers): boolean {
  return a.constructor === b.constructor && Buffer.compare(bytes(a), bytes(b)) === 0;
}

function bytes(array: Numbers): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

export function expectSameBits(actual: Numbers, expected: Numbers, what: string): void {
  if (sameBits(actual, expected)) return;
  expect(`${actual.constructor.name}(${actual.length})`, what).toBe(`${expected.constructor.name}(${expected.length})`);
  const width = actual.BYTES_PER_ELEMENT;
  const [a, b] = [bytes(actual), bytes(expected)];
  const at = a.findIndex((byte, i) => byte !== b[i]);
  const i = Math.floor(at / width);
  throw new Error(`${what}[${i}]: ${actual[i]} has other bits than ${expected[i]}`);
}

/** Spacing of float32 at |x|: the unit of a promise in ULP. */
export function ulp32(x: number): number {
  const magnitude = Math.max(Math.abs(Math.fround(x)), 2 ** -126);
  return 2 ** (Math.floor(Math.log2(magnitude)) - 23);
}

/** Half a unit in the last place of what a dtype stores near x. */
export function halfUlp(x: number, dtype: DTypeOfLogits): number {
  if (dtype === 'f32') return ulp32(x) / 2;
  const [digits, smallest] = dtype === 'bf16' ? [7, -126] : [10, -14];
  const magnitude = Math.max(Math.abs(x), 2 ** smallest);
  return 2 ** (Math.floor(Math.log2(magnitude)) - digits) / 2;
}

/** Values rounded to a dtype, in the array that carries it. */
export function encode(values: ArrayLike<number>, dtype: DTypeOfLogits): Float32Array | Uint16Array {
  if (dtype === 'f32') return Float32Array.from(values);
  return Uint16Array.from(values, dtype === 'bf16' ? toBf16 : toF16);
}

export function decode(data: Float32Array | Uint16Array, dtype: DTypeOfLogits): Float64Array {
  if (dtype === 'f32') return Float64Array.from(data);
  return Float64Array.from(data, dtype === 'bf16' ? fromBf16 : fromF16);
}

/** Largest |a - b| over the largest |b|. NaN must stand in the same places. */
export function deviation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < a.length; i++) {
    if (Number.isNaN(a[i]) && Number.isNaN(b[i])) continue;
    const d = Math.abs(a[i] - b[i]);
    difference = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(difference, d);
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference === 0 ? 0 : difference / scale;
}
