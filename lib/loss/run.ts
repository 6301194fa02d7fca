import type { Backend, OpName, Ops, Status } from '../ops.js';

/** An op with its checked record, and what becomes of its status: shared by the blocking and the asynchronous form of a call. */
export interface Prepared<Result> {
  backend: Backend;
  op: OpName;
  args: Parameters<Ops[OpName]>[0];
  signal: AbortSignal | null;
  /** The result, or the error that the status means. */
  finish(status: Status): Result;
}

// One op's record always goes to the op of that name; TypeScript cannot see that through the union.
type AnyOp<R> = (args: unknown, abort?: Int32Array) => R;

export function runSync<Result>({ backend, op, args, finish }: Prepared<Result>): Result {
  const run = backend.ops[op] as AnyOp<Status>;
  return finish(run(args));
}

export async function runAsync<Result>({ backend, op, args, signal, finish }: Prepared<Result>): Promise<Result> {
  signal?.throwIfAborted();
  const abort = new Int32Array(1);
  const raise = () => Atomics.store(abort, 0, 1);
  signal?.addEventListener('abort', raise, { once: true });
  try {
    const status = await (backend.async[op] as AnyOp<Promise<Status>>)(args, abort);
    if (status.code === 'aborted') signal?.throwIfAborted();
    return finish(status);
  } finally {
    signal?.removeEventListener('abort', raise);
  }
}
