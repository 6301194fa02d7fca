import type { Column } from './column.js';
import { CONSTRUCTORS, type DType } from './dtype.js';
import { type Tensor, type TensorDevice, unwritten } from './tensor.js';

/**
 * Arrays that a call makes, where its inputs are. Those on a device are given back as soon as nobody needs them: what ops hand to each other
 * when the call is done, results where it fails.
 */
export class Workspace {
  readonly #scratch: Tensor<DType, 'cuda'>[] = [];
  readonly #results: Tensor<DType, 'cuda'>[] = [];

  constructor(readonly at: TensorDevice) {}

  /** For the time of the call; on a device with whatever was there, for an op to write. */
  scratch<D extends DType>(dtype: D, length: number): Column<D> {
    return this.#make(dtype, [length], this.#scratch);
  }

  /** Likewise, and the caller's if the call succeeds. */
  result<D extends DType>(dtype: D, shape: readonly number[]): Column<D> {
    return this.#make(dtype, shape, this.#results);
  }

  close(failed: boolean): void {
    for (const tensor of this.#scratch) tensor.dispose();
    if (failed) for (const tensor of this.#results) tensor.dispose();
  }

  #make<D extends DType>(dtype: D, shape: readonly number[], made: Tensor<DType, 'cuda'>[]): Column<D> {
    if (this.at === 'cpu') return new CONSTRUCTORS[dtype](shape.reduce((size, extent) => size * extent, 1));
    const tensor = unwritten(shape, dtype);
    made.push(tensor);
    return tensor;
  }
}
