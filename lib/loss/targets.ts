/** Token ids that rows are scored by. */
import { int32, privateCopy, targets as readTargets } from '../check/arrays.js';
import { type Column, isOnHost, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';

interface Rows {
  /** Rows whose target must be right; null: all. Where it cannot be looked at, the op says which are wrong. */
  actionMask: Column<'u8'> | null;
  /** N */
  tokens: number;
  at: TensorDevice;
}

export function readTargetsOf(value: unknown, vocabulary: number, { actionMask, tokens, at }: Rows): Column<'int32'> {
  return readColumn(value, 'targets', { dtype: 'int32', shape: '[N]', length: tokens, at }, () =>
    actionMask === null || isOnHost(actionMask)
      ? readTargets(value, 'targets', vocabulary, actionMask, tokens)
      : int32(value, 'targets', '[N]', tokens),
  );
}

/** In an asynchronous call always a copy, not even memory that cannot be taken away is used: an index must not change after its check. */
export function keepTargets(targets: Column<'int32'>, asynchronous: boolean): Column<'int32'> {
  return asynchronous && isOnHost(targets) ? privateCopy(targets) : targets;
}
