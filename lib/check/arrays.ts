/**
 * Array arguments: kind, length, content. What comes out is safe to hand to native code: the exact kind of typed array, attached,
 * of the right length, and (for integers, which native code uses as indices) not in memory that another thread may change.
 */
import { type InvalidInputCode, InvalidInputError } from '../errors.js';
import { describe } from './describe.js';

/** Small integer arrays: [M] and [K]. Plain arrays are copied; a typed array is used as it is. */
export type Integers = Int32Array | readonly number[];
/** Small real arrays: [M] and [K]; converted to float64 where needed. */
export type Reals = Float64Array | Float32Array | readonly number[];
/** 0 / 1 per token. */
export type Mask = Uint8Array | Uint8ClampedArray | readonly (number | boolean)[];

function fail(code: InvalidInputCode, path: string, expected: string, received: string, hint?: string): never {
  throw new InvalidInputError({ code, path, expected, received, ...(hint ? { hint } : {}) });
}

/** A detached buffer reads as length 0; saying "length 0" would hide what happened. */
export function checkAttached(array: ArrayBufferView, path: string): void {
  if (array.byteLength > 0 || array.buffer instanceof SharedArrayBuffer) return;
  try {
    new Uint8Array(array.buffer, 0, 0);
  } catch {
    fail('ERR_DETACHED', path, 'an array whose memory is there', 'an array whose buffer was transferred (detached)');
  }
}

export function checkLength(length: number, expected: number | undefined, path: string, shape: string): void {
  if (expected === undefined || length === expected) return;
  fail('ERR_LENGTH', path, `length ${expected} (${shape})`, `length ${length}`);
}

function isPlainArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

export function int32(value: unknown, path: string, shape: string, length?: number): Int32Array {
  let array: Int32Array;
  if (value instanceof Int32Array) {
    checkAttached(value, path);
    array = value.buffer instanceof SharedArrayBuffer ? new Int32Array(value) : value;
  } else if (isPlainArray(value)) {
    array = new Int32Array(value.length);
    for (let i = 0; i < array.length; i++) {
      const item = value[i];
      if (!Number.isInteger(item) || (item as number) !== ((item as number) | 0)) {
        fail('ERR_RANGE', `${path}[${i}]`, 'a 32-bit integer', describe(item));
      }
      array[i] = item as number;
    }
  } else {
    return fail('ERR_TYPE', path, `an Int32Array or an array of integers ${shape}`, describe(value));
  }
  checkLength(array.length, length, path, shape);
  return array;
}

export function float64(value: unknown, path: string, shape: string, length?: number): Float64Array {
  let array: Float64Array;
  if (value instanceof Float64Array) {
    checkAttached(value, path);
    array = value;
  } else if (value instanceof Float32Array) {
    checkAttached(value, path);
    array = Float64Array.from(value);
  } else if (isPlainArray(value)) {
    array = new Float64Array(value.length);
    for (let i = 0; i < array.length; i++) {
      const item = value[i];
      if (typeof item !== 'number') fail('ERR_TYPE', `${path}[${i}]`, 'a number', describe(item));
      array[i] = item;
    }
  } else {
    return fail('ERR_TYPE', path, `a Float64Array, a Float32Array or an array of numbers ${shape}`, describe(value));
  }
  checkLength(array.length, length, path, shape);
  return array;
}

/** Squares of signals, and sums of them, must not overflow: a standard deviation of infinity would turn everybody's credit into 0. */
export const LARGEST_SIGNAL = 1e150;

/** NaN means "no signal" and is allowed; an infinity is a mistake upstream. */
export function signal(value: unknown, path: string, shape: string, length?: number): Float64Array {
  const array = float64(value, path, shape, length);
  for (let i = 0; i < array.length; i++) {
    if (array[i] === Infinity || array[i] === -Infinity) {
      fail('ERR_NON_FINITE', `${path}[${i}]`, 'a finite number, or NaN for no signal', describe(array[i]));
    }
    if (Math.abs(array[i]) > LARGEST_SIGNAL) {
      fail('ERR_RANGE', `${path}[${i}]`, `a magnitude of at most ${LARGEST_SIGNAL}`, describe(array[i]));
    }
  }
  return array;
}

