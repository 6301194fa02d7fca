import type { Column } from './column.js';
import { CONSTRUCTORS, type DType } from './dtype.js';
import { Tensor, type TensorDevice } from './tensor.js';

/**
 * Arrays that a call makes, where its inputs are. Those on a device are given back as soon as nobody needs them: what ops hand to each other
 * when the call is done, results where it fails.
 */
export class Workspace {
  readonly #scratch: Tensor<DType, 'cuda'>[] = [];
  readonly #results: Tensor<DType, 'cuda'>[] = [];

  constructor(readonly at: TensorDevice) {}

  /** Zeroed, for the time of the call. */
  scratch<D extends DType>(dtype: D, length: number): Column<D> {
    return this.#make(dtype, [length], this.#scratch);
  }

  /** Zeroed, and the caller's if the call succeeds. */
  result<D extends DType>(dtype: D, shape: readonly number[]): Column<D> {
    return this.#make(dtype, shape, this.#results);
  }

  close(failed: boolean): void {
    for (const tensor of this.#scratch) tensor.dispose();
    if (failed) for (const tensor of this.#results) tensor.dispose();
  }

  #make<D extends DType>(dtype: D, shape: readonly number[], made: Tensor<DType, 'cuda'>[]): Column<D> {
    if (this.at === 'cpu') return new CONSTRUCTORS[dtype](shape.reduce((size, extent) => size * extent, 1));
    const tensor = Tensor.alloc(shape, dtype, 'cuda');
    made.push(tensor);
    return tensor;
  }
}
