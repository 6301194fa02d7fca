/// <reference lib="esnext.disposable" preserve="true" />
import type { DeviceBlock } from '../backend/native.js';
import { checkAttached, privateCopy } from '../check/arrays.js';
import { alternatives, describe } from '../check/describe.js';
import { InvalidInputError } from '../errors.js';
import {
  allocateOnDevice,
  copyToDevice,
  copyToDeviceSync,
  copyToHost,
  copyToHostSync,
  referToDevice,
  releaseOnDevice,
} from './device_memory.js';
import {
  CONSTRUCTORS,
  DTYPES,
  type DType,
  type DTypeOf,
  type ImplyingArray,
  impliedDType,
  type TypedArrayOf,
} from './dtype.js';
import { allocate, isPinned, release } from './memory.js';

/** Where a tensor's memory is. */
export type TensorDevice = 'cpu' | 'cuda';

declare const onTheDevice: unique symbol;

/** What the elements of a tensor on a GPU are to the host: nothing that any array would do for. */
export interface OnTheDevice {
  readonly [onTheDevice]: 'await tensor.toHost()';
}

/** Memory of a tensor: a typed array, with the buffer under it where that is the library's, or a block of a device. */
type Storage<D extends DType> =
  | { readonly data: TypedArrayOf[D]; readonly owned: ArrayBuffer | SharedArrayBuffer | null }
  | { readonly block: DeviceBlock };

/** The device memory of a tensor on a GPU; for the calls that hand it to native code. */
export let blockOf: (tensor: Tensor<DType, TensorDevice>) => DeviceBlock;
/** A tensor on the GPU with whatever was there; for what an op writes before anybody reads it. */
export let unwritten: <D extends DType>(shape: readonly number[], dtype: D) => Tensor<D, 'cuda'>;

/**
 * A typed buffer with a shape: row-major, contiguous, nothing more (no arithmetic).
 *
 * Memory made by `Tensor.alloc` is reference-counted by native code and therefore safe in asynchronous calls, even when the tensor is
 * disposed of while a call runs; in host memory it is 64-byte aligned. `tensor(data, shape)` borrows the caller's array,
 * `Tensor.fromPointer` another library's device memory. A tensor that nobody holds any more gives its memory back when it is collected;
 * a GPU's memory is scarce and its size unknown to the collector, so dispose of those.
 */
