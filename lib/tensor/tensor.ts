/// <reference lib="esnext.disposable" preserve="true" />
import { checkAttached } from '../check/arrays.js';
import { alternatives, describe } from '../check/describe.js';
import { BackendError, InvalidInputError } from '../errors.js';
import {
  CONSTRUCTORS,
  DTYPES,
  type DType,
  type DTypeOf,
  type ImplyingArray,
  impliedDType,
  type TypedArrayOf,
} from './dtype.js';
import { allocate, release } from './memory.js';

/** Where a tensor's memory is. */
export type TensorDevice = 'cpu' | 'cuda';

type Owned = ArrayBuffer | SharedArrayBuffer;

/**
 * A typed buffer with a shape: row-major, contiguous, nothing more (no arithmetic).
 *
 * Memory made by `Tensor.alloc` is 64-byte aligned, reference-counted by native code and therefore safe in asynchronous
 * calls, even when the buffer is transferred or disposed of while a call runs. `tensor(data, shape)` borrows the caller's array.
 */
export class Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly device: TensorDevice = 'cpu';
  #data: TypedArrayOf[D] | null;
  readonly #owned: Owned | null;

  private constructor(data: TypedArrayOf[D], dtype: D, shape: readonly number[], owned: Owned | null) {
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    this.#data = data;
    this.#owned = owned;
  }

  /** Zero-filled, 64-byte-aligned memory of the library's own. */
  static alloc<D extends DType>(shape: readonly number[], dtype: D, device: TensorDevice = 'cpu'): Tensor<D> {
    checkDType(dtype);
    const size = sizeOf(shape);
    if (device !== 'cpu') throw noDevice(device, 'Tensor.alloc');
    const Elements = CONSTRUCTORS[dtype];
    const owned = allocate(size * Elements.BYTES_PER_ELEMENT);
    return new Tensor(new Elements(owned, 0, size), dtype, shape, owned);
  }

  /** Borrows `data` without a copy. */
  static from<D extends DType>(data: TypedArrayOf[D], shape: readonly number[], dtype: D): Tensor<D> {
    checkDType(dtype);
    if (!(data instanceof CONSTRUCTORS[dtype])) {
      const expected = `a ${CONSTRUCTORS[dtype].name} (dtype ${dtype})`;
      throw new InvalidInputError({ code: 'ERR_TYPE', path: 'data', expected, received: describe(data) });
    }
    checkAttached(data, 'data');
    const size = sizeOf(shape);
    if (data.length !== size) {
      const expected = `length ${size} (shape [${shape.join(', ')}])`;
      throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'data', expected, received: `length ${data.length}` });
    }
    return new Tensor(data, dtype, shape, null);
  }

  /** The elements; throws ERR_DISPOSED after `dispose()`. */
  get data(): TypedArrayOf[D] {
    if (this.#data === null) {
      const expected = 'a tensor that is alive';
      throw new InvalidInputError({ code: 'ERR_DISPOSED', path: 'tensor', expected, received: 'a disposed tensor' });
    }
    return this.#data;
  }

  get size(): number {
    return this.data.length;
  }

  get disposed(): boolean {
    return this.#data === null;
  }

  /** This tensor's elements in host memory: itself where it is there already. */
  async toHost(): Promise<Tensor<D>> {
    return this.to('cpu');
  }

  async to(device: TensorDevice): Promise<Tensor<D>> {
    if (this.disposed) void this.data;
    if (device !== 'cpu') throw noDevice(device, 'Tensor.to');
    return this;
  }

  /** Gives library memory back now instead of at garbage collection. Borrowed arrays stay as they are. */
  dispose(): void {
    if (this.#data !== null && this.#owned !== null) release(this.#owned);
    this.#data = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * A tensor over the caller's typed array, without a copy. `dtype` may be left out where the array implies it; a Uint16Array
 * needs 'bf16' or 'f16'.
 */
export function tensor<D extends DType>(data: TypedArrayOf[D], shape: readonly number[], dtype: D): Tensor<D>;
export function tensor<A extends ImplyingArray>(data: A, shape: readonly number[]): Tensor<DTypeOf<A>>;
export function tensor<D extends DType>(data: TypedArrayOf[D], shape: readonly number[], dtype?: D): Tensor<D> {
  const implied = dtype ?? (impliedDType(data) as D | undefined);
  if (implied === undefined) {
    const expected = data instanceof Uint16Array ? '"bf16" or "f16" for a Uint16Array' : 'a typed array with a dtype';
    const received = data instanceof Uint16Array ? 'undefined' : describe(data);
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'dtype', expected, received });
  }
  return Tensor.from(data, shape, implied);
}

function checkDType(dtype: unknown): void {
  if ((DTYPES as readonly unknown[]).includes(dtype)) return;
  const expected = alternatives(DTYPES);
  throw new InvalidInputError({ code: 'ERR_RANGE', path: 'dtype', expected, received: describe(dtype) });
}

function sizeOf(shape: readonly number[]): number {
  if (!Array.isArray(shape)) {
    const expected = 'an array of extents, as [N, V]';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'shape', expected, received: describe(shape) });
  }
  let size = 1;
  for (let i = 0; i < shape.length; i++) {
    const extent: unknown = shape[i];
    if (!Number.isInteger(extent) || (extent as number) < 0) {
      const expected = 'an integer of at least 0';
      throw new InvalidInputError({ code: 'ERR_RANGE', path: `shape[${i}]`, expected, received: describe(extent) });
    }
    size *= extent as number;
  }
  if (!Number.isSafeInteger(size)) {
    const expected = 'a product of at most 2^53 - 1';
    throw new InvalidInputError({ code: 'ERR_RANGE', path: 'shape', expected, received: `[${shape.join(', ')}]` });
  }
  return size;
}

function noDevice(device: string, op: string): BackendError {
  const message = `${op}: device "${device}" is not available in this build; see info().cuda`;
  return new BackendError(message, { code: 'ERR_BACKEND_UNAVAILABLE', device, op });
}