export function float32(value: unknown, path: string, shape: string, length?: number): Float32Array {
  if (!(value instanceof Float32Array)) return fail('ERR_TYPE', path, `a Float32Array ${shape}`, describe(value));
  checkAttached(value, path);
  checkLength(value.length, length, path, shape);
  return value;
}

/** A private copy with 0 or 1 in each place: native code and the caller never share it. */
export function mask(value: unknown, path: string, length?: number, shape = '[N]'): Uint8Array {
  const typed = value instanceof Uint8Array || value instanceof Uint8ClampedArray;
  if (!typed && !isPlainArray(value))
    return fail('ERR_TYPE', path, `a Uint8Array of 0 and 1 ${shape}`, describe(value));
  if (typed) checkAttached(value, path);
  checkLength(value.length, length, path, shape);
  const copy = new Uint8Array(value.length);
  for (let n = 0; n < copy.length; n++) {
    const item: unknown = value[n];
    if (item === 1 || item === true) copy[n] = 1;
    else if (item !== 0 && item !== false) fail('ERR_RANGE', `${path}[${n}]`, '0 or 1', describe(item));
  }
  return copy;
}

type Copyable = Float32Array | Float64Array | Int32Array | Uint16Array | Uint8Array;

/** The kind of an array, not its class: a subclass could override `slice`, or give back another kind through Symbol.species. */
function plainKind(array: Copyable) {
  return [Float32Array, Float64Array, Int32Array, Uint16Array].find((kind) => array instanceof kind) ?? Uint8Array;
}

/** A copy that nobody else can reach. */
export function privateCopy<T extends Copyable>(array: T): T {
  return new (plainKind(array))(array) as T;
}

/** A private copy of the values at these positions. */
export function pick<T extends Copyable>(values: T, positions: readonly number[]): T {
  const picked = new (plainKind(values))(positions.length);
  positions.forEach((position, i) => {
    picked[i] = values[position];
  });
  return picked as T;
}

const COPIED = [Int32Array, Float64Array, Float32Array, Uint8Array];

/** `privateCopy` of the typed arrays directly in a record; its other fields stay. */
export function privateCopies<T extends object>(record: T): T {
  const entries = Object.entries(record).map(([name, value]) => [
    name,
    COPIED.some((kind) => value instanceof kind) ? privateCopy(value) : value,
  ]);
  return Object.fromEntries(entries) as T;
}

/** Every active token's value is finite. */
export function finiteTokens(values: Float32Array, path: string, active: Uint8Array): void {
  for (let n = 0; n < values.length; n++) {
    if (active[n] === 1 && !Number.isFinite(values[n])) {
      fail('ERR_NON_FINITE', `${path}[${n}]`, 'a finite log-prob', String(values[n]));
    }
  }
}

/** CSR offsets [M+1]: from 0, never decreasing, to the number of tokens. */
export function offsets(value: unknown, path: string, tokens: number | undefined, length?: number): Int32Array {
  const array = int32(value, path, '[M+1]', length);
  if (array.length === 0 || array[0] !== 0) {
    fail('ERR_OFFSETS', `${path}[0]`, '0', array.length === 0 ? 'an empty array' : String(array[0]));
  }
  for (let m = 1; m < array.length; m++) {
    if (array[m] < array[m - 1]) {
      fail('ERR_OFFSETS', `${path}[${m}]`, `at least ${array[m - 1]} (offsets never decrease)`, String(array[m]));
    }
  }
  if (tokens !== undefined && array[array.length - 1] !== tokens) {
    const last = array.length - 1;
    fail('ERR_OFFSETS', `${path}[${last}]`, `${tokens} (the number of tokens)`, String(array[last]));
  }
  return array;
}

/** Token ids that index a vocabulary. */
export function targets(value: unknown, path: string, vocabulary: number, active: Uint8Array | null, length?: number) {
  const array = int32(value, path, '[N]', length);
  for (let n = 0; n < array.length; n++) {
    if ((array[n] < 0 || array[n] >= vocabulary) && (active === null || active[n] === 1)) {
      fail('ERR_TARGET', `${path}[${n}]`, `a token id in [0, ${vocabulary}) (the vocabulary)`, String(array[n]));
    }
  }
  return array;
}
