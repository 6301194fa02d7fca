/**
 * Arrays of a batch: typed arrays in host memory or, where the logits are on a device, tensors there. Of an array on a device dtype and
 * length are checked here; what is in it is the op's to check.
 */
import { checkLength } from '../check/arrays.js';
import { InvalidInputError } from '../errors.js';
import { copyToDeviceSync } from './device_memory.js';
import type { DType, TypedArrayOf } from './dtype.js';
import { blockOf, Tensor, type TensorDevice } from './tensor.js';

/** What a batch may hold besides host arrays: tensors on its device, where it is on one. */
export type OnDevice<D extends DType, At extends TensorDevice> = At extends 'cuda' ? Tensor<D, 'cuda'> : never;

/** An array of a result: where the inputs are. */
export type ArrayAt<D extends DType, At extends TensorDevice> = At extends 'cuda' ? Tensor<D, 'cuda'> : TypedArrayOf[D];

/** An array of a checked batch. */
export type Column<D extends DType = DType> = TypedArrayOf[D] | Tensor<D, 'cuda'>;

export function isOnDevice(value: unknown): value is Tensor<DType, 'cuda'> {
  return value instanceof Tensor && (value.device as TensorDevice) === 'cuda';
}

export function isOnHost<D extends DType>(column: Column<D>): column is TypedArrayOf[D] {
  return !isOnDevice(column);
}

export function lengthOf(column: Column): number {
  return isOnHost(column) ? column.length : column.size;
}

interface Wanted<D extends DType> {
  dtype: D;
  shape: string;
  length?: number | undefined;
  /** Where the batch is. */
  at: TensorDevice;
}

/** A tensor on the batch's device, or what `readHost` makes of anything else. */
export function readColumn<D extends DType>(
  value: unknown,
  path: string,
  { dtype, shape, length, at }: Wanted<D>,
  readHost: () => TypedArrayOf[D],
): Column<D> {
  if (!isOnDevice(value)) return readHost();
  const received = `a tensor of dtype ${value.dtype} on cuda`;
  if (at === 'cpu') {
    const expected = `host memory ${shape}: the batch is there, and runs where its logits (or logProbs) are`;
    throw new InvalidInputError({ code: 'ERR_DEVICE', path, expected, received });
  }
  if (value.dtype !== dtype) {
    const expected = `a tensor of dtype ${dtype} ${shape}`;
    const hint = `Make it of a host array of that dtype: await tensor(array, shape).to("cuda")`;
    throw new InvalidInputError({ code: 'ERR_TYPE', path, expected, received, hint });
  }
  checkAlive(value, path);
  checkLength(value.size, length, path, shape);
  return value as unknown as Tensor<D, 'cuda'>;
}

export function checkAlive(value: Tensor<DType, TensorDevice>, path: string): void {
  if (!value.disposed) return;
  const expected = 'a tensor that is alive';
  throw new InvalidInputError({ code: 'ERR_DISPOSED', path, expected, received: 'a disposed tensor' });
}

/** What an op's record takes for it: device memory stands there where a typed array of the same bytes would. */
export function operand<D extends DType>(column: Column<D>): TypedArrayOf[D] {
  return isOnDevice(column) ? (blockOf(column) as unknown as TypedArrayOf[D]) : (column as TypedArrayOf[D]);
}

export function operandOrNull<D extends DType>(column: Column<D> | null): TypedArrayOf[D] | null {
  return column && operand(column);
}

/** Its elements in host memory. */
export function onHost<D extends DType>(column: Column<D>): TypedArrayOf[D] {
  return isOnDevice(column) ? (column.toHostSync().data as TypedArrayOf[D]) : (column as TypedArrayOf[D]);
}

/** The same for an error's words; null where the tensor was disposed of meanwhile. */
export function shown<D extends DType>(column: Column<D> | null | undefined): TypedArrayOf[D] | null {
  if (!column || (isOnDevice(column) && column.disposed)) return null;
  return onHost(column);
}

/** Overwrites all of it. */
export function write<D extends DType>(column: Column<D>, values: TypedArrayOf[D]): void {
  if (isOnDevice(column)) copyToDeviceSync(blockOf(column), values);
  else column.set(values);
}
