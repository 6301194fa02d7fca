/** Logits and the arrays of their shape: what is accepted, and what may cross into native code in which kind of call. */

import { checkAttached, checkLength, privateCopies, privateCopy } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { InvalidInputError } from '../errors.js';
import type { DTypeOfLogits, Rows } from '../ops.js';
import { type Column, checkAlive, isOnDevice, lengthOf, operand } from '../tensor/column.js';
import type { DType, FloatDType, TypedArrayOf } from '../tensor/dtype.js';
import { isPinned } from '../tensor/memory.js';
import { Tensor, type TensorDevice } from '../tensor/tensor.js';
import type { Workspace } from '../tensor/workspace.js';

/** [N, V], row-major. A Float32Array, or a tensor where the dtype is bf16 or f16. */
export type Logits = Float32Array | Tensor<FloatDType>;
/** The same on a GPU: the call then runs there, and its results stay there. */
export type DeviceLogits = Tensor<FloatDType, 'cuda'>;
export type AnyLogits = Logits | DeviceLogits;

/** Where the logits (or log-probs) of a batch are, the batch is. */
export type PlaceOf<L> = L extends Tensor<DType, infer At> ? At : 'cpu';

/** The array kind of the gradient is that of the input: a tensor gives a tensor of its dtype and shape, where it is. */
export type Like<L extends AnyLogits> =
  L extends Tensor<infer D extends FloatDType, infer At extends TensorDevice> ? Tensor<D, At> : Float32Array;

/** Checked logits, or a gradient of their shape. */
export interface Matrix {
  data: Column<FloatDType>;
  dtype: DTypeOfLogits;
  width: number;
}

const FLOATS: readonly string[] = ['f32', 'bf16', 'f16'] satisfies DTypeOfLogits[];

function unwrap(
  value: unknown,
  path: string,
): { data: Column<FloatDType>; dtype: DTypeOfLogits; shape: readonly number[] | null } {
  if (isOnDevice(value) && FLOATS.includes(value.dtype)) {
    checkAlive(value, path);
    const data = value as unknown as DeviceLogits;
    return { data, dtype: data.dtype, shape: data.shape };
  }
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
export function readLogits(value: unknown, path: string, count: number): Matrix {
  const { data, dtype, shape } = unwrap(value, path);
  const size = lengthOf(data);
  const width = count === 0 ? (shape?.[1] ?? 1) : size / count;
  const shapeFits = shape === null || (shape.length === 2 && shape[0] === count && shape[1] === width);
  if (!Number.isInteger(width) || width < 1 || size !== count * width || !shapeFits) {
    throw new InvalidInputError({
      code: 'ERR_LENGTH',
      path,
      expected: `[N, V] with N = ${count} (targets.length) rows of V >= 1`,
      received: shape ? `shape [${shape.join(', ')}]` : `length ${size}`,
    });
  }
  if (width > 2 ** 31 - 1) {
    const expected = 'a vocabulary of at most 2^31 - 1';
    throw new InvalidInputError({ code: 'ERR_RANGE', path, expected, received: String(width) });
  }
  return { data, dtype, width };
}

/** A buffer for the gradient: the caller's, the logits themselves, or a new one. */
export function gradientRows(logits: Matrix, out: unknown, inPlace: boolean, memory: Workspace): Matrix {
  if (inPlace) {
    if (out !== undefined) {
      const expected = 'either inPlace or out.logits';
      throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'out.logits', expected, received: 'both' });
    }
    return logits;
  }
  if (out === undefined) {
    const size = lengthOf(logits.data);
    return { ...logits, data: memory.result(logits.dtype, [size / logits.width, logits.width]) };
  }
  const given = unwrap(out, 'out.logits');
  checkPlace(given.data, memory.at, 'out.logits');
  if (given.dtype !== logits.dtype) {
    const expected = `dtype ${logits.dtype} (that of logits)`;
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'out.logits', expected, received: `dtype ${given.dtype}` });
  }
  checkLength(lengthOf(given.data), lengthOf(logits.data), 'out.logits', '[N, V]');
  if (given.shape && (given.shape.length !== 2 || given.shape[1] !== logits.width)) {
    const expected = `a tensor of shape [N, ${logits.width}]`;
    const received = `shape [${given.shape.join(', ')}]`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'out.logits', expected, received });
  }
  checkDisjoint(given.data, logits.data);
  return { ...logits, data: given.data };
}

/** What is written must be where the batch is. */
export function checkPlace(column: Column, at: TensorDevice, path: string): void {
  if (isOnDevice(column) === (at === 'cuda')) return;
  const [expected, received] =
    at === 'cuda'
      ? ['a tensor on cuda, as the batch', 'host memory']
      : ['host memory, as the batch', 'a tensor on cuda'];
  throw new InvalidInputError({ code: 'ERR_DEVICE', path, expected, received });
}

function overlaps(a: Column, b: Column): boolean {
  if (isOnDevice(a) || isOnDevice(b)) return a === b;
  if (a.buffer !== b.buffer || a.byteLength === 0 || b.byteLength === 0) return false;
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

function checkDisjoint(out: Column<FloatDType>, logits: Column<FloatDType>): void {
  if (!overlaps(out, logits)) return;
  throw new InvalidInputError({
    code: 'ERR_OVERLAP',
    path: 'out.logits',
    expected: 'memory apart from logits (or inPlace: true)',
    received: 'a view that overlaps logits',
  });
}

/** The gradient is written while other rows' inputs are still to be read: it must not lie on any of them. */
export function checkApart(gradient: Column, inputs: Record<string, Column | null>): void {
  for (const [path, input] of Object.entries(inputs)) {
    if (input === null || !overlaps(gradient, input)) continue;
    const expected = 'memory apart from what the gradient is written to';
    throw new InvalidInputError({ code: 'ERR_OVERLAP', path, expected, received: 'a view that overlaps it' });
  }
}

/**
 * The array itself in a synchronous call; in an asynchronous one a private copy, unless its memory cannot be taken away. An
 * ArrayBuffer of the caller's can be transferred or shrunk while native code reads it.
 */
export function keep<D extends DType>(column: Column<D>, asynchronous: boolean): Column<D> {
  if (isOnDevice(column) || !asynchronous) return column;
  const array = column as TypedArrayOf[D];
  return isPinned(array) ? array : privateCopy(array);
}

/** The op's record of a matrix. */
export function rowsArgs({ data, dtype, width }: Matrix): Rows {
  return { data: operand(data), dtype, width };
}

/**
 * In an asynchronous call, private copies of the small arrays directly in a record. Always copies: native code uses some of them as indices, which
 * must not change after they were checked, not even in memory that cannot be taken away.
 */
export function keepAll<T extends object>(record: T, asynchronous: boolean): T {
  return asynchronous ? privateCopies(record) : record;
}

/** An array that an asynchronous call writes into must be pinned: a copy would not be what the caller gets back. */
export function checkWritable(column: Column, path: string, asynchronous: boolean): void {
  if (!asynchronous || isOnDevice(column) || isPinned(column)) return;
  throw new InvalidInputError({
    code: 'ERR_BORROWED_BUFFER',
    path,
    expected:
      'memory of Tensor.alloc, or a view of a SharedArrayBuffer (an ArrayBuffer can be transferred while the call runs)',
    received: describe(column),
  });
}
