/** Rows of a [N, V] matrix of any dtype as float64, one at a time: the matrix is never copied as a whole. */
import type { Rows } from '../../ops.js';
import { fromBf16, fromF16, toBf16, toF16 } from '../math/half.js';

/** Whether `rows` is a [count, width] matrix whose array type fits its dtype. */
export function isMatrix(rows: Rows, count: number): boolean {
  const typed = rows.dtype === 'f32' ? rows.data instanceof Float32Array : rows.data instanceof Uint16Array;
  return typed && (rows.width >= 1 || count === 0) && rows.data.length === count * rows.width;
}

/** Reads row n into `row` [V]. */
export function readRow(rows: Rows, n: number, row: Float64Array): void {
  const { data, dtype, width } = rows;
  const start = n * width;
  for (let v = 0; v < width; v++) {
    const stored = data[start + v];
    row[v] = dtype === 'f32' ? stored : dtype === 'bf16' ? fromBf16(stored) : fromF16(stored);
  }
}

/**
 * Writes `row` [V] as row n, rounded to the dtype.
 *
 * @returns how many elements, not 0 in float32, the rounding to 16 bits made 0
 */
export function writeRow(rows: Rows, n: number, row: Float64Array): number {
  const { data, dtype, width } = rows;
  const start = n * width;
  let underflowed = 0;
  for (let v = 0; v < width; v++) {
    const stored = dtype === 'f32' ? row[v] : dtype === 'bf16' ? toBf16(row[v]) : toF16(row[v]);
    data[start + v] = stored;
    if (dtype !== 'f32' && (stored & 0x7fff) === 0 && Math.fround(row[v]) !== 0) underflowed++;
  }
  return underflowed;
}