export class Tensor<D extends DType = DType, At extends TensorDevice = 'cpu'> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly device: At;
  /** Number of elements. */
  readonly size: number;
  #storage: Storage<D> | null;

  static {
    blockOf = (tensor) => {
      const storage = tensor.#alive();
      if ('block' in storage) return storage.block;
      throw wrongDevice('cuda', 'a tensor in host memory (await tensor.to("cuda"))');
    };
    unwritten = (shape, dtype) => {
      const bytes = sizeOf(shape) * CONSTRUCTORS[dtype].BYTES_PER_ELEMENT;
      return new Tensor({ block: allocateOnDevice(bytes, false) }, dtype, shape);
    };
  }

  private constructor(storage: Storage<D>, dtype: D, shape: readonly number[]) {
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    this.size = sizeOf(shape);
    this.device = ('block' in storage ? 'cuda' : 'cpu') as At;
    this.#storage = storage;
  }

  /**
   * Zero-filled memory of the library's own.
   * @throws BackendError ERR_OUT_OF_MEMORY, or ERR_BACKEND_UNAVAILABLE where there is no such device
   */
  static alloc<D extends DType>(shape: readonly number[], dtype: D): Tensor<D>;
  static alloc<D extends DType, At extends TensorDevice>(shape: readonly number[], dtype: D, device: At): Tensor<D, At>;
  static alloc<D extends DType>(
    shape: readonly number[],
    dtype: D,
    device: TensorDevice = 'cpu',
  ): Tensor<D, TensorDevice> {
    checkDType(dtype);
    const size = sizeOf(shape);
    const Elements = CONSTRUCTORS[dtype];
    const bytes = size * Elements.BYTES_PER_ELEMENT;
    if (checkDevice(device) === 'cuda') return new Tensor({ block: allocateOnDevice(bytes) }, dtype, shape);
    const owned = allocate(bytes);
    return new Tensor({ data: new Elements(owned, 0, size), owned }, dtype, shape);
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
    return new Tensor({ data, owned: null }, dtype, shape);
  }

  /**
   * Borrows device memory of another library by its address: row-major, contiguous, on the device that turnwise uses. Whoever owns it keeps
   * it alive, and has finished writing it (its stream synchronised) before a call here reads it.
   */
  static fromPointer<D extends DType>(address: bigint, shape: readonly number[], dtype: D): Tensor<D, 'cuda'> {
    checkDType(dtype);
    if (typeof address !== 'bigint') {
      const expected = 'an address as a bigint';
      throw new InvalidInputError({ code: 'ERR_TYPE', path: 'address', expected, received: describe(address) });
    }
    const bytes = CONSTRUCTORS[dtype].BYTES_PER_ELEMENT;
    const misaligned = address % BigInt(bytes) !== 0n;
    const block = misaligned ? null : referToDevice(address, sizeOf(shape) * bytes);
    if (block === null) {
      const expected = misaligned
        ? `an address that is a multiple of ${bytes}`
        : `${sizeOf(shape) * bytes} bytes of device memory`;
      throw new InvalidInputError({
        code: 'ERR_RANGE',
        path: 'address',
        expected,
        received: `0x${address.toString(16)}`,
      });
    }
    return new Tensor({ block }, dtype, shape);
  }

  /** The elements, in host memory; throws ERR_DISPOSED after `dispose()`, ERR_DEVICE for a tensor on a GPU. */
  get data(): At extends 'cpu' ? TypedArrayOf[D] : OnTheDevice {
    const storage = this.#alive();
    if ('data' in storage) return storage.data as At extends 'cpu' ? TypedArrayOf[D] : OnTheDevice;
    throw wrongDevice('cpu', 'a tensor on cuda (await tensor.toHost())');
  }

  get disposed(): boolean {
    return this.#storage === null;
  }

  /** This tensor's elements in host memory: itself where it is there already. */
  async toHost(): Promise<Tensor<D>> {
    return this.to('cpu');
  }

  toHostSync(): Tensor<D> {
    return this.toSync('cpu');
  }

  /** A copy on `device`; the tensor itself where it is there already. */
  async to<T extends TensorDevice>(device: T): Promise<Tensor<D, T>> {
    const storage = this.#alive();
    if (this.#isOn(device)) return this;
    const there = Tensor.alloc(this.shape, this.dtype, device);
    try {
      if ('block' in storage) await copyToHost(storage.block, there.data as TypedArrayOf[D]);
      // A borrowed array could be taken away while it is read.
      else await copyToDevice(blockOf(there), isPinned(storage.data) ? storage.data : privateCopy(storage.data));
      return there;
    } catch (error) {
      there.dispose();
      throw error;
    }
  }

  toSync<T extends TensorDevice>(device: T): Tensor<D, T> {
    const storage = this.#alive();
    if (this.#isOn(device)) return this;
    const there = Tensor.alloc(this.shape, this.dtype, device);
    try {
      if ('block' in storage) copyToHostSync(storage.block, there.data as TypedArrayOf[D]);
      else copyToDeviceSync(blockOf(there), storage.data);
      return there;
    } catch (error) {
      there.dispose();
      throw error;
    }
  }

  /** Gives library memory back now instead of at garbage collection. Borrowed memory stays as it is. */
  dispose(): void {
    const storage = this.#storage;
    this.#storage = null;
    if (storage === null) return;
    if ('block' in storage) releaseOnDevice(storage.block);
    else if (storage.owned !== null) release(storage.owned);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #isOn<T extends TensorDevice>(device: T): this is Tensor<D, T> {
    return checkDevice(device) === (this.device as TensorDevice);
  }

  #alive(): Storage<D> {
    if (this.#storage !== null) return this.#storage;
    const expected = 'a tensor that is alive';
    throw new InvalidInputError({ code: 'ERR_DISPOSED', path: 'tensor', expected, received: 'a disposed tensor' });
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

const TENSOR_DEVICES: readonly TensorDevice[] = ['cpu', 'cuda'];

function checkDevice(device: unknown): TensorDevice {
  if ((TENSOR_DEVICES as readonly unknown[]).includes(device)) return device as TensorDevice;
  const expected = alternatives(TENSOR_DEVICES);
  throw new InvalidInputError({ code: 'ERR_RANGE', path: 'device', expected, received: describe(device) });
}

function wrongDevice(expected: TensorDevice, received: string): InvalidInputError {
  return new InvalidInputError({ code: 'ERR_DEVICE', path: 'tensor', expected: `a tensor on ${expected}`, received });
}
