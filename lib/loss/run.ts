import type { Backend, OpName, Ops, Status } from '../ops.js';
import type { TensorDevice } from '../tensor/tensor.js';
import { Workspace } from '../tensor/workspace.js';

/** An op with its checked record, and what becomes of its status: shared by the blocking and the asynchronous form of a call. */
export interface Prepared<Result> {
  backend: Backend;
  op: OpName;
  args: Parameters<Ops[OpName]>[0];
  signal: AbortSignal | null;
  /** What the record refers to beside the caller's arrays. */
  memory: Workspace;
  /** The result, or the error that the status means. */
  finish(status: Status): Result;
}

/** Whatever goes wrong before the op runs, no memory stays behind. */
export function prepareIn<Result>(at: TensorDevice, make: (memory: Workspace) => Prepared<Result>): Prepared<Result> {
  const memory = new Workspace(at);
  try {
    return make(memory);
  } catch (error) {
    memory.close(true);
    throw error;
  }
}

// One op's record always goes to the op of that name; TypeScript cannot see that through the union.
type AnyOp<R> = (args: unknown, abort?: Int32Array) => R;

export function runSync<Result>({ backend, op, args, memory, finish }: Prepared<Result>): Result {
  const run = backend.ops[op] as AnyOp<Status>;
  let failed = true;
  try {
    const result = finish(run(args));
    failed = false;
    return result;
  } finally {
    memory.close(failed);
  }
}

export async function runAsync<Result>(prepared: Prepared<Result>): Promise<Result> {
  const { backend, op, args, signal, memory, finish } = prepared;
  const abort = new Int32Array(1);
  const raise = () => Atomics.store(abort, 0, 1);
  let failed = true;
  try {
    signal?.throwIfAborted();
    signal?.addEventListener('abort', raise, { once: true });
    const status = await (backend.async[op] as AnyOp<Promise<Status>>)(args, abort);
    if (status.code === 'aborted') signal?.throwIfAborted();
    const result = finish(status);
    failed = false;
    return result;
  } finally {
    signal?.removeEventListener('abort', raise);
    memory.close(failed);
  }
}
