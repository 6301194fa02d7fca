/** Batches and results between host memory and the GPU (or its emulation), for the tests that need one. */
import { describe } from 'vitest';
import type { DType } from '../../lib/index.js';
import { info, Tensor, type TensorDevice, tensor } from '../../lib/index.js';
import { impliedDType, type TypedArrayOf } from '../../lib/tensor/dtype.js';

/** Describes what needs a device; skipped by name where there is none. */
export const describeCuda = describe.skipIf(!info().cuda.available);

export type AnyTensor = Tensor<DType, TensorDevice>;

/** A copy of the array on the device, of the shape [length]. */
export function upload<D extends DType>(array: TypedArrayOf[D], dtype: D, shape = [array.length]): Tensor<D, 'cuda'> {
  return tensor<D>(array, shape, dtype).toSync('cuda');
}

/** The batch with these of its arrays on the device (float64 where they are reals); tensors go there as they are. */
export function uploaded(batch: object, names: readonly string[]): Record<string, unknown> {
  const moved = Object.entries(batch)
    .filter(([name]) => names.includes(name))
    .map(([name, value]) => {
      if (value instanceof Tensor) return [name, value.toSync('cuda')];
      const array = Array.isArray(value) ? Float64Array.from(value as number[]) : (value as Float32Array);
      return [name, upload(array as never, impliedDType(array) as DType)];
    });
  return { ...batch, ...Object.fromEntries(moved) };
}

/** The elements of a result, wherever it is. */
export function elements(result: unknown): Float32Array {
  return (result instanceof Tensor ? (result as AnyTensor).toHostSync().data : result) as Float32Array;
}

export function disposeAll(...holders: readonly unknown[]): void {
  for (const holder of holders) {
    if (holder instanceof Tensor) holder.dispose();
    else if (typeof holder === 'object' && holder !== null && !ArrayBuffer.isView(holder)) {
      disposeAll(...Object.values(holder));
    }
  }
}

/** Bytes of the device that are taken. */
export function taken(): number {
  const memory = info().cuda.memory!;
  return memory.total - memory.free;
}
