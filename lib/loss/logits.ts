/** Logits and the arrays of their shape: what is accepted, and what may cross into native code in which kind of call. */

import { checkAttached, checkLength, privateCopies, privateCopy } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { InvalidInputError } from '../errors.js';
import type { DTypeOfLogits, Rows } from '../ops.js';
import type { FloatDType, TypedArrayOf } from '../tensor/dtype.js';
import { owns } from '../tensor/memory.js';
import { Tensor } from '../tensor/tensor.js';

/** [N, V], row-major. A Float32Array, or a tensor where the dtype is bf16 or f16. */
export type Logits = Float32Array | Tensor<FloatDType>;

type FloatArray = Float32Array | Uint16Array;

const FLOATS: readonly string[] = ['f32', 'bf16', 'f16'] satisfies DTypeOfLogits[];

function unwrap(
  value: unknown,
  path: string,
): { data: FloatArray; dtype: DTypeOfLogits; shape: readonly number[] | null } {
  if (value instanceof Tensor && FLOATS.includes(value.dtype)) {
    const data: TypedArrayOf[FloatDType] = value.data;
    checkAttached(data, path);
    return { data, dtype: value.dtype, shape: value.shape };
  }
  if (value instanceof Float32Array) {
    checkAttached(value, path);
    return { data: value, dtype: 'f32', shape: null };
  }
  throw new InvalidInputError({
    code: value === undefined ? 'ERR_MISSING' : 'ERR_TYPE',
    path,
    expected: 'a Float32Array, or a tensor of dtype f32, bf16 or f16 [N, V]',
    received: value instanceof Tensor ? `a tensor of dtype ${value.dtype}` : describe(value),
  });
}

/** Logits of `count` rows; V follows from the length. */
export function readLogits(value: unknown, path: string, count: number): Rows {
  const { data, dtype, shape } = unwrap(value, path);
  const width = count === 0 ? (shape?.[1] ?? 1) : data.length / count;
  const shapeFits = shape === null || (shape.length === 2 && shape[0] === count && shape[1] === width);
  if (!Number.isInteger(width) || width < 1 || data.length !== count * width || !shapeFits) {
    throw new InvalidInputError({
      code: 'ERR_LENGTH',
      path,
      expected: `[N, V] with N = ${count} (targets.length) rows of V >= 1`,
      received: shape ? `shape [${shape.join(', ')}]` : `length ${data.length}`,
    });
  }
  if (width > 2 ** 31 - 1) {
    const expected = 'a vocabulary of at most 2^31 - 1';
    throw new InvalidInputError({ code: 'ERR_RANGE', path, expected, received: String(width) });
  }
  return { data, dtype, width };
}

/** A buffer for the gradient: the caller's, the logits themselves, or a new one. */
export function gradientRows(logits: Rows, out: unknown, inPlace: boolean): Rows {
  if (inPlace) {
    if (out !== undefined) {
      const expected = 'either inPlace or out.logits';
      throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'out.logits', expected, received: 'both' });
    }
    return logits;
  }
  if (out === undefined) {
    const Elements = logits.dtype === 'f32' ? Float32Array : Uint16Array;
    return { ...logits, data: new Elements(logits.data.length) };
  }
  const given = unwrap(out, 'out.logits');
  if (given.dtype !== logits.dtype) {
    const expected = `dtype ${logits.dtype} (that of logits)`;
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'out.logits', expected, received: `dtype ${given.dtype}` });
  }
  checkLength(given.data.length, logits.data.length, 'out.logits', '[N, V]');
  if (given.shape && (given.shape.length !== 2 || given.shape[1] !== logits.width)) {
    const expected = `a tensor of shape [N, ${logits.width}]`;
    const received = `shape [${given.shape.join(', ')}]`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'out.logits', expected, received });
  }
  checkDisjoint(given.data, logits.data);
  return { ...logits, data: given.data };
}

function overlaps(a: ArrayBufferView, b: ArrayBufferView): boolean {
  if (a.buffer !== b.buffer || a.byteLength === 0 || b.byteLength === 0) return false;
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

function checkDisjoint(out: FloatArray, logits: FloatArray): void {
  if (!overlaps(out, logits)) return;
  throw new InvalidInputError({
    code: 'ERR_OVERLAP',
    path: 'out.logits',
    expected: 'memory apart from logits (or inPlace: true)',
    received: 'a view that overlaps logits',
  });
}

/** The gradient is written while other rows' inputs are still to be read: it must not lie on any of them. */
export function checkApart(gradient: FloatArray, inputs: Record<string, ArrayBufferView | null>): void {
  for (const [path, input] of Object.entries(inputs)) {
    if (input === null || !overlaps(gradient, input)) continue;
    const expected = 'memory apart from what the gradient is written to';
    throw new InvalidInputError({ code: 'ERR_OVERLAP', path, expected, received: 'a view that overlaps it' });
  }
}

/** Whether an asynchronous call may keep a pointer into this array: nobody can take the memory away while it runs. */
function isPinned(array: ArrayBufferView): boolean {
  return array.byteLength === 0 || array.buffer instanceof SharedArrayBuffer || owns(array);
}

/**
 * The array itself in a synchronous call; in an asynchronous one a private copy, unless its memory cannot be taken away. An
 * ArrayBuffer of the caller's can be transferred or shrunk while native code reads it.
 */
export function keep<T extends Float32Array | Float64Array | Int32Array | Uint16Array | Uint8Array>(
  array: T,
  asynchronous: boolean,
): T {
  return asynchronous && !isPinned(array) ? privateCopy(array) : array;
}

/**
 * In an asynchronous call, private copies of the small arrays directly in a record. Always copies: native code uses some of them as indices, which
 * must not change after they were checked, not even in memory that cannot be taken away.
 */
export function keepAll<T extends object>(record: T, asynchronous: boolean): T {
  return asynchronous ? privateCopies(record) : record;
}

/** An array that an asynchronous call writes into must be pinned: a copy would not be what the caller gets back. */
export function checkWritable(array: ArrayBufferView, path: string, asynchronous: boolean): void {
  if (!asynchronous || isPinned(array)) return;
  throw new InvalidInputError({
    code: 'ERR_BORROWED_BUFFER',
    path,
    expected:
      'memory of Tensor.alloc, or a view of a SharedArrayBuffer (an ArrayBuffer can be transferred while the call runs)',
    received: describe(array),
  });
}
